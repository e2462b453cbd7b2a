"""How good scores are, by scikit-learn.

Ties. Rows of equal score are one step of every curve: a positive and a negative of equal score count half in
the ROC-AUC, and the PR-AUC is the average precision (Σ (Rₙ - Rₙ₋₁) Pₙ, no interpolation), one step for each
distinct score. A row is predicted positive where score >= threshold.
"""

from typing import TypedDict

import numpy as np

from common.errors import MarqueeError

EPSILON = 1e-15
"""Probabilities are kept this far from 0 and 1 in the log loss."""


class Metrics(TypedDict):
    """Of one model on one set of rows.

    roc_auc, pr_auc: areas; pr_auc is the average precision.
    log_loss: mean -log of the probability given to what happened, natural logarithm.
    f1, precision, recall, accuracy: of `score >= threshold`.
    threshold: chosen elsewhere (on validation rows).
    positive_rate: share of positive rows.
    rows: number of rows.
    """

    roc_auc: float
    pr_auc: float
    log_loss: float
    f1: float
    precision: float
    recall: float
    accuracy: float
    threshold: float
    positive_rate: float
    rows: int


def best_threshold(liked: np.ndarray, scores: np.ndarray) -> float:
    """The threshold of the greatest F1; of several, the highest.

    Candidates are the distinct scores. Choose on validation rows, never on those that are reported.

    Args:
        liked: bool (rows,).
        scores: (rows,).
    """
    from sklearn.metrics import precision_recall_curve

    _check(liked, scores)
    precision, recall, thresholds = precision_recall_curve(liked, scores)
    both = precision[:-1] + recall[:-1]
    f1 = np.divide(2 * precision[:-1] * recall[:-1], both, out=np.zeros_like(both), where=both > 0)
    best = np.flatnonzero(f1 == f1.max())[-1]
    return float(thresholds[best])


def evaluate(liked: np.ndarray, scores: np.ndarray, threshold: float) -> Metrics:
    """All metrics of scores in [0, 1] at a threshold.

    Args:
        liked: bool (rows,).
        scores: probabilities of a like (rows,).
        threshold: `score >= threshold` is predicted positive.

    Raises:
        MarqueeError: rows of one class only, where no curve exists, or scores that are not numbers.
    """
    from sklearn.metrics import average_precision_score, log_loss, precision_recall_fscore_support

    _check(liked, scores)
    predicted = scores >= threshold
    precision, recall, f1, _ = precision_recall_fscore_support(
        liked, predicted, average="binary", zero_division=0.0
    )
    return Metrics(
        roc_auc=roc_auc(liked, scores),
        pr_auc=float(average_precision_score(liked, scores)),
        log_loss=float(log_loss(liked, np.clip(scores.astype(np.float64), EPSILON, 1 - EPSILON))),
        f1=float(f1),
        precision=float(precision),
        recall=float(recall),
        accuracy=float(np.mean(predicted == liked)),
        threshold=float(threshold),
        positive_rate=float(np.mean(liked)),
        rows=len(liked),
    )


def roc_auc(liked: np.ndarray, scores: np.ndarray) -> float:
    """The chance that a liked row scores above one that is not, ties counting half."""
    from sklearn.metrics import roc_auc_score

    _check(liked, scores)
    return float(roc_auc_score(liked, scores))


def log_loss_of(liked: np.ndarray, scores: np.ndarray) -> float:
    """Mean -log of the probability given to what happened."""
    p = np.clip(scores.astype(np.float64), EPSILON, 1 - EPSILON)
    return float(-np.mean(np.where(liked, np.log(p), np.log1p(-p))))


def attainable_share(auc: float, best: float) -> float:
    """(AUC - .5) / (best - .5): how much of what can be known a model knows."""
    return (auc - 0.5) / (best - 0.5)


def _check(liked: np.ndarray, scores: np.ndarray) -> None:
    if len(liked) != len(scores):
        raise MarqueeError(f"There are {len(liked)} labels but {len(scores)} scores: they must match.")
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).sum())
        raise MarqueeError(f"{bad} of {len(scores)} scores are not numbers: the model did not train.")
    if not (liked.any() and not liked.all()):
        what = "liked" if len(liked) and liked.all() else "not liked"
        raise MarqueeError(
            f"All {len(liked)} rows are {what}: metrics need both. Give more rows, or another like threshold."
        )
