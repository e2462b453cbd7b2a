"""Cutting labelled rows: nothing lost, nothing twice, no instant torn apart."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import MarqueeError
from training.data.splits import SHARES, before_test, split


def at(seconds: list[int]) -> pa.Table:
    start = datetime(2000, 1, 1, tzinfo=UTC)
    times = [start + timedelta(seconds=second) for second in seconds]
    return pa.table({"event_timestamp": pa.array(times, pa.timestamp("us", "UTC"))})


def test_time_split_has_the_shares_asked_for() -> None:
    parts = split(at(list(range(100))))
    assert [len(part) for part in (parts.train, parts.valid, parts.test)] == [72, 8, 20]
    assert parts.train.tolist() == list(range(72))
    assert parts.test.tolist() == list(range(80, 100))
    assert not parts.leaky


def test_time_split_keeps_rows_of_one_instant_together() -> None:
    # The first cut, at row 72, falls among the ones, and the second, at row 80, among the twos.
    seconds = [0] * 60 + [1] * 15 + [2] * 10 + [3] * 15
    parts = split(at(seconds))
    assert [len(part) for part in (parts.train, parts.valid, parts.test)] == [75, 10, 15]


@given(
    seconds=st.lists(st.integers(0, 40), min_size=40, max_size=200),
    seed=st.integers(0, 3),
    strategy=st.sampled_from(["time", "random"]),
)
def test_every_row_is_in_exactly_one_part(seconds: list[int], seed: int, strategy: str) -> None:
    try:
        parts = split(at(seconds), strategy, seed=seed)
    except MarqueeError:
        assert strategy == "time"  # so few instants that a part would be empty
        return
    rows = np.concatenate([parts.train, parts.valid, parts.test])
    assert sorted(rows.tolist()) == list(range(len(seconds)))
    if strategy == "time":
        times = np.array(seconds)
        assert times[parts.train].max() < times[parts.valid].min()
        assert times[parts.valid].max() < times[parts.test].min()


def test_time_split_does_not_depend_on_the_order_of_rows() -> None:
    seconds = np.random.default_rng(0).permutation(100)
    parts = split(at(seconds.tolist()))
    assert sorted(seconds[parts.train]) == list(range(72))


def test_random_split_is_leaky_and_repeats_with_its_seed() -> None:
    table = at(list(range(1000)))
    first, again, other = (split(table, "random", seed=seed) for seed in (1, 1, 2))
    assert first.leaky
    assert first.train.tolist() == again.train.tolist()
    assert first.train.tolist() != other.train.tolist()
    assert [len(part) for part in (first.train, first.valid, first.test)] == [720, 80, 200]
    assert first.test.min() < first.train.max()


def test_split_refuses_what_it_cannot_do() -> None:
    table = at(list(range(100)))
    with pytest.raises(MarqueeError, match="There is no split 'by_user'"):
        split(table, "by_user")
    with pytest.raises(MarqueeError, match="add up to 1"):
        split(table, shares=(0.5, 0.5, 0.5))
    with pytest.raises(MarqueeError, match="positive and add up to 1"):
        split(table, shares=(0.8, 0.2, 0.0))
    with pytest.raises(MarqueeError, match="no row is left for training"):
        split(at([0, 1, 2, 3]), shares=(0.1, 0.4, 0.5))
    with pytest.raises(MarqueeError, match="no row is left for validation"):
        split(at([0, 0, 0, 1]))
    with pytest.raises(MarqueeError, match="no row is left for test"):
        split(at([0, 1, 2, 2]), shares=(0.25, 0.5, 0.25))
    with pytest.raises(MarqueeError, match=r"^100 labels are too few .* Give more events"):
        split(table, shares=(0.001, 0.499, 0.5))
    missing = pa.table({"event_timestamp": pa.array([None, datetime.now(UTC)], pa.timestamp("us", "UTC"))})
    with pytest.raises(MarqueeError, match="1 of 2 labels have no event_timestamp"):
        split(missing)


def test_labels_that_share_their_instants_are_not_said_to_be_too_few() -> None:
    with pytest.raises(MarqueeError, match=r"^All 472 labels share one instant, and .* --split random"):
        split(at([7] * 472))
    with pytest.raises(MarqueeError, match=r"^1,000 labels share 3 instants, and .* left for validation"):
        split(at([0] * 900 + [1, 2] * 50))
    assert len(split(at([7] * 472), "random").test)


def test_shares_may_miss_1_by_what_floats_do_and_be_small() -> None:
    parts = split(at(list(range(10))), shares=(0.7, 0.2, 0.1 + 1e-12))
    assert {name: len(part) for name, part in parts.parts.items()} == {
        "training": 7,
        "validation": 2,
        "test": 1,
    }


def test_shares_are_the_papers() -> None:
    assert SHARES == (0.72, 0.08, 0.20)


@given(
    again=st.lists(st.integers(0, 119), max_size=60),
    strategy=st.sampled_from(["time", "random"]),
)
def test_cuts_before_the_test_score_different_rows_and_never_the_tests(
    again: list[int], strategy: str
) -> None:
    seconds = [*range(120), *again]
    table = at(seconds)
    parts = split(table, strategy)
    before = np.sort(np.concatenate([parts.train, parts.valid]))
    cuts = before_test(table, strategy, 2)
    scored = np.concatenate([cut.later for cut in cuts])
    assert len(np.unique(scored)) == len(scored)
    times = np.array(seconds)
    for cut in cuts:
        rows = np.concatenate([cut.train, cut.valid, cut.later])
        assert len(np.unique(rows)) == len(rows)
        assert set(rows) <= set(before)
        np.testing.assert_array_equal(cut.earlier, np.sort([*cut.train, *cut.valid]))
        assert min(len(cut.train), len(cut.valid), len(cut.later)) > 0
        if strategy == "time":
            assert times[cut.train].max() < times[cut.valid].min()
            assert times[cut.valid].max() < times[cut.later].min()
        else:
            assert len(rows) == len(before)
    if strategy == "time":
        np.testing.assert_array_equal(cuts[0].later, parts.valid)


def test_cuts_in_time_lie_one_block_earlier_each() -> None:
    cuts = before_test(at(list(range(100))), "time", 2)
    assert [[(part.min(), part.max()) for part in (cut.train, cut.valid, cut.later)] for cut in cuts] == [
        [(0, 63), (64, 71), (72, 79)],
        [(0, 55), (56, 63), (64, 71)],
    ]


def test_cuts_in_time_go_by_the_column_that_is_asked_for() -> None:
    table = at(list(range(100)))
    backwards = table.append_column("position", pa.array(range(100, 0, -1), pa.int64()))
    for cut in before_test(backwards, "time", 2, by="position"):
        assert cut.train.min() > cut.valid.max() > cut.valid.min() > cut.later.max() > 19


def test_cuts_at_random_are_dealt_by_their_seed_in_blocks_of_one_size() -> None:
    table = at(list(range(100)))
    first, again, other = (before_test(table, "random", 3, seed=seed) for seed in (1, 1, 2))
    assert [cut.later.tolist() for cut in first] == [cut.later.tolist() for cut in again]
    assert [cut.later.tolist() for cut in first] != [cut.later.tolist() for cut in other]
    parts = split(table, "random", seed=1)
    for cut in first:
        assert not np.intersect1d(cut.train, parts.test).size
        assert [len(part) for part in (cut.train, cut.valid, cut.later)] == [64, 8, 8]
        assert all((np.diff(part) > 0).all() for part in (cut.train, cut.valid, cut.later))
    for cut, following in pairwise(first):
        assert cut.valid.tolist() != cut.later.tolist()
        assert cut.valid.tolist() == following.later.tolist()


@pytest.mark.parametrize("strategy", ["time", "random"])
def test_cuts_before_the_test_have_the_shares_that_are_asked_for(strategy: str) -> None:
    table, shares = at(list(range(100))), (0.5, 0.2, 0.3)
    parts = split(table, strategy, shares=shares)
    for cut in before_test(table, strategy, 1, shares=shares):
        assert len(cut.later) == 20
        assert not np.intersect1d(np.concatenate([cut.earlier, cut.later]), parts.test).size


def test_too_many_cuts_before_the_test_are_refused() -> None:
    table = at(list(range(100)))
    for strategy in ("time", "random"):
        assert len(before_test(table, strategy, 8)) == 8
        with pytest.raises(MarqueeError, match="80 rows are too few for 9 cuts in blocks of 8"):
            before_test(table, strategy, 9)


@pytest.mark.parametrize("seconds", [[0] * 72, [0] + [1] * 71, [0] * 30 + [1] * 42])
def test_too_many_cuts_for_the_instants_are_refused(seconds: list[int]) -> None:
    later = at([*seconds, *range(100, 128)])
    with pytest.raises(MarqueeError, match="80 rows are of too few instants for 2 cuts"):
        before_test(later, "time", 2)


@pytest.mark.parametrize(
    ("instants", "shares", "says"),
    [
        ([7], SHARES, "^1 label is too few to split by time"),
        ([1, 2], (0.2, 0.3, 0.5), "^2 labels are too few to split by time"),
        (list(range(10)), (0.04, 0.43, 0.53), "^10 labels are too few .* no row is left for training"),
        (list(range(10)), (0.46, 0.06, 0.48), "^10 labels are too few .* no row is left for validation"),
        ([1] * 4, (0.25, 0.25, 0.5), "^All 4 labels share one instant"),
        ([1, 1, 2, 2], (0.5, 0.25, 0.25), "^4 labels share 2 instants"),
        (
            [1, 2, 3, 4],
            (0.5, 0.1, 0.4),
            "^4 labels are too few .* no row is left for validation",
        ),
        ([1, 2, 3, 4], (0.5, 0.4, 0.1), "^4 labels are too few .* no row is left for test"),
        (
            [1, 1, 2, 2],
            (0.1, 0.5, 0.4),
            "^4 labels are too few .* no row is left for training",
        ),
    ],
)
def test_labels_are_said_to_be_few_or_to_share_their_instants(
    instants: list[int], shares: tuple[float, float, float], says: str
) -> None:
    with pytest.raises(MarqueeError, match=says):
        split(at(instants), shares=shares)
