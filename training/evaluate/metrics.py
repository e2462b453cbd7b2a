"""How good predictions are, by scikit-learn.

Ties. Rows of equal score are one step of every curve: a positive and a negative of equal score count half in
the ROC-AUC, and the PR-AUC is the average precision (Σ (Rₙ - Rₙ₋₁) Pₙ, no interpolation), one step for each
distinct score. A row is predicted positive where score >= threshold.
"""

from typing import TypedDict

import numpy as np

from common.errors import MarqueeError

EPSILON = 1e-15
"""Probabilities are kept this far from 0 and 1 in the log loss."""


TITLES = {
    "roc_auc": "ROC-AUC",
    "auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "log_loss": "log loss",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "accuracy": "accuracy",
    "rmse": "RMSE",
    "mae": "MAE",
    "mse": "mean squared error",
}
"""The names of metrics for people, and of what training watches."""


LOSSES = ("log_loss", "rmse", "mae", "mse")


def better(metric: str) -> int:
    """1 where more of a metric is better, -1 where less is."""
    return -1 if metric in LOSSES else 1


class BinaryMetrics(TypedDict):
    """Metrics of probabilities, of one model on one set of rows.

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


def best_threshold(positive: np.ndarray, scores: np.ndarray) -> float:
    """The threshold of the greatest F1; of several, the highest.

    Candidates are the distinct scores. Choose on validation rows, never on those that are reported.

    Args:
        positive: bool (rows,).
        scores: (rows,).
    """
    from sklearn.metrics import precision_recall_curve

    _check(positive, scores)
    precision, recall, thresholds = precision_recall_curve(positive, scores)
    both = precision[:-1] + recall[:-1]
    f1 = np.divide(2 * precision[:-1] * recall[:-1], both, out=np.zeros_like(both), where=both > 0)
    best = np.flatnonzero(f1 == f1.max())[-1]
    return float(thresholds[best])


def binary_metrics(positive: np.ndarray, scores: np.ndarray, threshold: float) -> BinaryMetrics:
    """All metrics of scores in [0, 1] at a threshold.

    Args:
        positive: bool (rows,).
        scores: probabilities of the positive class (rows,).
        threshold: `score >= threshold` is predicted positive.

    Raises:
        MarqueeError: rows of one class only, where no curve exists, or scores that are not numbers.
    """
    from sklearn.metrics import average_precision_score, log_loss, precision_recall_fscore_support

    _check(positive, scores)
    predicted = scores >= threshold
    precision, recall, f1, _ = precision_recall_fscore_support(
        positive, predicted, average="binary", zero_division=0.0
    )
    return BinaryMetrics(
        roc_auc=roc_auc(positive, scores),
        pr_auc=float(average_precision_score(positive, scores)),
        log_loss=float(log_loss(positive, np.clip(scores.astype(np.float64), EPSILON, 1 - EPSILON))),
        f1=float(f1),
        precision=float(precision),
        recall=float(recall),
        accuracy=float(np.mean(predicted == positive)),
        threshold=float(threshold),
        positive_rate=float(np.mean(positive)),
        rows=len(positive),
    )


def roc_auc(positive: np.ndarray, scores: np.ndarray) -> float:
    """The chance that a positive row scores above a negative one, ties counting half."""
    from sklearn.metrics import roc_auc_score

    _check(positive, scores)
    return float(roc_auc_score(positive, scores))


def log_loss_of(positive: np.ndarray, scores: np.ndarray) -> float:
    """Mean -log of the probability given to what happened."""
    p = np.clip(scores.astype(np.float64), EPSILON, 1 - EPSILON)
    return float(-np.mean(np.where(positive, np.log(p), np.log1p(-p))))


def class_log_loss(classes: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean -log of the probability given to the class that happened.

    Args:
        classes: int (rows,), from 0.
        probabilities: (rows, classes).
    """
    from sklearn.metrics import log_loss

    _check_numbers(classes, probabilities)
    kept = np.clip(probabilities, EPSILON, 1)
    labels = np.arange(probabilities.shape[1])
    return float(log_loss(classes, kept / kept.sum(axis=1, keepdims=True), labels=labels))


def errors(values: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    """Root of the mean squared error, and mean absolute error, in units of the values.

    Args:
        values, predicted: float (rows,).

    Raises:
        MarqueeError: no rows, another number of them, or predictions that are not numbers.
    """
    from sklearn.metrics import mean_absolute_error, root_mean_squared_error

    _check_numbers(values, predicted)
    if not len(values):
        raise MarqueeError("There are no rows to measure an error on.")
    return float(root_mean_squared_error(values, predicted)), float(mean_absolute_error(values, predicted))


def attainable_share(auc: float, best: float) -> float:
    """(AUC - .5) / (best - .5): how much of what can be known a model knows."""
    return (auc - 0.5) / (best - 0.5)


def _check(positive: np.ndarray, scores: np.ndarray) -> None:
    _check_numbers(positive, scores)
    if not (positive.any() and not positive.all()):
        what = "positive" if len(positive) and positive.all() else "negative"
        raise MarqueeError(f"All {len(positive)} rows are {what}: metrics need both. Give more rows.")


def _check_numbers(labels: np.ndarray, scores: np.ndarray) -> None:
    if len(labels) != len(scores):
        raise MarqueeError(f"There are {len(labels)} labels but {len(scores)} scores: they must match.")
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).sum())
        raise MarqueeError(f"{bad} of {len(scores)} scores are not numbers: the model did not train.")
