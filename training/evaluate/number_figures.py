"""Figures of a task whose labels are numbers: values, and what was predicted for them in the same units."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from training.evaluate.picture import PALETTE, Picture, colours, picture, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Pair = tuple[np.ndarray, np.ndarray]
"""Of one model on some rows: their values, float (rows,), and what was predicted (rows,)."""
BANDS = 10
"""Values are told in at most so many bands."""


def error_curves(models: Mapping[str, Pair]) -> Picture:
    """The share of rows whose absolute error is at most so large, for each model."""

    def draw(axes: "Axes") -> None:
        for colour, (name, (values, predicted)) in zip(colours(), models.items(), strict=False):
            errors = np.sort(np.abs(predicted - values))
            shares = np.arange(1, len(errors) + 1) / len(errors)
            label = f"{name}  {errors.mean():.4f}"
            axes.plot(*thinned(errors, shares), color=colour, label=label)
        axes.set(xlabel="absolute error", ylabel="share of rows", xlim=(0, None), ylim=(0, 1.01))
        axes.legend(title="mean", loc="lower right")

    return picture(draw, "The share of test rows whose error is at most so large.")


def by_value(name: str, values: np.ndarray, predicted: np.ndarray) -> Picture:
    """Median and quartiles of the predictions, by value; many values are told in bands of equal rows."""

    def draw(axes: "Axes") -> None:
        edges = np.unique(np.quantile(values, np.linspace(0, 1, BANDS + 1)))
        distinct = np.unique(values)
        band = values if len(distinct) <= BANDS else edges[np.searchsorted(edges[1:-1], values, side="right")]
        centres = np.unique(band)
        low, middle, high = np.array(
            [np.quantile(predicted[band == centre], (0.25, 0.5, 0.75)) for centre in centres]
        ).T
        axes.plot([values.min(), values.max()], [values.min(), values.max()], ":", linewidth=1, color="0.5")
        spread = np.stack([middle - low, high - middle])
        axes.errorbar(centres, middle, yerr=spread, fmt="o", markersize=4, color=PALETTE[0])
        axes.set(xlabel="value", ylabel="predicted")

    return picture(draw, f"Predictions of {name} by value: median and quartiles.")
