"""Metrics: expected values as arithmetic, the tie policy, bad input."""

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import MarqueeError
from training.evaluate.metrics import (
    attainable_share,
    best_threshold,
    binary_metrics,
    class_log_loss,
    errors,
    log_loss_of,
    roc_auc,
)

LIKED = np.array([True, False, True, False])
SCORES = np.array([0.9, 0.6, 0.6, 0.1])


def test_roc_auc_counts_ties_as_half() -> None:
    # Of the four pairs (liked, not): .9 > .6, .9 > .1 and .6 > .1 are right, .6 = .6 is half right.
    assert roc_auc(LIKED, SCORES) == pytest.approx((1 + 1 + 1 + 0.5) / 4)


def test_pr_auc_is_the_average_precision_one_step_for_each_distinct_score() -> None:
    metrics = binary_metrics(LIKED, SCORES, threshold=0.5)
    # At .9 precision 1 and recall 1/2; at .6 both rows come at once: precision 2/3 and recall 1.
    assert metrics["pr_auc"] == pytest.approx(1 * (1 / 2) + (2 / 3) * (1 / 2))


def test_log_loss_is_the_mean_of_minus_the_log_of_what_happened() -> None:
    expected = -(log(0.9) + log(1 - 0.6) + log(0.6) + log(1 - 0.1)) / 4
    assert binary_metrics(LIKED, SCORES, threshold=0.5)["log_loss"] == pytest.approx(expected)
    assert log_loss_of(LIKED, SCORES) == pytest.approx(expected)


def test_log_loss_of_a_wrong_certainty_is_finite() -> None:
    assert log_loss_of(np.array([True, False]), np.array([0.0, 0.0])) == pytest.approx(-log(1e-15) / 2)


def test_precision_recall_and_f1_are_of_scores_at_or_above_the_threshold() -> None:
    metrics = binary_metrics(LIKED, SCORES, threshold=0.6)
    precision, recall = 2 / 3, 2 / 2
    assert metrics["precision"] == pytest.approx(precision)
    assert metrics["recall"] == pytest.approx(recall)
    assert metrics["f1"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert metrics["accuracy"] == pytest.approx(3 / 4)
    assert metrics["positive_rate"] == pytest.approx(2 / 4)
    assert metrics["rows"] == 4


def test_best_threshold_has_the_greatest_f1_of_all_distinct_scores() -> None:
    # Thresholds .9, .6, .1 give F1 = 2·1·.5/1.5 = 2/3, 2·(2/3)·1/(5/3) = 4/5, 2·(1/2)·1/(3/2) = 2/3.
    assert best_threshold(LIKED, SCORES) == 0.6


def test_best_threshold_is_the_highest_of_equals() -> None:
    # .8 gives precision 1, recall 1/2; .2 gives precision 1/2, recall 1: F1 is 2/3 both times.
    liked = np.array([True, False, False, True])
    assert best_threshold(liked, np.array([0.8, 0.5, 0.5, 0.2])) == 0.8


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
def test_curves_agree_with_counting_pairs_and_thresholds(rows: list[tuple[bool, int]]) -> None:
    liked = np.array([row[0] for row in rows])
    scores = np.array([row[1] / 5 for row in rows])
    if liked.all() or not liked.any():
        with pytest.raises(MarqueeError, match="metrics need both"):
            roc_auc(liked, scores)
        return
    wins = [1.0 if p > n else 0.5 if p == n else 0.0 for p in scores[liked] for n in scores[~liked]]
    assert roc_auc(liked, scores) == pytest.approx(sum(wins) / len(wins))

    def f1(threshold: float) -> float:
        hits = int((liked & (scores >= threshold)).sum())
        return 2 * hits / (int((scores >= threshold).sum()) + int(liked.sum()))

    best = max(f1(threshold) for threshold in scores)
    assert f1(best_threshold(liked, scores)) == pytest.approx(best)


def test_metrics_refuse_what_has_no_meaning() -> None:
    with pytest.raises(MarqueeError, match="All 2 rows are positive"):
        binary_metrics(np.array([True, True]), np.array([0.1, 0.2]), 0.5)
    with pytest.raises(MarqueeError, match="1 of 2 scores are not numbers"):
        binary_metrics(np.array([True, False]), np.array([0.1, np.nan]), 0.5)
    with pytest.raises(MarqueeError, match="2 labels but 3 scores"):
        roc_auc(np.array([True, False]), np.array([0.1, 0.2, 0.3]))


def test_attainable_share_is_of_the_gain_over_chance() -> None:
    assert attainable_share(0.74, 0.8) == pytest.approx(0.24 / 0.30)


def test_errors_are_in_the_units_of_the_values() -> None:
    values, predicted = np.array([1.0, 2.0, 5.0]), np.array([2.0, 2.0, 3.0])
    assert errors(values, predicted) == pytest.approx((((1 + 0 + 4) / 3) ** 0.5, (1 + 0 + 2) / 3))
    with pytest.raises(MarqueeError, match="1 of 3 scores are not numbers"):
        errors(values, np.array([1.0, np.inf, 2.0]))
    with pytest.raises(MarqueeError, match="no rows"):
        errors(values[:0], predicted[:0])


def test_log_loss_of_classes_counts_classes_that_no_row_has() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    found = class_log_loss(np.array([1, 2]), probabilities)
    assert found == pytest.approx(-(log(0.25) + log(0.8)) / 2)
    certain = class_log_loss(np.array([0]), np.array([[0.0, 1.0, 0.0]]))
    assert certain == pytest.approx(-log(1e-15), rel=1e-6)
