"""Posters whose colours are those that the catalogue says: what tastes are about can be read off the JPEG."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipelines.sources.synthetic.catalogue import POSTER_STREAM, catalogue, stream
from pipelines.sources.synthetic.config import SyntheticConfig

JPEG_QUALITY = 85
SHAPES = (3, 8)
HUE_PLAY = 0.035
"""Deviation of a shape's hue from the poster's, in turns."""

Pixels = npt.NDArray[np.float32]


def poster(config: SyntheticConfig, movie_id: int) -> bytes:
    """The JPEG of one movie: a gradient, shapes, a band of lettering and grain around its mean colour.

    Mean saturation and brightness (HSV) are those of the catalogue, and nearly all pixels are near its hue.
    The same config and movie give the same bytes.
    """
    movies = catalogue(config)
    row = movie_id - 1
    rng = stream(config, POSTER_STREAM, movie_id)
    height, width = config.poster_height, config.poster_width
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    slope = rng.normal(0, 0.18, 4).astype(np.float32)
    saturation = slope[0] * y + slope[1] * x
    brightness = slope[2] * y + slope[3] * x
    hue = np.full((height, width), movies.hue[row], dtype=np.float32)

    for _ in range(rng.integers(*SHAPES)):
        centre_y, centre_x, size_y, size_x = rng.uniform(
            (-0.9, -0.9, 0.15, 0.15), (0.9, 0.9, 0.7, 0.7)
        ).astype(np.float32)
        across, along = np.abs(x - centre_x) / size_x, np.abs(y - centre_y) / size_y
        inside = across**2 + along**2 < 1 if rng.random() < 0.6 else (across < 1) & (along < 1)
        change = rng.normal(0, (0.22, 0.28, HUE_PLAY)).astype(np.float32)
        for layer, by in zip((saturation, brightness, hue), change, strict=True):
            layer += by * inside

    letters = rng.random((3, max(width // 4, 1))) < 0.55
    cell = max(height // 40, 1)
    lettering = np.kron(letters, np.ones((cell, 4), dtype=np.bool_))[:, :width]
    top = int(height * (0.08 if rng.random() < 0.4 else 0.84))
    band = brightness[top : top + lettering.shape[0], : lettering.shape[1]]
    band += 0.5 * rng.choice((-1, 1)) * lettering[: band.shape[0]]
    grain = rng.uniform(0.01, 0.06)
    brightness += grain * rng.standard_normal((height, width), dtype=np.float32)

    layers = (
        (hue % 1.0) * 256,
        _with_mean(saturation, movies.saturation[row]) * 255,
        _with_mean(brightness, movies.brightness[row]) * 255,
    )
    picture = np.stack([(layer + 0.5).astype(np.int32) % 256 for layer in layers], axis=-1).astype(np.uint8)
    file = io.BytesIO()
    # Full colour resolution: halved chroma would blur what is to be measured.
    Image.fromarray(picture, "HSV").convert("RGB").save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return file.getvalue()


def _with_mean(layer: Pixels, mean: float) -> Pixels:
    """The layer moved to a mean within [0, 1], values clipped to that range."""
    moved = layer - layer.mean() + mean
    for _ in range(6):
        moved = np.clip(moved, 0, 1)
        moved = moved + (mean - moved.mean())
    return np.asarray(np.clip(moved, 0, 1))
