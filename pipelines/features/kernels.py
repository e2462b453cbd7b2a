"""The operations on arrays: what is known of each key after each instant at which it has an event.

Pure functions of Arrow tables whose rows are sorted by key and instant; NumPy and Arrow only, so that a
worker starts fast, and sent to workers by value, so that they need nothing of ours installed.

Sums are of whole steps in 64-bit integers, hence exact: they depend neither on the order of addition nor on
how events are cut into batches.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.features.pieces import EVENT_TIMESTAMP, STATE, Flags, Ints, JoinedRows, Piece, piece_of

VERSION = 1
"""Raised where kernels make other rows of the same events, or call their totals otherwise: tables are then
computed in full."""
SECOND = 1_000_000
"""In microseconds."""


@dataclass(frozen=True, slots=True)
class Words:
    """n lists of words, as numbers.

    Args:
        code: (w,) the number of each word of all lists, one list after the other.
        end: (n + 1,) where the lists begin in these; the last ends at w.
        names: the words by number.
    """

    code: Ints
    end: Ints
    names: Sequence[str]

    def take(self, rows: Ints) -> tuple[Ints, Ints]:
        """The words of some of the lists: for each, the place in `rows` of its list, and its number."""
        length = self.end[rows + 1] - self.end[rows]
        place = np.repeat(np.arange(len(rows)), length)
        within = np.arange(len(place)) - np.repeat(np.cumsum(length) - length, length)
        return place, self.code[np.repeat(self.end[rows], length) + within]


def words_of(lists: pa.Array) -> Words:
    """(n,) lists of words as numbers; null counts as a list of none, and no word as no word."""
    lists = pc.fill_null(lists, pa.scalar([], lists.type))
    rows, flat = pc.list_parent_indices(lists), pc.list_flatten(lists)
    there = pc.is_valid(flat)
    coded = flat.filter(there).dictionary_encode()
    length = np.bincount(rows.filter(there).to_numpy(), minlength=len(lists))
    end = np.append(0, np.cumsum(length)).astype(np.int64)
    return Words(coded.indices.to_numpy().astype(np.int64), end, coded.dictionary.to_pylist())


# --- operations -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """What an operation makes of a piece.

    Args:
        columns: its features, (m,) each, by name.
        names: of the totals from which later events go on.
        totals: (s, m) these.
    """

    columns: Mapping[str, pa.Array]
    names: Sequence[str] = ()
    totals: Ints | None = None


Kernel = Callable[[Piece], Found]


def count(piece: Piece, column: str) -> Found:
    """How many events there were."""
    totals = piece.with_earlier((piece.last - piece.begin + 1)[None], [column])
    return Found({column: pa.array(totals[0])}, [column], totals)


def mean_std(piece: Piece, of: str, step: float, origin: float, mean: str, std: str) -> Found:
    """Mean and deviation of the values that are there; null where none is.

    Args:
        step: values are multiples of it, and so is `origin`.
        origin: subtracted first, to keep squares small.
    """
    value = pc.fill_null(piece.column(of).cast(pa.float64()), np.nan).to_numpy()
    present = ~np.isnan(value)
    origin = round(origin / step)
    steps = np.where(present, np.rint(value / step) - origin, 0.0).astype(np.int64)
    names = [f"{mean}:{total}" for total in ("n", "sum", "squares")]
    totals = piece.totals(np.stack([present.astype(np.int64), steps, steps * steps]), names)
    none = totals[0] == 0
    n, total, squares = (row.astype(np.float64) for row in totals)
    n[none] = 1.0
    variance = (squares - total * total / n) / n
    columns = {
        mean: pa.array((origin + total / n) * step, mask=none),
        std: pa.array(np.sqrt(np.maximum(variance, 0.0)) * step, mask=none),
    }
    return Found(columns, names, totals)


def first_at(piece: Piece, column: str) -> Found:
    """The second of the first event."""
    first = (piece.instants // SECOND)[piece.begin]
    has = piece.of_earlier >= 0
    first[has] = piece.state([column])[0, piece.of_earlier[has]]
    return Found({column: pa.array(first * SECOND)}, [column], first[None])


def last_at(piece: Piece, column: str) -> Found:
    """The second of the last event."""
    return Found({column: pa.array((piece.instants // SECOND)[piece.last] * SECOND)})


def top_k(
    piece: Piece,
    of: str,
    words: Words | None,
    where: tuple[str, float] | None,
    column: str,
    k: int,
    padding: Any,
) -> Found:
    """The k most frequent words, most frequent first, then by name, padded.

    Args:
        words: of the catalogue's lists; None where the events have lists of their own.
        where: a column and its least value; only words of such events count. None for all.
    """
    lists = words_of(piece.column(of)) if words is None else words
    event, code = lists.take(np.arange(piece.events.num_rows) if words is None else piece.joined)
    if where is not None:
        holds = pc.fill_null(pc.greater_equal(piece.column(where[0]), where[1]), False)
        kept = holds.to_numpy(zero_copy_only=False)[event]
        event, code = event[kept], code[kept]
    used = np.unique(code)
    names = sorted({*(lists.names[number] for number in used), *piece.names_of_state(f"{column}:")})
    place = {name: position for position, name in enumerate(names)}
    place_of = np.zeros(len(lists.names), np.int64)
    place_of[used] = [place[lists.names[number]] for number in used]
    has = np.zeros((len(names), piece.events.num_rows), np.int64)
    has[place_of[code], event] = 1
    totals_of = [f"{column}:{name}" for name in names]
    totals = piece.totals(has, totals_of)
    return Found({column: most_frequent(totals, names, k, padding)}, totals_of, totals)


def most_frequent(times: Ints, names: Sequence[str], k: int, padding: Any) -> pa.Array:
    """The k words with the highest numbers in each of m columns, highest first, then by name, padded.

    Args:
        times: (w, m) how often each word was there.
        names: the w words, sorted.
    """
    # One more that never was there, so that there is always one to find.
    left = np.concatenate([times.T, np.zeros((times.shape[1], 1), times.dtype)], axis=1)
    rows = np.arange(len(left))
    top = np.empty((len(left), k), np.int64)
    for position in range(k):
        best = left.argmax(axis=1)
        top[:, position] = np.where(left[rows, best] > 0, best, len(names))
        left[rows, best] = 0
    return lists_of(pa.array([*names, padding], pa.string()).take(pa.array(top.ravel())), k)


def last_k(
    piece: Piece, of: str, values: pa.Array | None, column: str, k: int, padding: Any, separator: str
) -> Found:
    """A value of each of the last k events, newest first, padded; lists of words are joined to one.

    The earlier row's list goes on: it needs no totals.

    Args:
        values: of the catalogue, lists joined; None where the events have their own.
    """
    if values is None:
        values = joined_words(piece.column(of), separator)
    else:
        values = values.take(pa.array(piece.joined))
    values = pa.concat_arrays([values, pa.nulls(1, values.type)])
    n = len(values) - 1
    back = np.arange(k)
    new = (piece.last - piece.begin + 1)[:, None]
    listed = np.where(back < new, piece.last[:, None] - back, n)
    if piece.earlier.num_rows:
        before = pc.list_flatten(piece.earlier.column(column).combine_chunks()).cast(values.type)
        values = pa.concat_arrays([values, before])
        earlier = piece.of_earlier[:, None]
        goes_on = (back >= new) & (earlier >= 0)
        listed = np.where(goes_on, n + 1 + earlier * k + back - new, listed)
    shown = pc.fill_null(values.take(pa.array(listed.ravel())), padding)
    return Found({column: lists_of(shown, k)})


def joined_words(values: pa.Array, separator: str) -> pa.Array:
    """Lists of words as one string each; other values as they are."""
    return pc.binary_join(values, separator) if pa.types.is_list(values.type) else values


def lists_of(flat: pa.Array, length: int) -> pa.Array:
    """Values as lists of `length` each."""
    return pa.ListArray.from_arrays(pa.array(np.arange(0, len(flat) + 1, length), pa.int32()), flat)


# --- rows of a view ---------------------------------------------------------------------------------------


def rows_of_piece(
    rows: pa.Table,
    key: str,
    catalogue: JoinedRows | None,
    where: tuple[str, float] | None,
    kernels: Sequence[Kernel],
    schema: pa.Schema,
) -> pa.Table:
    """One row per key and instant at which an event counts.

    Args:
        rows: whole keys, sorted by key, instant, and what orders the events of one instant.
        schema: of the result: key, features, `event_timestamp` and `state`.
    """
    piece = piece_of(rows, key, catalogue, where)
    if not len(piece.last):
        return schema.empty_table()
    found = [kernel(piece) for kernel in kernels]
    last = pa.array(piece.last)
    columns: dict[str, Any] = {name: values for each in found for name, values in each.columns.items()}
    columns[key] = piece.events.column(key).take(last)
    # Known one microsecond after its last event.
    columns[EVENT_TIMESTAMP] = pa.array(piece.instants[piece.last] + 1)
    columns[STATE] = state_of(found, piece.newest)
    return pa.table(
        [columns[name].cast(kind) for name, kind in zip(schema.names, schema.types, strict=True)], schema
    )


def state_of(found: Sequence[Found], newest: Flags) -> pa.Array:
    """(m,) all totals by name where the row is its key's newest, else null. What is 0 is left out."""
    names = [name for each in found for name in each.names]
    parts = [each.totals for each in found if each.totals is not None]
    totals = np.concatenate([part[:, newest] for part in parts]) if parts else np.empty((0, newest.sum()))
    row, name = np.nonzero(totals.T)
    end = np.zeros(len(newest) + 1, np.int64)
    end[1:][newest] = np.bincount(row, minlength=totals.shape[1])
    return pa.MapArray.from_arrays(
        pa.array(np.cumsum(end), pa.int32(), mask=np.append(~newest, False)),
        pa.array(names, pa.string()).take(pa.array(name)),
        pa.array(totals.T[row, name].astype(np.int64)),
    )
