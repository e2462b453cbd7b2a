"""Figures of any task, drawn from results alone."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from training.evaluate.metrics import TITLES
from training.evaluate.picture import PALETTE, Picture, colours, picture, picture_of
from training.fit.curve import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def training_curves(models: Mapping[str, Curve], loss: str) -> Picture:
    """Loss by epoch, a panel a model: training dashed, validation solid, a dot at the epoch kept.

    Args:
        models: curves by title.
        loss: which of the validation metrics is the loss.
    """
    from matplotlib.ticker import MaxNLocator

    def draw(figure: "Figure") -> None:
        panels = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
        for axes, colour, (name, curve) in zip(panels, colours(), models.items(), strict=False):
            epochs = [point.epoch for point in curve.epochs]
            axes.plot(epochs, [point.loss for point in curve.epochs], color=colour, linestyle="--", alpha=0.7)
            validation = [point.validation[loss] for point in curve.epochs]
            axes.plot(epochs, validation, color=colour)
            if curve.best in epochs:
                axes.plot(curve.best, validation[epochs.index(curve.best)], "o", markersize=5, color=colour)
            axes.set_title(name, fontsize=9)
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        panels[0].set_ylabel(TITLES[loss])

    caption = (
        "Training (dashed; with what the configuration adds for large weights, and of inputs that are dropped"
        " at random) and validation (solid) loss; a dot marks the epoch kept."
    )
    return picture_of(draw, caption)


def bars(labels: Sequence[str], counts: Sequence[float], xlabel: str, caption: str) -> Picture:
    """Counts by category, as columns; at most ten categories are named."""

    def draw(axes: "Axes") -> None:
        axes.bar(range(len(labels)), counts, color=PALETTE[0], width=0.75)
        step = -(-len(labels) // 10)
        axes.set_xticks(range(0, len(labels), step), labels[::step])
        axes.set(xlabel=xlabel)

    return picture(draw, caption)


def histograms(columns: Mapping[str, np.ndarray], caption: str) -> Picture:
    """How each of several columns spreads, side by side; NaN counts as missing and is told as a share."""
    across = 4
    down = -(-len(columns) // across)

    def draw(figure: "Figure") -> None:
        for place, (name, values) in enumerate(columns.items()):
            axes = figure.add_subplot(down, across, place + 1)
            there = values[np.isfinite(values)]
            axes.hist(there, bins=40, histtype="stepfilled", color=PALETTE[0])
            missing = 1 - len(there) / max(len(values), 1)
            axes.set_title(f"{name}  (missing {missing:.0%})" if missing else name, fontsize=7.5)
            axes.set_yticks([])
            axes.tick_params(labelsize=7)
            axes.grid(visible=False)

    size = (2.7 * across, 1.35 * down + 0.2)
    return picture_of(draw, caption, size)


def metric_bars(
    models: Mapping[str, Mapping[str, float]], deviations: Mapping[str, Mapping[str, float]] | None = None
) -> Picture:
    """Every metric of every model, side by side, with deviations over seeds where given; MMDIN's figure 6.

    Args:
        models: value by metric, by model; all with the same metrics.
        deviations: in the same shape.
    """

    def draw(axes: "Axes") -> None:
        metrics = list(next(iter(models.values())))
        places = np.arange(len(metrics))
        width = 0.84 / len(models)
        for number, (colour, (name, values)) in enumerate(zip(colours(), models.items(), strict=False)):
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

    return picture(
        draw, "Metrics of all models." + ("" if deviations is None else " Lines: deviation over seeds.")
    )


def steps(
    labels: Sequence[str], values: Sequence[float], deviations: Sequence[float], names: tuple[str, str]
) -> Picture:
    """A value over the steps of a setting, with deviations over seeds.

    Args:
        labels: of the steps, in order.
        values, deviations: at each.
        names: of the setting and of the value.
    """

    def draw(axes: "Axes") -> None:
        places = range(len(labels))
        axes.errorbar(places, values, yerr=deviations, color=PALETTE[0], marker="o", capsize=3)
        axes.set_xticks(places, labels)
        axes.set(xlabel=names[0], ylabel=names[1])

    return picture(draw, f"{names[1]} by {names[0]}. Lines: deviation over seeds.")


def heat_maps(maps: Mapping[str, tuple[Sequence[str], np.ndarray]], caption: str) -> Picture:
    """Square tables of numbers as colours, side by side, on one scale from 0 on.

    Args:
        maps: names of rows and columns, and the numbers (n, n), by title.
    """

    def draw(figure: "Figure") -> None:
        panels = figure.subplots(1, len(maps), squeeze=False)[0]
        most = max(float(values.max()) for _, values in maps.values())
        for axes, (title, (names, values)) in zip(panels, maps.items(), strict=True):
            image = axes.imshow(values, vmin=0, vmax=most, cmap="Blues")
            axes.set_title(title, fontsize=9)
            axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
            axes.set_yticks(range(len(names)), names, fontsize=7)
            axes.grid(visible=False)
        figure.colorbar(image, ax=list(panels), shrink=0.7)

    return picture_of(draw, caption, (0.6 + 4.2 * len(maps), 4.0))
