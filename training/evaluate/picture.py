"""A figure as SVG, in the inks of light pages and of dark."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#3b76d6", "#d9822b", "#2a9d76", "#b5489f", "#8a7d2c", "#c8483d", "#4aa3b8", "#7a6ad0")
"""Colours of models and series, legible on both grounds."""
SIZE = (5.2, 3.6)
LIGHT, DARK = ("#2b2f36", "#d4d7dc"), ("#d7dae0", "#4a4f58")
"""Colours of text and of lines, by the ground."""
POINTS = 400
"""A curve is drawn with at most so many points."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One figure as SVG, for light pages."""

    light: str
    caption: str
    draw: Callable[["Figure"], None] = field(compare=False, repr=False)
    size: tuple[float, float] = SIZE

    @property
    def dark(self) -> str:
        """The same for dark pages."""
        svg = self.light
        for light, dark in zip(LIGHT, DARK, strict=True):
            svg = svg.replace(light, dark)
        return svg

    def png(self) -> bytes:
        """The light version as PNG, on white, for documents that hold no SVG."""
        from matplotlib.figure import Figure

        with _style():
            figure = Figure(figsize=self.size, layout="constrained")
            self.draw(figure)
            file = io.BytesIO()
            figure.savefig(file, format="png", dpi=160, facecolor="white", metadata={"Software": None})
        return file.getvalue()


def colours() -> Iterator[str]:
    """The palette, again and again."""
    while True:
        yield from PALETTE


def thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most `POINTS` points of a curve, its ends among them."""
    if len(x) <= POINTS:
        return x, y
    kept = np.linspace(0, len(x) - 1, POINTS).round().astype(int)
    return x[kept], y[kept]


def picture(draw: Callable[["Axes"], None], caption: str) -> Picture:
    """A figure of one pair of axes."""

    def on_figure(figure: "Figure") -> None:
        draw(figure.add_subplot())

    return picture_of(on_figure, caption)


def picture_of(draw: Callable[["Figure"], None], caption: str, size: tuple[float, float] = SIZE) -> Picture:
    """A figure of any number of axes.

    Args:
        draw: on an empty figure.
        caption: one sentence.
        size: width and height in inches.
    """
    from matplotlib.figure import Figure

    with _style():
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    return Picture(text[text.index("<svg") :], caption, draw, size)


@contextmanager
def _style() -> Iterator[None]:
    from matplotlib import rc_context

    ink, line = LIGHT
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
