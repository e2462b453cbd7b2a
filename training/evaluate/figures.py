"""Figures, drawn from results alone. Each is two SVGs, one for light pages and one for dark."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from training.fit.curve import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#3b76d6", "#d9822b", "#2a9d76", "#b5489f", "#8a7d2c", "#c8483d", "#4aa3b8", "#7a6ad0")
"""Colours of models and series, legible on both grounds."""
SIZE = (5.2, 3.6)
POINTS = 400
"""A curve is drawn with at most so many points."""
SCATTERED = 2000
"""A scatter shows at most so many rows."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model said of some rows.

    Args:
        liked: bool (rows,).
        scores: probabilities of a like (rows,).
    """

    liked: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True, slots=True)
class Picture:
    """One figure as SVG, twice."""

    light: str
    dark: str
    caption: str
    draw: Callable[["Figure"], None] = field(compare=False, repr=False)
    size: tuple[float, float] = SIZE

    def png(self) -> bytes:
        """The light version as PNG, on white, for documents that hold no SVG."""
        from matplotlib.figure import Figure

        with _style(dark=False):
            figure = Figure(figsize=self.size, layout="constrained")
            self.draw(figure)
            file = io.BytesIO()
            figure.savefig(file, format="png", dpi=160, facecolor="white", metadata={"Software": None})
        return file.getvalue()


def roc_curves(models: Mapping[str, Scores]) -> Picture:
    """ROC curves with each model's best point (greatest TPR - FPR); MMDIN's figure 4."""
    from sklearn.metrics import roc_auc_score, roc_curve

    def draw(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], linestyle=":", linewidth=1, color="0.5")
        for colour, (name, found) in zip(_colours(), models.items(), strict=False):
            false, true, _ = roc_curve(found.liked, found.scores)
            auc = roc_auc_score(found.liked, found.scores)
            axes.plot(*_thinned(false, true), color=colour, label=f"{name}  {auc:.4f}")
            best = int(np.argmax(true - false))
            axes.plot(false[best], true[best], "o", markersize=5, color=colour)
        axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.01))
        axes.legend(title="ROC-AUC", loc="lower right")

    return _picture(draw, "ROC curves; a dot marks the greatest distance from chance.")


def precision_recall_curves(models: Mapping[str, Scores]) -> Picture:
    """PR curves with the positive rate as a line and each model's best point (greatest F1); figure 3."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    def draw(axes: "Axes") -> None:
        for colour, (name, found) in zip(_colours(), models.items(), strict=False):
            precision, recall, _ = precision_recall_curve(found.liked, found.scores)
            area = average_precision_score(found.liked, found.scores)
            axes.plot(*_thinned(recall, precision), color=colour, label=f"{name}  {area:.4f}")
            both = np.maximum(precision + recall, 1e-12)
            best = int(np.argmax(2 * precision * recall / both))
            axes.plot(recall[best], precision[best], "o", markersize=5, color=colour)
        rate = float(np.mean(next(iter(models.values())).liked))
        axes.axhline(rate, linestyle=":", linewidth=1, color="0.5")
        axes.annotate("positive rate", (0.01, rate), va="bottom", fontsize=8, color="0.5")
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(min(0.4, rate - 0.05), 1.01))
        axes.legend(title="PR-AUC", loc="lower left")

    return _picture(draw, "Precision and recall; a dot marks the greatest F1.")


def training_curves(models: Mapping[str, Curve]) -> Picture:
    """Log loss by epoch, a panel a model: training dashed, validation solid, a dot at the epoch kept."""
    from matplotlib.ticker import MaxNLocator

    def draw(figure: "Figure") -> None:
        panels = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
        for axes, colour, (name, curve) in zip(panels, _colours(), models.items(), strict=False):
            epochs = [point.epoch for point in curve.epochs]
            axes.plot(epochs, [point.loss for point in curve.epochs], color=colour, linestyle="--", alpha=0.7)
            validation = [point.val_log_loss for point in curve.epochs]
            axes.plot(epochs, validation, color=colour)
            if curve.best in epochs:
                axes.plot(curve.best, validation[epochs.index(curve.best)], "o", markersize=5, color=colour)
            axes.set_title(name, fontsize=9)
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        panels[0].set_ylabel("log loss")

    caption = "Training (dashed) and validation (solid) loss; a dot marks the epoch kept."
    return Picture(_svg(draw, SIZE, dark=False), _svg(draw, SIZE, dark=True), caption, draw)


def score_histogram(name: str, found: Scores) -> Picture:
    """What scores the liked and the other rows got."""

    def draw(axes: "Axes") -> None:
        edges = np.linspace(0, 1, 41)
        for colour, liked, label in ((PALETTE[2], True, "liked"), (PALETTE[5], False, "not liked")):
            rows = found.scores[found.liked == liked]
            axes.hist(rows, bins=edges.tolist(), alpha=0.55, color=colour, label=label)
        axes.set(xlabel="predicted probability of a like", ylabel="test rows", xlim=(0, 1))
        axes.legend()

    return _picture(draw, f"Scores of {name}, by what happened.")


def bars(labels: Sequence[str], counts: Sequence[float], xlabel: str, caption: str) -> Picture:
    """Counts by category."""

    def draw(axes: "Axes") -> None:
        axes.bar(range(len(labels)), counts, color=PALETTE[0], width=0.75)
        step = -(-len(labels) // 10)
        axes.set_xticks(range(0, len(labels), step), labels[::step])
        axes.set(xlabel=xlabel)

    return _picture(draw, caption)


def histograms(columns: Mapping[str, np.ndarray], caption: str) -> Picture:
    """How each of several columns spreads, side by side; NaN counts as missing and is told as a share."""
    across = 4
    down = -(-len(columns) // across)

    def draw(figure: "Figure") -> None:
        for place, (name, values) in enumerate(columns.items()):
            axes = figure.add_subplot(down, across, place + 1)
            there = values[np.isfinite(values)]
            axes.hist(there, bins=40, color=PALETTE[0])
            missing = 1 - len(there) / max(len(values), 1)
            axes.set_title(f"{name}  (missing {missing:.0%})" if missing else name, fontsize=7.5)
            axes.set_yticks([])
            axes.tick_params(labelsize=7)
            axes.grid(visible=False)

    size = (2.7 * across, 1.35 * down + 0.2)
    return Picture(_svg(draw, size, dark=False), _svg(draw, size, dark=True), caption, draw, size)


def class_balance(parts: Mapping[str, np.ndarray]) -> Picture:
    """Liked and other rows of each part ("train", "test", …); figure 2.

    Args:
        parts: bool (rows,) by part.
    """

    def draw(axes: "Axes") -> None:
        places = np.arange(len(parts))
        for offset, liked, colour, label in (
            (-0.2, True, PALETTE[2], "liked"),
            (0.2, False, PALETTE[5], "not liked"),
        ):
            counts = [int((flags == liked).sum()) for flags in parts.values()]
            drawn = axes.bar(places + offset, counts, width=0.38, color=colour, label=label)
            shares = [count / max(len(flags), 1) for count, flags in zip(counts, parts.values(), strict=True)]
            axes.bar_label(drawn, [f"{share:.1%}" for share in shares], fontsize=8)
        axes.set_xticks(places, list(parts))
        axes.set(ylabel="rows")
        axes.legend()

    return _picture(draw, "Liked and other rows of each part.")


def score_scatter(name: str, found: Scores, threshold: float, seed: int = 0) -> Picture:
    """Each row's score against a random x, coloured by what happened, with the threshold; figure 5."""

    def draw(axes: "Axes") -> None:
        random = np.random.default_rng(seed)
        rows = random.permutation(len(found.scores))[:SCATTERED]
        x = random.random(len(rows))
        liked, scores = found.liked[rows], found.scores[rows]
        for kind, colour, label in ((True, PALETTE[2], "liked"), (False, PALETTE[5], "not liked")):
            here = liked == kind
            axes.scatter(
                x[here],
                scores[here],
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

    return _picture(draw, f"Scores of {name}, coloured by what happened.")


def metric_bars(
    models: Mapping[str, Mapping[str, float]], deviations: Mapping[str, Mapping[str, float]] | None = None
) -> Picture:
    """Every metric of every model, side by side, with deviations over seeds where given; figure 6.

    Args:
        models: value by metric, by model; all with the same metrics.
        deviations: in the same shape.
    """

    def draw(axes: "Axes") -> None:
        metrics = list(next(iter(models.values())))
        places = np.arange(len(metrics))
        width = 0.84 / len(models)
        for number, (colour, (name, values)) in enumerate(zip(_colours(), models.items(), strict=False)):
            spread = None if deviations is None else [deviations[name][metric] for metric in metrics]
            axes.bar(
                places + (number - (len(models) - 1) / 2) * width,
                [values[metric] for metric in metrics],
                width=width * 0.92,
                yerr=spread,
                color=colour,
                label=name,
                error_kw={"linewidth": 1, "ecolor": "0.5"},
            )
        low = min(min(values.values()) for values in models.values())
        high = max(max(values.values()) for values in models.values())
        axes.set(ylim=(max(0.0, low - 0.08), min(1.0, high + 0.08)))
        axes.set_xticks(places, metrics)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=7)

    return _picture(
        draw, "Metrics of all models." + ("" if deviations is None else " Lines: deviation over seeds.")
    )


def _colours() -> Iterator[str]:
    while True:
        yield from PALETTE


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most `POINTS` points of a curve, its ends among them."""
    if len(x) <= POINTS:
        return x, y
    kept = np.linspace(0, len(x) - 1, POINTS).round().astype(int)
    return x[kept], y[kept]


def _picture(draw: Callable[["Axes"], None], caption: str) -> Picture:
    """A figure of one pair of axes."""

    def on_figure(figure: "Figure") -> None:
        draw(figure.add_subplot())

    return Picture(_svg(on_figure, SIZE, dark=False), _svg(on_figure, SIZE, dark=True), caption, on_figure)


def _svg(draw: Callable[["Figure"], None], size: tuple[float, float], dark: bool) -> str:
    from matplotlib.figure import Figure

    with _style(dark):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    return text[text.index("<svg") :]


@contextmanager
def _style(dark: bool) -> Iterator[None]:
    from matplotlib import rc_context

    ink = "#d7dae0" if dark else "#2b2f36"
    line = "#4a4f58" if dark else "#d4d7dc"
    settings = {
        "svg.hashsalt": "marquee",  # same figure, same bytes
        "svg.fonttype": "none",  # text stays text, in the page's own typeface
        "font.family": "sans-serif",
        "font.size": 9,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": line,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": line,
        "grid.linewidth": 0.5,
        "axes.axisbelow": True,
        "xtick.color": ink,
        "ytick.color": ink,
        "lines.linewidth": 1.6,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "legend.title_fontsize": 8,
    }
    with rc_context(settings):  # type: ignore[arg-type]
        yield
