"""Columns of typed files in any type of Arrow's, and files of them."""

import datetime as dt
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.fuzzing.sheets import ODD

INTEGERS = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())
FLOATS = (pa.float16(), pa.float32(), pa.float64())
DECIMALS = (pa.decimal32(9, 2), pa.decimal64(18, 3), pa.decimal128(20, 2), pa.decimal256(50, 4))
TEXTS = (pa.string(), pa.large_string(), pa.string_view())
INSTANTS = (
    *(
        pa.timestamp(unit, zone)
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC", "Europe/Berlin", "+05:30")
    ),
    pa.date32(),
    pa.date64(),
)
NEITHER: tuple[pa.Array, ...] = (
    pa.array([True, False]),
    pa.array([b"1", b"\xff"]),
    pa.array([b"1", b"2"], pa.large_binary()),
    pa.array([b"1", b"2"], pa.binary(1)),
    pa.array([b"1", b"2"], pa.binary_view()),
    pa.array([dt.time(1), None], pa.time32("ms")),
    pa.array([dt.time(1), dt.time(2)], pa.time64("ns")),
    pa.array([dt.timedelta(1), None], pa.duration("ns")),
    pa.array([[1], None]),
    pa.array([[], ["a"]], pa.large_list(pa.string())),
    pa.array([[1], [2]], pa.list_(pa.int64(), 1)),
    pa.array([{"a": 1, "b": {"c": []}}, None]),
    pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
    pa.array([True, None]).dictionary_encode(),
    pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16, None], pa.binary(16))),
    pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}", "1"])),
    pa.nulls(2),
)
"""Columns that hold neither numbers, words nor instants."""
NAMES = (
    *(
        "note",
        "",
        " ",
        "a.b",
        "user_id.x",
        "__index_level_0__",
        'x"y',
        "a\nb",
        "né",
        "row",
        "source",
        "record",
    ),
    *(
        "select",
        "order",
        "entity_timestamp",
        "x" * 300,
        "\x00",
        "movie_title",
        "key",
        "label",
        "_row",
        "hash",
    ),
)
FAR = (2**63 - 1, -(2**63), 2**62, -(2**40), 2**31 - 1, -1, 0)


def retyped(random: Random, values: Sequence[Any]) -> pa.Array:
    """Values in another type that plainly holds them, where one is drawn that does.

    Args:
        values: whole numbers, numbers or instants, and None.
    """
    plain = pa.array(values)
    instants = pa.types.is_timestamp(plain.type)
    if instants and random.random() < 0.4:
        plain = pa.array([value and value.timestamp() for value in values])
    kinds = INSTANTS if instants and not pa.types.is_floating(plain.type) else (*INTEGERS, *FLOATS, *DECIMALS)
    kind = random.choice((*kinds, *TEXTS))
    try:
        if kind in TEXTS:
            texts = (
                value.isoformat() if isinstance(value, dt.datetime) else str(value)
                for value in plain.to_pylist()
            )
            array = pa.array([None if text == "None" else text for text in texts], kind)
        elif pa.types.is_decimal(kind):
            digits = (None if value is None else Decimal(str(value)) for value in plain.to_pylist())
            array = pa.array(list(digits), kind)
        elif kind == pa.float16():
            array = plain.cast(pa.float32()).cast(kind)
            if array.cast(pa.float64()).to_pylist() != plain.cast(pa.float64()).to_pylist():
                return plain
        else:
            array = plain.cast(kind)
            if array.cast(plain.type).to_pylist() != plain.to_pylist():
                return plain  # a date has no time of day
    except (pa.ArrowException, ValueError, TypeError, ArithmeticError):
        return plain
    if random.random() < 0.2:
        with suppress(pa.ArrowException):  # not every type can be looked up
            return array.dictionary_encode()
    return array


def with_odd_values(random: Random, array: pa.Array) -> pa.Array:
    """A column with a few of its values changed to the oddest of its type."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return array
    if not len(array):
        return array
    pieces = [array.slice(at, 1) for at in range(len(array))]
    for _ in range(random.randrange(1, 3)):
        pieces[random.randrange(len(pieces))] = _odd(random, kind)
    return pa.concat_arrays(pieces)


def _odd(random: Random, kind: pa.DataType) -> pa.Array:
    none = pa.nulls(1, kind)
    if random.random() < 0.3:
        return none
    if pa.types.is_floating(kind):
        value = random.choice(
            (float("nan"), float("inf"), -float("inf"), 1.5, -0.0, 60_000.0, 5e-324, 2.0**63, 1e308)
        )
        return pa.array([value], pa.float64()).cast(kind, safe=False)
    if pa.types.is_integer(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        wide = pa.array([random.choice(FAR)], pa.int64())
        if pa.types.is_date32(kind):
            return wide.cast(pa.int32(), safe=False).cast(kind)
        return wide.cast(kind, safe=False)
    if kind in TEXTS:
        if random.random() < 0.2 and kind == pa.string():
            return pa.array([random.choice((b"\xff", b"1\xc3", b"\xed\xa0\x80"))]).view(kind)
        return pa.array([random.choice(ODD)], kind)
    if pa.types.is_decimal(kind):
        return pa.array([random.choice((Decimal(0), Decimal(-1), Decimal(99), Decimal("2.5")))], kind)
    return none


def neither(random: Random, rows: int) -> pa.Array:
    """A column of a type that holds neither numbers, words nor instants."""
    column = random.choice(NEITHER)
    return pa.concat_arrays([column] * rows).slice(0, rows)


def values_of(array: pa.Array) -> list[Any]:
    """A column's values; the exception in place of one that Python cannot hold."""
    found: list[Any] = []
    for value in array:
        try:
            found.append(value.as_py())
        except (ValueError, OverflowError, ArithmeticError) as error:
            found.append(error)
    return found


def is_plain(kind: pa.DataType, instants: bool) -> bool:
    """Whether a column of this type holds numbers, as such or as text, or instants, if they are asked for."""
    if pa.types.is_dictionary(kind):
        return is_plain(kind.value_type, instants)
    if instants and (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        return True
    return kind in (*INTEGERS, *FLOATS, *TEXTS, pa.null()) or pa.types.is_decimal(kind)


def write(random: Random, table: pa.Table, file: Path) -> None:
    """A table as Parquet, by any writer."""
    if random.random() < 0.1:
        table = table.replace_schema_metadata(
            {"pandas": random.choice(("{", "{}", "[]", '{"index_columns": [1]}'))}
        )
    options: dict[str, Any] = {
        "compression": random.choice(("snappy", "none", "zstd", "gzip")),
        "row_group_size": random.choice((1, 2, 1_000)),
        "use_dictionary": random.random() < 0.5,
        "data_page_version": random.choice(("1.0", "2.0")),
        "store_schema": random.random() < 0.8,
    }
    try:
        pq.write_table(table, file, **options)
    except (pa.ArrowException, OSError):  # Parquet has no such type
        pq.write_table(table.select([]), file)
