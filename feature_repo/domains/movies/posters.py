"""What is measured on each poster.

Saturation and brightness are S and V of HSV, chroma is max(R, G, B) - min(R, G, B); each on the 0..255 scale.
Mean and deviation go over the pixels.
"""

CHANNELS = ("saturation", "brightness", "chroma", "red", "green", "blue")
SPATIAL_FREQUENCY = "spatial_frequency"
STATISTICS = (
    *(f"{channel}_{operation}" for channel in CHANNELS for operation in ("mean", "std")),
    SPATIAL_FREQUENCY,
)
"""The statistics, in stored order."""
GRID = 1 / 256
"""Poster statistics are rounded to multiples of this many levels, far below what they can resolve. Sums of
such values, and of their squares, are exact in float64 whatever the order of addition."""
LEVEL = "8-bit level"
"""Unit of poster statistics: 0 (none) to 255 (full)."""


def poster_range(statistic: str) -> tuple[float, float]:
    """The range that a poster statistic can take on the 0..255 scale.

    The deviation of values within [0, 255] is at most half of that; each of the two differences in a
    spatial frequency is at most 255.
    """
    if statistic == SPATIAL_FREQUENCY:
        return 0.0, 361.0
    return (0.0, 128.0) if statistic.endswith("_std") else (0.0, 255.0)
