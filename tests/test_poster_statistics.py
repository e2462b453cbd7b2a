"""Poster statistics against a loop over pixels, and what is no picture."""

import colorsys
import hashlib
import io
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyspark.sql import SparkSession

from feature_repo.domains.movies.posters import GRID, STATISTICS, poster_range
from pipelines.sources import poster_statistics as module
from pipelines.sources.poster_statistics import UnreadablePictureError, poster_statistics
from pipelines.sources.posters import MEASURED, posters_of

Pixels = list[list[tuple[int, int, int]]]


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def picture(pixels: Pixels) -> bytes:
    return encode(Image.fromarray(np.array(pixels, np.uint8)))


def oracle(pixels: Pixels, grey: list[list[int]]) -> dict[str, float]:
    """The definitions, pixel by pixel in float64; HSV by the standard library."""
    flat = [pixel for row in pixels for pixel in row]
    channels: dict[str, list[float]] = {
        "saturation": [255 * colorsys.rgb_to_hsv(*(level / 255 for level in pixel))[1] for pixel in flat],
        "brightness": [255 * colorsys.rgb_to_hsv(*(level / 255 for level in pixel))[2] for pixel in flat],
        "chroma": [max(pixel) - min(pixel) for pixel in flat],
        "red": [pixel[0] for pixel in flat],
        "green": [pixel[1] for pixel in flat],
        "blue": [pixel[2] for pixel in flat],
    }
    result = {}
    for name, values in channels.items():
        mean = math.fsum(values) / len(values)
        result[f"{name}_mean"] = mean
        result[f"{name}_std"] = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    height, width = len(grey), len(grey[0])
    rf2 = sum((grey[i][j] - grey[i][j + 1]) ** 2 for i in range(height) for j in range(width - 1))
    cf2 = sum((grey[i][j] - grey[i + 1][j]) ** 2 for i in range(height - 1) for j in range(width))
    result["spatial_frequency"] = math.sqrt(rf2 / (height * width) + cf2 / (height * width))
    return result


def assert_as_oracle(data: bytes) -> None:
    with Image.open(io.BytesIO(data)) as image:
        rgb = np.asarray(image.convert("RGB")).tolist()
        grey = np.asarray(image.convert("L")).tolist()
    expected = oracle([[tuple(pixel) for pixel in row] for row in rgb], grey)
    measured = poster_statistics(data).statistics
    assert tuple(measured) == STATISTICS
    for name, value in measured.items():
        low, high = poster_range(name)
        assert low <= value <= high
        assert value / GRID == round(value / GRID), "not on the grid"
        assert abs(value - expected[name]) <= GRID / 2 + 1e-6, name


level = st.one_of(st.integers(0, 255), st.sampled_from([0, 255]))


@given(
    st.integers(1, 6).flatmap(
        lambda width: st.lists(
            st.lists(st.tuples(level, level, level), min_size=width, max_size=width), min_size=1, max_size=6
        )
    )
)
def test_statistics_equal_a_loop_over_pixels(pixels: Pixels) -> None:
    assert_as_oracle(picture(pixels))


@given(st.integers(1, 40))
@settings(max_examples=20)
def test_statistics_do_not_depend_on_the_stripes(stripe_pixels: int) -> None:
    pixels = np.random.default_rng(stripe_pixels).integers(0, 256, (9, 5, 3), np.uint8)
    data = encode(Image.fromarray(pixels))
    whole = poster_statistics(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "STRIPE_PIXELS", stripe_pixels)
        assert poster_statistics(data) == whole


def test_hand_computed_values() -> None:
    # Two pixels side by side: pure red, and white.
    measured = poster_statistics(picture([[(255, 0, 0), (255, 255, 255)]])).statistics
    assert measured["saturation_mean"] == 255 / 2
    assert measured["saturation_std"] == 255 / 2
    assert measured["brightness_mean"] == 255
    assert measured["brightness_std"] == 0
    assert measured["chroma_mean"] == 255 / 2
    assert (measured["red_mean"], measured["green_mean"], measured["blue_mean"]) == (255, 127.5, 127.5)
    # Luma of red is 76, of white 255; one difference over two pixels.
    expected = math.sqrt((255 - 76) ** 2 / 2)
    assert abs(measured["spatial_frequency"] - expected) <= GRID / 2


def test_saturation_has_no_8_bit_rounding() -> None:
    # 255 * 2 / 7 is 72.857; Pillow's own HSV says 72.
    measured = poster_statistics(picture([[(7, 6, 5)]])).statistics
    assert measured["saturation_mean"] == round(255 * 2 / 7 / GRID) * GRID


def test_real_posters_equal_the_oracle(real_data: Path) -> None:
    posters = sorted((real_data / "posters").iterdir())
    for path in posters[:: len(posters) // 6]:
        assert_as_oracle(path.read_bytes())


def test_picture_is_opened_and_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(Image.new("RGB", (3, 4), "red"), "JPEG")
    calls = []
    open_image, decoder = Image.open, Image._getdecoder

    def counted_open(*args: Any, **options: Any) -> Image.Image:
        calls.append("open")
        return open_image(*args, **options)

    def counted_decoder(*args: Any, **options: Any) -> Any:
        calls.append("decode")
        return decoder(*args, **options)

    monkeypatch.setattr(Image, "open", counted_open)
    monkeypatch.setattr(Image, "_getdecoder", counted_decoder)
    poster_statistics(data)
    assert calls == ["open", "decode"]


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "JPEG"), ("1", "PNG"), ("CMYK", "JPEG"), ("P", "GIF"), ("LA", "PNG"), ("RGB", "WEBP")],
)
def test_any_colour_mode_is_measured_as_it_is_seen(mode: str, kind: str) -> None:
    colour = (200, 40, 40)
    measured = poster_statistics(encode(Image.new("RGB", (8, 8), colour).convert(mode), kind)).statistics
    if mode in ("L", "LA"):
        luma = 0.299 * 200 + 0.587 * 40 + 0.114 * 40
        assert measured["red_mean"] == measured["blue_mean"] == pytest.approx(luma, abs=1)
    elif mode == "1":
        assert measured["saturation_mean"] == 0
    else:
        found = [measured[f"{name}_mean"] for name in ("red", "green", "blue")]
        # Pictures are lossy, and a palette of websafe colours is coarse.
        assert found == pytest.approx(colour, abs=26 if mode == "P" else 6)


def test_transparent_pixels_are_seen_over_white() -> None:
    image = Image.new("RGBA", (1, 2), (0, 0, 0, 0))
    image.putpixel((0, 1), (10, 20, 30, 255))
    measured = poster_statistics(encode(image)).statistics
    assert (measured["red_mean"], measured["blue_mean"]) == ((255 + 10) / 2, (255 + 30) / 2)


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    image = Image.fromarray(np.full((2, 2), 128 << 8, np.uint16))
    assert poster_statistics(encode(image)).statistics["brightness_mean"] == 128


def jpeg() -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (60, 40, 3), np.uint8)
    return encode(Image.fromarray(noise), "JPEG")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"This is a text file named .jpg.\n", r"is not a picture \(JPEG, "),
        (jpeg()[: len(jpeg()) // 2], "is a truncated JPEG"),
        (jpeg()[:30], "is (a damaged|not a) picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "is not a picture"),
    ],
    ids=["empty", "text", "truncated", "header only", "PostScript"],
)
def test_what_is_no_picture_gives_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadablePictureError, match=reason):
        poster_statistics(data)


@pytest.mark.parametrize("side", [8_000, 30_000])
def test_absurdly_large_picture_is_refused_before_it_is_decoded(side: int) -> None:
    # A PNG's size stands in its header; the pixels are never looked at.
    data = bytearray(encode(Image.new("1", (8, 8))))
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    with pytest.raises(UnreadablePictureError, match="pixels"):
        poster_statistics(bytes(data))


@pytest.mark.parametrize("engine", ["threads", "Spark"])
def test_every_picture_is_measured_and_every_problem_named(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    good = jpeg()
    (tmp_path / "1.jpg").write_bytes(good)
    (tmp_path / "2.jpg").write_bytes(good[: len(good) // 2])
    (tmp_path / "3.jpg").write_text("text")
    rows = [(str(number), str(tmp_path / f"{number}.jpg")) for number in range(1, 5)]
    posters = posters_of(rows).rows
    if engine == "Spark":
        spark: SparkSession = request.getfixturevalue("spark")
        table = posters.on_spark(spark).toArrow()
    else:
        table = posters.in_memory()
    assert table.schema.names == MEASURED.names
    measured = {row["movie_id"]: row for row in table.to_pylist()}
    assert all(row["record"] == row["source"] and row["row"] is None for row in measured.values())
    assert measured.keys() == {"1", "2", "3", "4"}
    assert measured["1"]["problem"] is None
    expected = poster_statistics(good)
    assert {name: measured["1"][name] for name in STATISTICS} == expected.statistics
    assert (measured["1"]["width"], measured["1"]["height"]) == (40, 60)
    assert measured["1"]["sha256"] == hashlib.sha256(good).hexdigest()
    assert "truncated" in measured["2"]["problem"]
    assert "not a picture" in measured["3"]["problem"]
    assert measured["4"]["problem"] == "cannot be read: No such file or directory"
    assert all(measured[number][name] is None for number in "234" for name in (*STATISTICS, "sha256"))
