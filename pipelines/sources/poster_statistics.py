"""Colour and texture of posters: each picture is opened and decoded once.

Mean and population deviation over the pixels of saturation, brightness, chroma, red, green and blue, and the
spatial frequency of the grey picture, on the 0..255 scale, rounded to multiples of `GRID`.
"""

import hashlib
import io
import math
import threading
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from feature_repo.domains.movies.posters import CHANNELS, GRID, SPATIAL_FREQUENCY, STATISTICS

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""Pillow knows more, some of which run other programs; posters come in these."""
MAX_PIXELS = 50_000_000
MAX_BYTES = 64 * 1024 * 1024
LEVELS = 255.0
_OPENING = threading.Lock()
STRIPE_PIXELS = 1 << 20
"""Pixels worked on at a time, so that memory does not grow with the picture."""


class UnreadablePictureError(ValueError):
    """The bytes are no picture that can be decoded; the message says why, to follow the file's name."""


@dataclass(frozen=True, slots=True)
class PosterStatistics:
    """What is measured on one picture: its size in pixels, and `STATISTICS` by name."""

    width: int
    height: int
    statistics: dict[str, float]


def poster_statistics(picture: bytes) -> PosterStatistics:
    """Decode a picture and measure it.

    With M and m the largest and the smallest of a pixel's R, G, B: brightness (V of HSV) = M, chroma = M - m,
    saturation (S of HSV) = 255 (M - m) / M, or 0 where M = 0. The spatial frequency is that of the luma F
    (I rows, J columns): SF = √(RF² + CF²), RF² = (1/IJ) Σ (F(i,j) - F(i,j+1))², CF² likewise along the
    other axis (Yang et al., MMDIN). Transparent pixels are seen over white.

    Args:
        picture: the bytes of a file.

    Raises:
        UnreadablePictureError: they are no picture, or a damaged or an absurdly large one.
    """
    image = _decode(picture)
    colours = np.asarray(image)
    grey = np.asarray(image.convert("L"))
    height, width = grey.shape
    sums = np.zeros(len(CHANNELS))
    squares = np.zeros(len(CHANNELS))
    differences = 0.0
    rows = max(1, STRIPE_PIXELS // width)
    for top in range(0, height, rows):
        for at, channel in enumerate(_channels(colours[top : top + rows])):
            # Of whole levels, both sums are whole numbers below 2^53: exact. A dot product would start the
            # threads of BLAS, which cost ten times the work and fight with those of other pictures.
            sums[at] += channel.sum(dtype=np.float64)
            squares[at] += np.einsum("i,i", channel, channel)
        # One row more, so that differences across the border of two stripes count once.
        differences += _squared_differences(grey[top : top + rows + 1], of_rows=min(rows, height - top))
    pixels = height * width
    means = sums / pixels
    deviations = np.sqrt(np.maximum(squares / pixels - means**2, 0.0))
    statistics = {}
    for channel_name, mean, deviation in zip(CHANNELS, means, deviations, strict=True):
        statistics[f"{channel_name}_mean"] = _on_grid(mean)
        statistics[f"{channel_name}_std"] = _on_grid(deviation)
    statistics[SPATIAL_FREQUENCY] = _on_grid(math.sqrt(differences / pixels))
    return PosterStatistics(width, height, {name: statistics[name] for name in STATISTICS})


def _on_grid(value: float) -> float:
    return round(float(value) / GRID) * GRID


def _channels(colours: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.float64]]:
    """Each of `CHANNELS` in turn, flat, of an array of rows × columns × RGB."""
    red, green, blue = (np.ascontiguousarray(colours[..., at]).ravel() for at in range(3))
    largest = np.maximum(np.maximum(red, green), blue)
    chroma = largest - np.minimum(np.minimum(red, green), blue)
    level = {"brightness": largest, "chroma": chroma, "red": red, "green": green, "blue": blue}
    for channel in CHANNELS:
        if channel == "saturation":
            # Where the largest is 0, so is the chroma.
            yield LEVELS * chroma / np.maximum(largest, 1).astype(np.float64)
        else:
            yield level[channel].astype(np.float64)


def _squared_differences(grey: npt.NDArray[np.uint8], of_rows: int) -> float:
    """Sum of the squared differences to the right, in the first `of_rows` rows, and downwards."""
    levels = grey.astype(np.float32)
    across = levels[:of_rows, 1:] - levels[:of_rows, :-1]
    down = levels[1:] - levels[:-1]
    # Differences are whole numbers up to 255; their squares are summed in float64.
    return float(sum(np.square(difference).sum(dtype=np.float64) for difference in (across, down)))


def _decode(picture: bytes) -> Image.Image:
    """The decoded picture in RGB."""
    if not picture:
        raise UnreadablePictureError("is empty")
    try:
        # Filters of warnings belong to the process, and pictures are opened in threads.
        with _OPENING, warnings.catch_warnings():
            # Size is judged below, before anything is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(picture), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise UnreadablePictureError(f"is not a picture ({', '.join(FORMATS)})") from error
    except Image.DecompressionBombError as error:
        raise UnreadablePictureError(f"has more than {MAX_PIXELS:,} pixels") from error
    except Exception as error:  # decoders of damaged headers raise anything
        raise UnreadablePictureError(f"is a damaged picture ({error})") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnreadablePictureError(f"has {width} x {height} pixels, more than {MAX_PIXELS:,}")
    if width * height == 0:
        raise UnreadablePictureError("has no pixels")
    try:
        image.load()
        return _to_rgb(image)
    except UnreadablePictureError:
        raise
    except Exception as error:  # damaged pixels too
        what = "truncated" if "truncated" in str(error) else "damaged"
        raise UnreadablePictureError(f"is a {what} {image.format} ({error})") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        # Pillow would clip 16-bit grey at 255.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise UnreadablePictureError("has pixels of 32 bits, which pictures for the screen do not have")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        white = Image.new("RGBA", seen.size, "white")
        return Image.alpha_composite(white, seen).convert("RGB")
    return image.convert("RGB")


def measure_file(path: Path) -> dict[str, object]:
    """What `poster_statistics` measures on a file, and `sha256` of its bytes; or `problem`, why it cannot."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return {"problem": f"is larger than {MAX_BYTES >> 20} MiB"}
        picture = path.read_bytes()
        measured = asdict(poster_statistics(picture))
    except UnreadablePictureError as error:
        return {"problem": str(error)}
    except OSError as error:
        return {"problem": f"cannot be read: {error.strerror or error}"}
    statistics = measured.pop("statistics")
    return {**measured, **statistics, "sha256": hashlib.sha256(picture).hexdigest()}
