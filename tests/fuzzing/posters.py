"""Pictures, as `--posters FOLDER` has them."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from feature_repo.domains.movies.posters import GRID, STATISTICS, poster_range
from pipelines.sources.poster_statistics import measure_file
from tests.fuzzing.damage import damaged
from tests.fuzzing.tries import memory

MOST = 1_500 << 20
"""Bytes by which this process may grow over one picture."""


def posters(random: Random, folder: Path) -> str:
    """One picture: measured, or said why not; never both."""
    kind, whole = random.choice(_pictures())
    data = whole
    if kind == "PNG" and random.random() < 0.5:
        data = _with_chunks(random, whole)
    elif random.random() < 0.2:
        data = _another_size(random, kind, whole)
    untouched = data is whole
    if random.random() < 0.7:
        data, untouched = damaged(random, data), False
    file = folder / "1.jpg"
    file.write_bytes(data)
    before = memory()
    found = measure_file(file)
    assert memory() - before < MOST, f"{memory() - before:,} bytes"
    if "problem" in found:
        problem = found["problem"]
        assert found.keys() == {"problem"} and isinstance(problem, str)
        assert not untouched, f"a picture that is whole {problem}"
        assert len(problem) < 500 and len(problem.splitlines()) == 1, repr(problem)
        return "refused"
    for name in STATISTICS:
        value, (low, high) = found[name], poster_range(name)
        assert isinstance(value, float) and low <= value <= high and value / GRID == round(value / GRID), (
            name,
            value,
        )
    assert isinstance(found["width"], int) and found["width"] > 0
    return "measured"


@cache
def _pictures() -> tuple[tuple[str, bytes], ...]:
    """A small picture of each kind and colour mode."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 17, 4), np.uint8)
    colours = Image.fromarray(noise)
    kinds: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("JPEG", "RGB", {}), ("JPEG", "L", {}), ("JPEG", "CMYK", {}), ("JPEG", "RGB", {"progressive": True}),
        ("PNG", "RGB", {}), ("PNG", "RGBA", {}), ("PNG", "P", {}), ("PNG", "1", {}), ("PNG", "LA", {}),
        ("PNG", "I;16", {}), ("WEBP", "RGB", {}), ("WEBP", "RGBA", {"lossless": True}),
        ("GIF", "P", {}), ("GIF", "P", {"save_all": True, "append_images": [colours.convert("P")]}),
        ("BMP", "RGB", {}), ("BMP", "P", {}), ("BMP", "1", {}),
    )  # fmt: skip
    found = []
    for kind, mode, options in kinds:
        file = io.BytesIO()
        image = (
            Image.fromarray(noise[..., 0].astype(np.uint16) << 8) if mode == "I;16" else colours.convert(mode)
        )
        image.save(file, kind, **options)
        found.append((kind, file.getvalue()))
    return tuple(found)


# --- PNG: chunks with their sums put right -----------------------------------------------------------------


def _with_chunks(random: Random, data: bytes) -> bytes:
    chunks = _chunks(data)
    for _ in range(random.randrange(1, 3)):
        random.choice(CHUNKS)(random, chunks)
    return data[:8] + b"".join(_chunk(name, body) for name, body in chunks)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _header(random: Random, chunks: list[tuple[bytes, bytes]]) -> None:
    """Another size, depth, colour type or interlacing than the pixels have."""
    at = next((at for at, (name, _) in enumerate(chunks) if name == b"IHDR"), None)
    if at is None or len(chunks[at][1]) < 13:
        return
    body = bytearray(chunks[at][1])
    if random.random() < 0.6:
        side = struct.pack(
            ">I", random.choice((0, 1, 7, 100, 5_000, 7_000, 20_000, 1 << 20, (1 << 31) - 1, 1 << 31))
        )
        start = random.choice((0, 4))
        body[start : start + 4] = side
    else:
        body[random.randrange(8, len(body))] = random.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
    chunks[at] = (b"IHDR", bytes(body))


def _bomb(random: Random, chunks: list[tuple[bytes, bytes]]) -> None:
    """Much text, or many pixels, in few bytes."""
    packed = zlib.compress(b"\0" * random.choice((1 << 16, 1 << 22, 1 << 28)), 1)
    body, name = random.choice(((b"x\0\0" + packed, b"zTXt"), (b"x\0\0" + packed, b"iCCP"), (packed, b"IDAT"),
                                (b"x\0\1\0\0\0" + packed, b"iTXt")))  # fmt: skip
    chunks.insert(random.randrange(1, len(chunks) + 1), (name, body))


def _again(random: Random, chunks: list[tuple[bytes, bytes]]) -> None:
    chunks.insert(random.randrange(len(chunks) + 1), random.choice(chunks))


def _gone(random: Random, chunks: list[tuple[bytes, bytes]]) -> None:
    if len(chunks) > 1:
        chunks.pop(random.randrange(len(chunks)))


def _another(random: Random, chunks: list[tuple[bytes, bytes]]) -> None:
    name = random.choice(
        (b"PLTE", b"tRNS", b"gAMA", b"acTL", b"fcTL", b"fdAT", b"eXIf", b"pHYs", b"sRGB", b"tEXt", b"ABCD")
    )
    chunks.insert(
        random.randrange(1, len(chunks) + 1), (name, random.randbytes(random.choice((0, 1, 3, 8, 26, 300))))
    )


def _damaged(random: Random, chunks: list[tuple[bytes, bytes]]) -> None:
    at = random.randrange(len(chunks))
    name, body = chunks[at]
    chunks[at] = (name, damaged(random, body))


CHUNKS: tuple[Callable[[Random, list[tuple[bytes, bytes]]], None], ...] = (
    _header,
    _header,
    _bomb,
    _again,
    _gone,
    _another,
    _damaged,
)


def _another_size(random: Random, kind: str, data: bytes) -> bytes:
    """Another width and height in the header of what is no PNG."""
    place = {"GIF": 6, "BMP": 18, "WEBP": 24, "JPEG": data.find(b"\xff\xc0") + 5, "PNG": 16}[kind]
    side = random.choice((0, 1, 300, 0x7FFF, 0xFFFF)).to_bytes(2, random.choice(("little", "big")))
    return data[:place] + side * random.choice((1, 2)) + data[place + 4 :]
