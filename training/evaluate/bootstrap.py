"""Paired bootstrap: how far the difference of two models could be the luck of the test rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.errors import MarqueeError

REPLICATES = 1000


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


def auc_difference(
    liked: np.ndarray,
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    *,
    replicates: int = REPLICATES,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Mean ROC-AUC of `first` less that of `second`, each over its seeds, on rows drawn with replacement.

    Both are measured on the same drawn rows (paired), so that what is hard for both cancels.

    Args:
        liked: bool (rows,).
        first, second: scores (rows,) of each seed.
        replicates: number of draws.
        level: of the interval.
        seed: of the draws.

    Raises:
        MarqueeError: no scores, or scores of another number of rows.

    Reference: B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    if not first or not second:
        raise MarqueeError("A bootstrap needs scores of both models.")
    for scores in (*first, *second):
        if len(scores) != len(liked):
            raise MarqueeError(f"There are {len(liked)} labels but {len(scores)} scores: they must match.")
    one, two = ([_Ranked(liked, scores) for scores in side] for side in (first, second))

    def difference(weights: np.ndarray) -> float:
        return float(np.mean([x.auc(weights) for x in one]) - np.mean([x.auc(weights) for x in two]))

    random = np.random.default_rng(seed)
    rows = len(liked)
    drawn: list[float] = []
    while len(drawn) < replicates:
        weights = np.bincount(random.integers(0, rows, rows), minlength=rows)
        if 0 < weights[liked].sum() < rows:  # else there is no curve
            drawn.append(difference(weights))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(difference(np.ones(rows, dtype=np.int64)), float(low), float(high), level)


class _Ranked:
    """Scores sorted once, so that each weighted AUC is one pass."""

    def __init__(self, liked: np.ndarray, scores: np.ndarray) -> None:
        self.order = np.argsort(scores, kind="stable")
        self.liked = liked[self.order]
        ordered = scores[self.order]
        self.starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))

    def auc(self, weights: np.ndarray) -> float:
        """The chance that a liked row scores above one that is not, ties counting half."""
        drawn = weights[self.order]
        positive = np.add.reduceat(np.where(self.liked, drawn, 0), self.starts).astype(np.float64)
        negative = np.add.reduceat(np.where(self.liked, 0, drawn), self.starts).astype(np.float64)
        below = np.cumsum(negative) - negative
        return float((positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum()))
