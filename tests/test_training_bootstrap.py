"""The paired bootstrap: equal to scikit-learn on drawn rows, and no surer than it may be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from common.errors import MarqueeError
from training.evaluate.bootstrap import _Auc, paired_difference


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 3)), min_size=2, max_size=30))
def test_weighted_auc_is_that_of_the_rows_repeated(rows: list[tuple[bool, int, int]]) -> None:
    liked = np.array([row[0] for row in rows])
    scores = np.array([row[1] / 4 for row in rows])
    weights = np.array([row[2] for row in rows])
    repeated = np.repeat(liked, weights)
    if not repeated.any() or repeated.all():
        return
    expected = roc_auc_score(repeated, np.repeat(scores, weights))
    assert _Auc(liked, scores)(weights) == pytest.approx(expected)


def scores_of(liked: np.ndarray, strength: float, seed: int) -> np.ndarray:
    return strength * liked + np.random.default_rng(seed).normal(size=len(liked))


def test_difference_is_that_of_the_mean_over_seeds() -> None:
    liked = np.arange(200) % 2 == 0
    first = [scores_of(liked, 1.0, seed) for seed in (1, 2)]
    second = [scores_of(liked, 0.5, seed) for seed in (3, 4, 5)]
    found = paired_difference("roc_auc", liked, first, second, replicates=50)
    expected = np.mean([roc_auc_score(liked, x) for x in first]) - np.mean(
        [roc_auc_score(liked, x) for x in second]
    )
    assert found.difference == pytest.approx(expected)
    assert found.low <= found.difference <= found.high


def test_the_same_scores_differ_by_nothing() -> None:
    liked = np.arange(100) % 3 == 0
    scores = scores_of(liked, 1.0, 0)
    found = paired_difference("roc_auc", liked, [scores], [scores], replicates=50)
    assert (found.difference, found.low, found.high) == (0.0, 0.0, 0.0)
    assert not found.beyond_noise


def test_a_clear_difference_is_beyond_noise_and_luck_is_not() -> None:
    liked = np.arange(2000) % 2 == 0
    weak, same = scores_of(liked, 0.3, 1), scores_of(liked, 0.3, 2)
    assert paired_difference(
        "roc_auc", liked, [scores_of(liked, 1.5, 3)], [weak], replicates=200
    ).beyond_noise
    assert not paired_difference("roc_auc", liked, [same], [weak], replicates=200).beyond_noise


def test_draws_repeat_with_their_seed() -> None:
    liked = np.arange(100) % 2 == 0
    first, second = scores_of(liked, 1.0, 1), scores_of(liked, 0.5, 2)
    one, again, other = (
        paired_difference("roc_auc", liked, [first], [second], replicates=50, seed=seed) for seed in (1, 1, 2)
    )
    assert one == again
    assert one != other


def test_scores_that_do_not_match_are_refused() -> None:
    liked = np.array([True, False])
    with pytest.raises(MarqueeError, match="2 labels but 3 scores"):
        paired_difference("roc_auc", liked, [np.zeros(3)], [np.zeros(2)])
    with pytest.raises(MarqueeError, match="scores of both models"):
        paired_difference("roc_auc", liked, [], [np.zeros(2)])


@pytest.mark.parametrize("by", ["rmse", "mae"])
def test_differences_of_errors_are_those_of_the_rows_repeated(by: str) -> None:
    random = np.random.default_rng(0)
    values, first, second = random.random((3, 300))
    found = paired_difference(by, values, [first], [second], replicates=100)

    def error(scores: np.ndarray) -> float:
        off = np.abs(scores - values)
        return float(np.sqrt((off**2).mean()) if by == "rmse" else off.mean())

    assert found.difference == pytest.approx(error(first) - error(second))
    assert found.low < found.difference < found.high


def test_a_metric_without_weights_is_refused() -> None:
    with pytest.raises(MarqueeError, match="no metric to draw intervals of 'f1'"):
        paired_difference("f1", np.zeros(2), [np.zeros(2)], [np.zeros(2)])
