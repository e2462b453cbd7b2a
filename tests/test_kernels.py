"""What workers compute of sorted rows, against loops over Python numbers."""

from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.features import kernels

rows = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 5), st.integers(1, 10)), max_size=30).map(sorted)


def columns(drawn: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    keys, instants, values = np.array(drawn, np.int64).reshape(-1, 3).T
    return keys, instants, values.astype(np.float64) / 2


@settings(deadline=None)
@given(drawn=rows, cuts=st.lists(st.integers(0, 30), max_size=6), least=st.integers(1, 12))
def test_each_key_comes_whole_however_the_stream_is_cut(
    drawn: list[tuple[int, int, int]], cuts: list[int], least: int
) -> None:
    keys, instants, _ = columns(drawn)
    batch = pa.record_batch({"key": keys, "at": instants})
    edges = [0, *sorted(min(cut, len(keys)) for cut in cuts), len(keys)]
    stream = [batch.slice(start, end - start) for start, end in pairwise(edges)]
    with patch.object(kernels, "ROWS_AT_ONCE", least):
        tables = list(kernels.whole_keys(iter(stream), "key"))
    found = [set(table.column("key").to_pylist()) for table in tables]
    assert all(found), "no empty tables"
    assert sum(len(some) for some in found) == len(set(keys.tolist())), "a key is in one table only"
    whole = pa.concat_tables(tables) if tables else pa.Table.from_batches([], batch.schema)
    assert whole.to_pydict() == batch.to_pydict()


@settings(deadline=None)
@given(drawn=rows)
def test_totals_are_those_of_all_events_of_the_key_up_to_the_instant(
    drawn: list[tuple[int, int, int]],
) -> None:
    keys, instants, values = columns(drawn)
    moments = kernels.moments_of(keys, instants, np.ones(len(keys), bool))
    pairs = [(int(keys[last]), int(instants[last])) for last in moments.last]
    assert pairs == sorted(set(zip(keys.tolist(), instants.tolist(), strict=True)))
    assert moments.newest.tolist() == [
        not any(other > at for key_of_other, other in pairs if key_of_other == key) for key, at in pairs
    ]
    totals = kernels.totals_at(np.stack([values, values * values]), moments)
    for position, (key, at) in enumerate(pairs):
        seen = values[(keys == key) & (instants <= at)]
        assert totals[:, position].tolist() == [seen.sum(), (seen * seen).sum()]


@settings(deadline=None)
@given(
    likes=st.integers(0, 5).flatmap(
        lambda genres: st.lists(st.lists(st.integers(0, 3), min_size=genres, max_size=genres), min_size=1)
    )
)
def test_top_genres_are_the_most_liked_then_by_name(likes: list[list[int]]) -> None:
    names = ["Action", "Comedy", "Drama", "Film-Noir", "War"][: len(likes[0])]
    counts = np.array(likes, np.float64).reshape(len(likes), len(names)).T
    found = kernels.top_genres(counts, names).to_pylist()
    for row, top in zip(likes, found, strict=True):
        liked = sorted((-count, name) for count, name in zip(row, names, strict=True) if count)
        assert top == [*(name for _, name in liked), "", "", ""][:3]


def test_deviation_is_null_where_nothing_was_there_and_never_negative() -> None:
    values = np.array([4.5, np.nan, 1.0])
    found = kernels.mean_and_std("x", kernels.powers(values, origin=1.0), origin=1.0)
    assert found["x_mean"].to_pylist() == [4.5, None, 1.0]
    assert found["x_std"].to_pylist() == [0.0, None, 0.0]


def test_state_stands_on_the_newest_rows_only() -> None:
    totals = np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    found = kernels.state(("n", "sum"), totals, np.array([False, True, True]))
    assert found.to_pylist() == [None, [("n", 2.0), ("sum", 20.0)], [("n", 3.0), ("sum", 30.0)]]
