"""What workers compute of sorted rows, against loops over Python numbers."""

from collections import Counter
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.features import kernels, pieces
from pipelines.features.pieces import STATE, STATE_TYPE, JoinedRows, Piece, piece_of

Drawn = list[tuple[int, int, int]]
rows = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 5), st.integers(1, 10)), max_size=30).map(sorted)


def columns(drawn: Drawn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    keys, instants, values = np.array(drawn, np.int64).reshape(-1, 3).T
    return keys, instants, values


def sorted_rows(drawn: Drawn) -> pa.Table:
    keys, instants, values = columns(drawn)
    return pa.table(
        {"key": keys, "event_timestamp": pa.array(instants, pa.timestamp("us", "UTC")), "x": values}
    )


def piece(drawn: Drawn) -> Piece:
    return piece_of(sorted_rows(drawn), "key", None, None)


@settings(deadline=None, max_examples=300)
@given(
    drawn=rows,
    cuts=st.lists(st.integers(0, 30), max_size=6),
    least=st.integers(1, 12),
    as_words=st.booleans(),
)
def test_each_key_comes_whole_however_the_stream_is_cut(
    drawn: Drawn, cuts: list[int], least: int, as_words: bool
) -> None:
    keys, instants, _ = columns(drawn)
    batch = pa.record_batch({"key": pa.array(keys).cast(pa.string()) if as_words else keys, "at": instants})
    edges = [0, *sorted(min(cut, len(keys)) for cut in cuts), len(keys)]
    stream = [batch.slice(start, end - start) for start, end in pairwise(edges)]
    with patch.object(pieces, "ROWS_AT_ONCE", least):
        tables = list(pieces.whole_keys(iter(stream), "key"))
    found = [set(table.column("key").to_pylist()) for table in tables]
    assert all(found), "no empty tables"
    assert sum(len(some) for some in found) == len(set(keys.tolist())), "a key is in one table only"
    whole = pa.concat_tables(tables) if tables else pa.Table.from_batches([], batch.schema)
    assert whole.to_pydict() == batch.to_pydict()


def test_no_more_rows_are_held_at_once_than_make_a_piece() -> None:
    stream = (pa.record_batch({"key": pa.array([first, first + 1])}) for first in range(0, 10, 2))
    with patch.object(pieces, "ROWS_AT_ONCE", 4):
        assert [len(piece) for piece in pieces.whole_keys(stream, "key")] == [3, 4, 3]


@settings(deadline=None, max_examples=300)
@given(drawn=rows)
def test_totals_are_those_of_all_events_of_the_key_up_to_the_instant(drawn: Drawn) -> None:
    keys, instants, values = columns(drawn)
    found = piece(drawn)
    pairs = [(int(keys[last]), int(instants[last])) for last in found.last]
    assert pairs == sorted(set(zip(keys.tolist(), instants.tolist(), strict=True)))
    assert len(found.joined) == 0, "there is no catalogue"
    assert found.of_earlier.tolist() == [-1] * len(pairs), "nothing went before"
    assert found.newest.tolist() == [
        not any(other > at for key_of_other, other in pairs if key_of_other == key) for key, at in pairs
    ]
    totals = found.totals(np.stack([values, values * values]), ["sum", "squares"])
    for position, (key, at) in enumerate(pairs):
        seen = values[(keys == key) & (instants <= at)]
        assert totals[:, position].tolist() == [seen.sum(), (seen * seen).sum()]


@settings(deadline=None, max_examples=300)
@given(drawn=rows, state=st.dictionaries(st.integers(1, 4), st.integers(-5, 5)))
def test_totals_go_on_from_those_of_an_earlier_row(drawn: Drawn, state: dict[int, int]) -> None:
    before = pa.table(
        {
            "key": pa.array(list(state), pa.int64()),
            "event_timestamp": pa.array([-1] * len(state), pa.timestamp("us", "UTC")),
            STATE: pa.array([[("other", 7), ("sum", total)] for total in state.values()], STATE_TYPE),
        }
    )
    both = pa.concat_tables([sorted_rows(drawn), before], promote_options="default")
    found = piece_of(
        both.sort_by([("key", "ascending"), ("event_timestamp", "ascending")]), "key", None, None
    )
    keys_of_rows = found.events.column("key").to_numpy()[found.last]
    known = found.earlier.column("key").to_pylist()
    assert found.of_earlier.tolist() == [
        known.index(key) if key in known else -1 for key in keys_of_rows.tolist()
    ]
    alone = piece(drawn)
    values = columns(drawn)[2][None]
    earlier = np.array([state.get(int(key), 0) for key in keys_of_rows])
    assert found.totals(values, ["sum"]).tolist() == (alone.totals(values, ["sum"]) + earlier).tolist()


@settings(deadline=None, max_examples=300)
@given(
    times=st.integers(0, 5).flatmap(
        lambda words: st.lists(st.lists(st.integers(0, 3), min_size=words, max_size=words), min_size=1)
    ),
    k=st.integers(1, 4),
)
def test_top_words_are_the_most_frequent_then_by_name(times: list[list[int]], k: int) -> None:
    names = ["Action", "Comedy", "Drama", "Film-Noir", "War"][: len(times[0])]
    counts = np.array(times, np.int64).reshape(len(times), len(names)).T
    found = kernels.most_frequent(counts, names, k, "").to_pylist()
    for row, top in zip(times, found, strict=True):
        there = sorted((-count, name) for count, name in zip(row, names, strict=True) if count)
        assert top == [*(name for _, name in there), *[""] * k][:k]


@settings(deadline=None, max_examples=300)
@given(
    lists=st.lists(st.none() | st.lists(st.none() | st.sampled_from("abc"), max_size=4), max_size=8),
    data=st.data(),
)
def test_words_of_some_lists_are_those_that_are_there(
    lists: list[list[str | None] | None], data: st.DataObject
) -> None:
    asked = data.draw(st.lists(st.sampled_from(range(len(lists))))) if lists else []
    words = kernels.words_of(pa.array(lists, pa.list_(pa.string())))
    place, code = words.take(np.array(asked, np.int64))
    found = [(int(at), words.names[number]) for at, number in zip(place, code, strict=True)]
    assert found == [
        (at, word) for at, row in enumerate(asked) for word in lists[row] or () if word is not None
    ]


@settings(deadline=None, max_examples=100)
@given(
    drawn=st.lists(
        st.tuples(
            st.integers(1, 2),
            st.integers(0, 3),
            st.none() | st.lists(st.sampled_from("abc"), max_size=3),
            st.none() | st.integers(1, 4),
        ),
        max_size=12,
    ).map(lambda events: sorted(events, key=lambda event: event[:2])),
    least=st.none() | st.integers(1, 4),
    k=st.integers(1, 3),
)
def test_words_of_the_events_themselves_count_as_those_of_a_catalogue(
    drawn: list[tuple[int, int, list[str] | None, int | None]], least: int | None, k: int
) -> None:
    told: list[Any] = [[event[place] for event in drawn] for place in range(4)]
    keys, instants, lists, stars = told
    words = pa.array(lists, pa.list_(pa.string()))
    numbers = pa.array(range(len(drawn)), pa.int64())
    rows = pa.table(
        {
            "key": pa.array(keys, pa.int64()),
            "event_timestamp": pa.array(instants, pa.timestamp("us", "UTC")),
            "words": words,
            "stars": pa.array(stars, pa.int64()),
            "number": numbers,
        }
    )
    where = None if least is None else ("stars", float(least))
    own = piece_of(rows, "key", None, None)
    joined = piece_of(rows.drop_columns("words"), "key", JoinedRows("number", numbers, {}), None)
    expected, counted = [], []
    for key, instant in sorted(set(zip(keys, instants, strict=True))):
        times = Counter(
            word
            for of, at, said, given in drawn
            if of == key and at <= instant and (given or 0) >= (least or 0)
            for word in {*(said or ())}
        )
        top = sorted(times, key=lambda word: (-times[word], word))
        expected.append([*top, *[""] * k][:k])
        counted.append({f"top:{word}": number for word, number in times.items()})
    for found in (
        kernels.top_k(own, "words", None, where, "top", k, ""),
        kernels.top_k(joined, "words", kernels.words_of(words), where, "top", k, ""),
    ):
        assert found.columns["top"].to_pylist() == expected
        assert found.totals is not None
        assert counted == [
            {name: number for name, number in zip(found.names, column, strict=True) if number}
            for column in found.totals.T.tolist()
        ]
    texts = kernels.joined_words(words, "|")
    assert (
        kernels.last_k(own, "words", None, "last", k, "", "|").columns["last"].to_pylist()
        == kernels.last_k(joined, "words", texts, "last", k, "", "|").columns["last"].to_pylist()
    )


def test_the_last_of_each_key_go_on_from_its_own_earlier_row() -> None:
    new = sorted_rows([(1, 7, 70), (2, 8, 80), (2, 9, 90), (3, 9, 99)])
    before = pa.table(
        {
            "key": [1, 2],
            "event_timestamp": pa.array([5, 6], pa.timestamp("us", "UTC")),
            "last": [[50, 40, 30], [60, 0, 0]],
            STATE: pa.array([[], []], STATE_TYPE),
        }
    )
    both = pa.concat_tables(
        [before.slice(0, 1), new.slice(0, 1), before.slice(1), new.slice(1)], promote_options="default"
    )
    found = kernels.last_k(piece_of(both, "key", None, None), "x", None, "last", 3, 0, "")
    assert found.columns["last"].to_pylist() == [[70, 50, 40], [80, 60, 0], [90, 80, 60], [99, 0, 0]]


def mean_std(
    values: list[float | None], step: float, origin: float = 0.0
) -> tuple[float | None, float | None]:
    """Mean and deviation of the values of one key at one instant."""
    table = pa.table(
        {
            "key": [1] * len(values),
            "event_timestamp": pa.array([0] * len(values), pa.timestamp("us", "UTC")),
            "x": pa.array(values, pa.float64()),
        }
    )
    found = kernels.mean_std(piece_of(table, "key", None, None), "x", step, origin, "mean", "std").columns
    return found["mean"].to_pylist()[0], found["std"].to_pylist()[0]


def test_deviation_is_null_where_nothing_was_there_and_zero_of_one_value() -> None:
    assert mean_std([4.5], 0.5, 1.0) == (4.5, 0.0)
    assert mean_std([None, None], 0.5) == (None, None)
    assert mean_std([None, 1.0], 0.5, 1.0) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("step", "origin"), [(0.5, 0.0), (0.5, 3.0), (0.1, 0.0), (0.1, 2.0), (5, 0), (1 / 256, 7)]
)
def test_sums_do_not_depend_on_the_order_of_addition_on_any_grid(step: float, origin: float) -> None:
    steps = np.random.default_rng(0).integers(0, 2000, 500)
    values = (steps * step).tolist()
    mean, std = mean_std(values, step, origin)
    assert (mean, std) == mean_std(values[::-1], step, origin)
    assert mean == pytest.approx(steps.mean() * step, rel=1e-14)
    assert std == pytest.approx(steps.std() * step, rel=1e-12)


def test_squares_are_of_the_steps_from_the_origin() -> None:
    found = kernels.mean_std(piece([(1, 0, 4), (1, 0, 2)]), "x", 0.5, 3.0, "mean", "std")
    assert found.totals is not None
    assert (list(found.names), found.totals.tolist()) == (
        ["mean:n", "mean:sum", "mean:squares"],
        [[2], [(8 - 6) + (4 - 6)], [(8 - 6) ** 2 + (4 - 6) ** 2]],
    )


def test_sums_stay_exact_past_what_a_float_holds() -> None:
    drawn = [(1, 0, 300_000_000)] * 99 + [(1, 0, 299_999_999)]
    found = kernels.mean_std(piece(drawn), "x", 1.0, 0.0, "mean", "std")
    squares = 99 * 300_000_000**2 + 299_999_999**2
    assert found.totals is not None
    assert found.totals[:, 0].tolist() == [100, 100 * 300_000_000 - 1, squares]
    assert int(float(squares)) != squares


def test_state_stands_on_the_newest_rows_only_and_leaves_out_what_is_zero() -> None:
    found = [
        kernels.Found({}, ["n", "sum"], np.array([[1, 2, 3], [10, 20, 0]])),
        kernels.Found({}),
        kernels.Found({}, ["word"], np.array([[0, 7, 0]])),
    ]
    state = kernels.state_of(found, np.array([False, True, True]))
    assert state.to_pylist() == [None, [("n", 2), ("sum", 20), ("word", 7)], [("n", 3)]]
    assert state.type == STATE_TYPE
    assert kernels.state_of([kernels.Found({})], np.array([False, True])).to_pylist() == [None, []]
