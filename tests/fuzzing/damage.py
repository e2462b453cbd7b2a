"""Damage to files: bytes that change, go or come, whatever they stand for."""

from random import Random

PLAIN = b"\x00\xff\"',;\t\n\r|:{}[]<>-+.eE09 \x1a\x80\xef\xbb\xbf\x1f\x8b"
"""Bytes that mean something to some reader."""


def damaged(random: Random, data: bytes) -> bytes:
    """A file's bytes after one to four accidents."""
    for _ in range(random.choice((1, 1, 2, 4))):
        data = random.choice(ACCIDENTS)(random, data)
    return data


def _flip(random: Random, data: bytes) -> bytes:
    place = _place(random, data)
    return (
        data[:place]
        + bytes(byte ^ 1 << random.randrange(8) for byte in data[place : place + 1])
        + data[place + 1 :]
    )


def _overwrite(random: Random, data: bytes) -> bytes:
    place, piece = _place(random, data), _piece(random)
    return data[:place] + piece + data[place + len(piece) :]


def _insert(random: Random, data: bytes) -> bytes:
    place = _place(random, data)
    return data[:place] + _piece(random) + data[place:]


def _delete(random: Random, data: bytes) -> bytes:
    place = _place(random, data)
    return data[:place] + data[place + random.choice((1, 1, 2, 8, 64)) :]


def _truncate(random: Random, data: bytes) -> bytes:
    return data[: _place(random, data)]


def _splice(random: Random, data: bytes) -> bytes:
    """A piece of it once more, at another place."""
    start, place = _place(random, data), _place(random, data)
    return data[:place] + data[start : start + random.choice((1, 4, 16, 256))] + data[place:]


def _append(random: Random, data: bytes) -> bytes:
    return data + _piece(random)


def _place(random: Random, data: bytes) -> int:
    # Headers and footers are where most is decided.
    near = random.choice((len(data), len(data), 64))
    place = random.randrange(min(near, len(data)) + 1)
    return place if random.random() < 0.7 else len(data) - place


def _piece(random: Random) -> bytes:
    size = random.choice((1, 1, 2, 4, 9))
    if random.random() < 0.3:
        return random.choice((b"\x00", b"\xff", b"\x7f")) * size
    return bytes(
        random.choice(PLAIN) if random.random() < 0.5 else random.randrange(256) for _ in range(size)
    )


ACCIDENTS = (_flip, _flip, _overwrite, _insert, _delete, _truncate, _splice, _append)
