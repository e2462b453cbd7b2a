"""Paired bootstrap: how far the difference of two models could be the luck of the test rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from common.errors import MarqueeError, unknown

REPLICATES = 1000
Weighted = Callable[[np.ndarray], float]
"""From the weights of rows, int (rows,), to a metric."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference and the interval that it lies in.

    Args:
        difference: on the rows as they are.
        low, high: of the percentile interval.
        level: the share of replicates within.
    """

    difference: float
    low: float
    high: float
    level: float

    @property
    def beyond_noise(self) -> bool:
        """Whether 0 lies outside."""
        return self.low > 0 or self.high < 0


def paired_difference(
    by: str,
    labels: np.ndarray,
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    *,
    replicates: int = REPLICATES,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Mean of a metric of `first` less that of `second`, each over its seeds, on rows drawn with replacement.

    Both are measured on the same drawn rows (paired), so that what is hard for both cancels.

    Args:
        by: the metric, a key of `WEIGHTED`.
        labels: (rows,): bool for "roc_auc", values for errors.
        first, second: scores (rows,) of each seed.
        replicates: number of draws.
        level: of the interval.
        seed: of the draws.

    Raises:
        MarqueeError: no scores, scores of another number of rows, or a metric that is not weighted here.

    Reference: B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    if by not in WEIGHTED:
        raise unknown("metric to draw intervals of", by, WEIGHTED)
    if not first or not second:
        raise MarqueeError("A bootstrap needs scores of both models.")
    for scores in (*first, *second):
        if len(scores) != len(labels):
            raise MarqueeError(f"There are {len(labels)} labels but {len(scores)} scores: they must match.")
    one, two = ([WEIGHTED[by](labels, scores) for scores in side] for side in (first, second))

    def difference(weights: np.ndarray) -> float:
        return float(np.mean([x(weights) for x in one]) - np.mean([x(weights) for x in two]))

    random = np.random.default_rng(seed)
    rows = len(labels)
    drawn: list[float] = []
    while len(drawn) < replicates:
        weights = np.bincount(random.integers(0, rows, rows), minlength=rows)
        if by != "roc_auc" or 0 < weights[labels].sum() < rows:  # else there is no curve
            drawn.append(difference(weights))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(difference(np.ones(rows, dtype=np.int64)), float(low), float(high), level)


class _Auc:
    """The ROC-AUC of weighted rows; scores are sorted once, so that each is one pass."""

    def __init__(self, positive: np.ndarray, scores: np.ndarray) -> None:
        self.order = np.argsort(scores, kind="stable")
        self.positive = positive[self.order]
        ordered = scores[self.order]
        self.starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))

    def __call__(self, weights: np.ndarray) -> float:
        """The chance that a positive row scores above a negative one, ties counting half."""
        drawn = weights[self.order]
        positive = np.add.reduceat(np.where(self.positive, drawn, 0), self.starts).astype(np.float64)
        negative = np.add.reduceat(np.where(self.positive, 0, drawn), self.starts).astype(np.float64)
        below = np.cumsum(negative) - negative
        return float((positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum()))


def _rmse(values: np.ndarray, scores: np.ndarray) -> Weighted:
    squares = (scores - values) ** 2
    return lambda weights: float(np.sqrt(np.average(squares, weights=weights)))


def _mae(values: np.ndarray, scores: np.ndarray) -> Weighted:
    errors = np.abs(scores - values)
    return lambda weights: float(np.average(errors, weights=weights))


WEIGHTED: dict[str, Callable[[np.ndarray, np.ndarray], Weighted]] = {
    "roc_auc": _Auc,
    "rmse": _rmse,
    "mae": _mae,
}
"""The metrics that intervals can be drawn of: from labels and scores to the metric of weighted rows."""
