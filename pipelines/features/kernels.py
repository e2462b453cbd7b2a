"""What Spark's workers compute of each key's events in time: running totals, and the last few likes.

Pure functions of Arrow tables whose rows are sorted by key and instant; NumPy and Arrow only, so that a
worker starts fast, and sent to workers by value, so that they need nothing of ours installed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.schema import PADDING_GENRE, PADDING_ID, RECENT_LIKES, TOP_GENRES

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Outputs = dict[str, pa.Array]

ROWS_AT_ONCE = 100_000
"""Of a stream, as long as no key has more: the rows of one key are in memory together."""


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
        keys = batch.column(key).to_numpy()
        # Its last key may go on in the next batch; where it is the only one, it may have begun in an earlier.
        end = int(np.searchsorted(keys, keys[-1]))
        if end:
            yield pa.Table.from_batches([*held[:-1], batch.slice(0, end)])
            held = [batch.slice(end)]
            rows = batch.num_rows - end
    if rows:
        yield pa.Table.from_batches(held)


@dataclass(frozen=True, slots=True)
class Events:
    """n ratings, of whole keys, sorted by key and instant.

    Args:
        movie: (n,) its place among the known movies, or its id where all count.
        rating: (n,) stars.
        instant: (n,) microseconds since 1970.
        opens: (n,) whether the key has no earlier row.
    """

    movie: Ints
    rating: Floats
    instant: Ints
    opens: Flags


@dataclass(frozen=True, slots=True)
class Moments:
    """Where the (key, instant) pairs of n sorted rows lie; m of them, one row of the result each.

    Args:
        begin: (m,) the first row of the pair's key.
        last: (m,) the last row of the pair.
        newest: (m,) whether the key has no later one.
    """

    begin: Ints
    last: Ints
    newest: Flags


def opens_key(keys: Ints) -> Flags:
    """(n,) whether each row is its key's first."""
    opens = np.ones(len(keys), np.bool_)
    opens[1:] = keys[1:] != keys[:-1]
    return opens


def moments_of(keys: Ints, instants: Ints, is_new: Flags) -> Moments:
    """The pairs of the rows that are new, which those going before are not: their instants are earlier."""
    opens = opens_key(keys)
    closes_key = np.append(opens[1:], True)[: len(keys)]
    closes = closes_key.copy()
    closes[:-1] |= instants[1:] != instants[:-1]
    last = np.flatnonzero(closes & is_new)
    begin = np.maximum.accumulate(np.where(opens, np.arange(len(keys)), 0))
    return Moments(begin[last], last, closes_key[last])


def totals_at(values: Floats, moments: Moments) -> Floats:
    """(s, m) sums of (s, n) values over each pair's key, up to and including the pair's instant."""
    so_far = np.cumsum(values, axis=1)
    begin = moments.begin
    return np.asarray(so_far[:, moments.last] - (so_far[:, begin] - values[:, begin]))


def running_totals(
    rows: pa.Table,
    key: str,
    names: Sequence[str],
    movies: Ints | None,
    sums: Callable[[Events], Floats],
    outputs: Callable[[Floats], Outputs],
    schema: pa.Schema,
) -> pa.Table:
    """One row per key and instant, from totals over all events up to then.

    Args:
        rows: whole keys, sorted by key and instant: `event_timestamp, movie_id, rating`; perhaps `totals`,
            (s,) where the row stands for all that went before, null where it is an event.
        names: of the s totals.
        movies: ids, sorted; ratings of others are left out. None for all.
        sums: events → (s, n) what to sum.
        outputs: (s, m) totals → the columns made of them.
        schema: of the result: key, such columns, `event_timestamp` and `state`.
    """
    rows, place = _of_known_movies(rows, movies)
    is_new = _is_new(rows)
    keys = rows.column(key).to_numpy()
    values = sums(Events(place, rows.column("rating").to_numpy(), _instants(rows), opens_key(keys)))
    if not is_new.all():
        before = rows.column("totals").combine_chunks()
        values[:, ~is_new] = before.flatten().to_numpy(zero_copy_only=False).reshape(-1, len(names)).T
    moments = _moments(rows, key, is_new)
    totals = totals_at(values, moments)
    found = outputs(totals) | {"state": state(names, totals, moments.newest)}
    return _result(rows, key, moments, found, schema)


def recent_likes(rows: pa.Table, movies: Ints, genres: pa.Array, schema: pa.Schema) -> pa.Table:
    """The last likes at each (user, instant), newest first.

    Args:
        rows: likes of whole users, sorted by `user_id, event_timestamp, place`; of those of one instant, the
            last is the newest. `place` is at least 1 in a new like; others went before.
        movies: ids, sorted; likes of others are left out.
        genres: of each of these, joined.
        schema: of the result.
    """
    rows, place = _of_known_movies(rows, movies)
    movie = rows.column("movie_id").to_numpy()
    moments = _moments(rows, "user_id", _is_new(rows))
    listed = moments.last[:, None] - np.arange(RECENT_LIKES)
    there = listed >= moments.begin[:, None]
    listed = np.maximum(listed, 0)
    ids = np.where(there, movie[listed], PADDING_ID)
    shown = pa.array(place[listed].ravel(), mask=(ids == PADDING_ID).ravel())
    found = {
        "user_recent_liked_movie_ids": _lists(pa.array(ids.ravel()), RECENT_LIKES),
        "user_recent_liked_genres": _lists(pc.fill_null(genres.take(shown), PADDING_GENRE), RECENT_LIKES),
        # The row is its own state; that there is one marks the newest.
        "state": state((), np.empty((0, len(ids))), moments.newest),
    }
    return _result(rows, "user_id", moments, found, schema)


def powers(value: Floats, origin: float = 0.0) -> Floats:
    """(3, n) what to sum for a value's mean and deviation: how often it is there, it, and its square.

    Ratings, years and poster statistics lie on binary grids, so these sums are exact in float64: they do not
    depend on the order of addition, nor on how events are cut into batches.

    Args:
        value: (n,) may be NaN, which counts for nothing.
        origin: subtracted first, to keep squares small.
    """
    present = ~np.isnan(value)
    shifted = np.where(present, value - origin, 0.0)
    return np.stack([present.astype(np.float64), shifted, shifted * shifted])


def mean_and_std(prefix: str, totals: Floats, origin: float = 0.0) -> Outputs:
    """`{prefix}_mean` and `{prefix}_std` out of (3, m) sums of `powers`; null where nothing was there."""
    n, values, squares = totals
    none = n == 0
    n = np.where(none, 1.0, n)
    variance = (squares - values * values / n) / n
    return {
        f"{prefix}_mean": pa.array(origin + values / n, mask=none),
        f"{prefix}_std": pa.array(np.sqrt(np.maximum(variance, 0.0)), mask=none),
    }


def count(prefix: str, totals: Floats) -> Outputs:
    """`{prefix}_count` out of the same."""
    return {f"{prefix}_count": pa.array(totals[0].astype(np.int64))}


def top_genres(likes: Floats, genres: Sequence[str]) -> pa.Array:
    """The most liked genres of each of m rows, most frequent first, then by name, padded.

    Args:
        likes: (g, m) how often each genre was liked.
        genres: their g names, sorted.
    """
    # One more that nobody likes, so that there is always one to find.
    left = np.concatenate([likes.T, np.zeros((likes.shape[1], 1))], axis=1)
    rows = np.arange(len(left))
    top = np.empty((len(left), TOP_GENRES), np.int64)
    for position in range(TOP_GENRES):
        best = left.argmax(axis=1)
        top[:, position] = np.where(left[rows, best] > 0, best, len(genres))
        left[rows, best] = 0
    return _lists(pa.array([*genres, PADDING_GENRE], pa.string()).take(pa.array(top.ravel())), TOP_GENRES)


def state(names: Sequence[str], totals: Floats, newest: Flags) -> pa.Array:
    """(m,) all (s, m) totals by name where the row is its key's newest, else null."""
    offsets = np.append(0, np.cumsum(np.where(newest, len(names), 0)))
    keys = pa.array(names, pa.string()).take(pa.array(np.tile(np.arange(len(names)), int(newest.sum()))))
    return pa.MapArray.from_arrays(
        pa.array(offsets, pa.int32(), mask=np.append(~newest, False)),
        keys,
        pa.array(totals[:, newest].T.ravel()),
    )


def _of_known_movies(rows: pa.Table, movies: Ints | None) -> tuple[pa.Table, Ints]:
    """The rows of known movies and those that stand for what went before; the place of each one's movie."""
    asked = rows.column("movie_id").to_numpy()
    if movies is None:
        return rows, asked
    if not len(movies):
        return rows.slice(0, 0), asked[:0]
    place = np.minimum(np.searchsorted(movies, asked), len(movies) - 1)
    kept = (movies[place] == asked) | ~_is_new(rows)
    return (rows, place) if kept.all() else (rows.filter(pa.array(kept)), place[kept])


def _is_new(rows: pa.Table) -> Flags:
    names = rows.column_names
    if "totals" in names:
        return np.asarray(rows.column("totals").is_null().to_numpy(), np.bool_)
    if "place" in names:
        return np.asarray(rows.column("place").to_numpy() > 0)
    return np.ones(rows.num_rows, np.bool_)


def _moments(rows: pa.Table, key: str, is_new: Flags) -> Moments:
    return moments_of(rows.column(key).to_numpy(), _instants(rows), is_new)


def _instants(rows: pa.Table) -> Ints:
    return np.asarray(rows.column("event_timestamp").cast(pa.int64()).to_numpy())


def _result(rows: pa.Table, key: str, moments: Moments, found: dict[str, Any], schema: pa.Schema) -> pa.Table:
    last = pa.array(moments.last)
    # Known one microsecond after its last event.
    known = pc.add(rows.column("event_timestamp").cast(pa.int64()).take(last), 1)
    instants = known.cast(schema.field("event_timestamp").type)
    columns = found | {key: rows.column(key).take(last), "event_timestamp": instants}
    return pa.table(
        [columns[name].cast(kind) for name, kind in zip(schema.names, schema.types, strict=True)], schema
    )


def _lists(flat: pa.Array, length: int) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(np.arange(0, len(flat) + 1, length), pa.int32()), flat)
