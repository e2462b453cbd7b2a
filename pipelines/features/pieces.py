"""A stream of events cut into pieces that hold whole keys, and where the rows of the result lie in a piece.

NumPy and Arrow only: it is sent to workers by value, with the kernels that use it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

EVENT_TIMESTAMP, STATE = "event_timestamp", "state"
"""As in `feature_repo.define.column`, which workers do not have. The latter is the column of an earlier row's
totals, by name; an event has none."""
STATE_TYPE = pa.map_(pa.string(), pa.int64())
ROWS_AT_ONCE = 100_000
"""Of a stream, as long as no key has more: the rows of one key are in memory together."""


@dataclass(frozen=True, slots=True)
class JoinedRows:
    """What is joined to events.

    Args:
        key: the column that both have.
        keys: (c,) its values in the catalogue.
        columns: of the catalogue, (c,) each, by name, but for lists, which the operations have.
    """

    key: str
    keys: pa.Array
    columns: Mapping[str, pa.Array]


def whole_keys(batches: Iterator[pa.RecordBatch], key: str) -> Iterator[pa.Table]:
    """A stream sorted by key, as tables that hold all rows of each of their keys."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        held.append(batch)
        rows += batch.num_rows
        if rows < ROWS_AT_ONCE:
            continue
        # Its last key may go on in the next batch; where it is the only one, it may have begun in an earlier.
        end = pc.index(batch.column(key), batch.column(key)[-1]).as_py()
        if end:
            yield pa.Table.from_batches([*held[:-1], batch.slice(0, end)])
            held = [batch.slice(end)]
            rows = batch.num_rows - end
    if rows:
        yield pa.Table.from_batches(held)


@dataclass(frozen=True, slots=True)
class Piece:
    """n events of whole keys, sorted by key and instant; m (key, instant) pairs, one row of the result each;
    e earlier rows, at most one a key, from which the key's features go on.

    Args:
        events: (n,) their columns.
        catalogue: what is joined to them; None for nothing.
        joined: (n,) each event's place in the catalogue; empty where there is none.
        instants: (n,) microseconds since 1970.
        begin: (m,) the first event of the pair's key.
        last: (m,) the last event of the pair.
        newest: (m,) whether the key has no later one.
        earlier: (e,) rows of an earlier result, with `state`.
        of_earlier: (m,) which of them is the key's; -1 for none.
    """

    events: pa.Table
    catalogue: JoinedRows | None
    joined: Ints
    instants: Ints
    begin: Ints
    last: Ints
    newest: Flags
    earlier: pa.Table
    of_earlier: Ints

    def column(self, name: str) -> pa.Array:
        """(n,) a column of the events, or of what is joined to them."""
        if self.catalogue is None or name in self.events.column_names:
            return self.events.column(name).combine_chunks()
        return self.catalogue.columns[name].take(pa.array(self.joined))

    def totals(self, values: Ints, names: Sequence[str]) -> Ints:
        """(s, m) sums of (s, n) values over each pair's key, up to and including the pair's instant; what the
        earlier rows say of the s names is added."""
        before = np.zeros((len(values), values.shape[1] + 1), np.int64)
        np.cumsum(values, axis=1, out=before[:, 1:])
        sums = before.take(self.last + 1, axis=1)
        sums -= before.take(self.begin, axis=1)
        return self.with_earlier(sums, names)

    def with_earlier(self, totals: Ints, names: Sequence[str]) -> Ints:
        """(s, m) totals of the piece, and what the earlier rows say of the s names."""
        has = self.of_earlier >= 0
        if has.any():
            totals[:, has] += self.state(names)[:, self.of_earlier[has]]
        return totals

    def state(self, names: Sequence[str]) -> Ints:
        """(s, e) the totals of these names in the earlier rows; 0 where one says nothing of it."""
        row, name, value = _entries(self.earlier)
        found = np.zeros((len(names), self.earlier.num_rows), np.int64)
        place = pc.index_in(name, pa.array(names, pa.string())).fill_null(-1).to_numpy()
        known = place >= 0
        found[place[known], row[known]] = value[known]
        return found

    def names_of_state(self, prefix: str) -> list[str]:
        """What the earlier rows' totals are called that begin so, without it."""
        _, name, _ = _entries(self.earlier)
        return [word.removeprefix(prefix) for word in pc.unique(name).to_pylist() if word.startswith(prefix)]


def _entries(earlier: pa.Table) -> tuple[Ints, pa.Array, Ints]:
    """The entries of all `state`: of which row, name and value."""
    state = earlier.column(STATE).combine_chunks()
    ends = state.offsets.to_numpy()
    row = np.repeat(np.arange(len(state)), np.diff(ends))
    name, value = (part[ends[0] : ends[-1]] for part in (state.keys, state.items))
    return row, name, value.to_numpy()


def counted(
    events: pa.Table, catalogue: JoinedRows | None, where: tuple[str, float] | None
) -> tuple[pa.Table, Ints]:
    """The events that count: those with a counterpart in the catalogue whose value is at least so much.

    Args:
        where: a column of either and its least value; None for all.

    Returns:
        The events and, for each, its place in the catalogue.
    """
    if catalogue is None:
        if where is not None:
            events = events.filter(pc.greater_equal(events.column(where[0]), where[1]))
        return events, np.empty(0, np.int64)
    place = pc.index_in(events.column(catalogue.key), catalogue.keys).combine_chunks()
    kept = pc.is_valid(place)
    if where is not None:
        own = where[0] in events.column_names
        value = events.column(where[0]) if own else catalogue.columns[where[0]].take(place)
        kept = pc.and_(kept, pc.fill_null(pc.greater_equal(value, where[1]), False))
    if not pc.all(kept).as_py():
        events, place = events.filter(kept), place.filter(kept)
    return events, place.to_numpy().astype(np.int64)


def piece_of(
    rows: pa.Table, key: str, catalogue: JoinedRows | None, where: tuple[str, float] | None
) -> Piece:
    """A piece of whole keys, sorted by key and instant: events, and rows with `state` that went before."""
    earlier = rows.slice(0, 0).append_column(STATE, pa.nulls(0, STATE_TYPE))
    if STATE in rows.column_names:
        is_earlier = pc.is_valid(rows.column(STATE))
        earlier, rows = rows.filter(is_earlier), rows.filter(pc.invert(is_earlier))
    events, joined = counted(rows, catalogue, where)
    keys = events.column(key).combine_chunks()
    instants = np.asarray(events.column(EVENT_TIMESTAMP).cast(pa.int64()).to_numpy())
    n = len(keys)
    opens = np.ones(n, np.bool_)
    opens[1:] = pc.not_equal(keys[1:], keys[:-1]).to_numpy(zero_copy_only=False)
    closes_key = np.append(opens[1:], True)[:n]
    closes = closes_key.copy()
    closes[:-1] |= instants[1:] != instants[:-1]
    last = np.flatnonzero(closes)
    begin = np.maximum.accumulate(np.where(opens, np.arange(n), 0))[last]
    if earlier.num_rows:
        of_earlier = pc.index_in(keys.take(pa.array(last)), earlier.column(key).combine_chunks())
        of_earlier = of_earlier.fill_null(-1).to_numpy().astype(np.int64)
    else:
        of_earlier = np.full(len(last), -1)
    return Piece(events, catalogue, joined, instants, begin, last, closes_key[last], earlier, of_earlier)
