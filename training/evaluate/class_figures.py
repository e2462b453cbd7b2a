"""Figures of a binary task: curves, scores and classes. Scores are probabilities of the positive class."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from training.evaluate.picture import PALETTE, Picture, colours, picture, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Pair = tuple[np.ndarray, np.ndarray]
"""Of one model on some rows: which are positive, bool (rows,), and their scores (rows,)."""
SCATTERED = 2000
"""A scatter shows at most so many rows."""


def roc_curves(models: Mapping[str, Pair]) -> Picture:
    """ROC curves with each model's best point (greatest TPR - FPR); MMDIN's figure 4."""
    from sklearn.metrics import roc_auc_score, roc_curve

    def draw(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], linestyle=":", linewidth=1, color="0.5")
        for colour, (name, (positive, scores)) in zip(colours(), models.items(), strict=False):
            false, true, _ = roc_curve(positive, scores)
            auc = roc_auc_score(positive, scores)
            axes.plot(*thinned(false, true), color=colour, label=f"{name}  {auc:.4f}")
            best = int(np.argmax(true - false))
            axes.plot(false[best], true[best], "o", markersize=5, color=colour)
        axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.01))
        axes.legend(title="ROC-AUC", loc="lower right")

    return picture(draw, "ROC curves; a dot marks the greatest distance from chance.")


def precision_recall_curves(models: Mapping[str, Pair]) -> Picture:
    """PR curves, the positive rate as a line, each model's best point (greatest F1); MMDIN's figure 3."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    def draw(axes: "Axes") -> None:
        for colour, (name, (positive, scores)) in zip(colours(), models.items(), strict=False):
            precision, recall, _ = precision_recall_curve(positive, scores)
            area = average_precision_score(positive, scores)
            axes.plot(*thinned(recall, precision), color=colour, label=f"{name}  {area:.4f}")
            both = np.maximum(precision + recall, 1e-12)
            best = int(np.argmax(2 * precision * recall / both))
            axes.plot(recall[best], precision[best], "o", markersize=5, color=colour)
        rate = float(np.mean(next(iter(models.values()))[0]))
        axes.axhline(rate, linestyle=":", linewidth=1, color="0.5")
        axes.annotate("positive rate", (0.01, rate), va="bottom", fontsize=8, color="0.5")
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(min(0.4, rate - 0.05), 1.01))
        axes.legend(title="PR-AUC", loc="lower left")

    return picture(draw, "Precision and recall; a dot marks the greatest F1.")


def score_histogram(name: str, positive: np.ndarray, scores: np.ndarray, says: str) -> Picture:
    """What scores the positive and the other rows got.

    Args:
        name: of the model.
        positive, scores: of the rows, as in `Pair`.
        says: what positive means, such as "clicked".
    """

    def draw(axes: "Axes") -> None:
        edges = np.linspace(0, 1, 41)
        for kind, colour, label in _kinds(says):
            axes.hist(
                scores[positive == kind],
                bins=edges.tolist(),
                histtype="stepfilled",
                alpha=0.55,
                color=colour,
                label=label,
            )
        axes.set(xlabel=f"predicted probability of {says}", ylabel="test rows", xlim=(0, 1))
        axes.legend()

    return picture(draw, f"Scores of {name}, by what happened.")


def class_balance(parts: Mapping[str, tuple[int, int]], says: str) -> Picture:
    """Positive and other rows of each part; MMDIN's figure 2.

    Args:
        parts: positive rows and all rows, by part ("training", "test", …).
        says: what positive means, such as "clicked".
    """

    def draw(axes: "Axes") -> None:
        places = np.arange(len(parts))
        for offset, (kind, colour, label) in zip((-0.2, 0.2), _kinds(says), strict=True):
            counts = [positive if kind else rows - positive for positive, rows in parts.values()]
            drawn = axes.bar(places + offset, counts, width=0.38, color=colour, label=label)
            shares = [count / max(rows, 1) for count, (_, rows) in zip(counts, parts.values(), strict=True)]
            axes.bar_label(drawn, [f"{share:.1%}" for share in shares], fontsize=8)
        axes.set_xticks(places, list(parts))
        axes.set(ylabel="rows")
        axes.legend()

    return picture(draw, f"{says.capitalize()} and other rows of each part.")


def score_scatter(
    name: str, positive: np.ndarray, scores: np.ndarray, threshold: float, says: str, seed: int = 0
) -> Picture:
    """Each row's score against a random x, coloured by what happened, with the threshold; MMDIN's figure 5.

    Args:
        name: of the model.
        positive, scores: of the rows, as in `Pair`.
        threshold: from which score on a row counts as positive.
        says: what positive means, such as "clicked".
        seed: of the rows shown and of x.
    """

    def draw(axes: "Axes") -> None:
        random = np.random.default_rng(seed)
        rows = random.permutation(len(scores))[:SCATTERED]
        x = random.random(len(rows))
        for kind, colour, label in _kinds(says):
            here = positive[rows] == kind
            axes.scatter(
                x[here],
                scores[rows][here],
                s=5,
                alpha=0.5,
                linewidths=0,
                color=colour,
                label=label,
                rasterized=True,
            )
        axes.axhline(
            threshold, linestyle="--", linewidth=1.2, color="0.5", label=f"threshold {threshold:.3f}"
        )
        axes.set(xlabel="random", ylabel="predicted probability", xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, markerscale=3)

    return picture(draw, f"Scores of {name}, coloured by what happened.")


def _kinds(says: str) -> tuple[tuple[bool, str, str], tuple[bool, str, str]]:
    """Both classes, each with its colour and its name."""
    return (True, PALETTE[2], says), (False, PALETTE[5], f"not {says}")
