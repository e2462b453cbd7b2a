"""Columns of a typed file, of any type that Arrow knows, as what they plainly mean.

What a column is read for (a whole number, a number, a word, an instant) decides: a date is an instant, but no
id.
"""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from feature_repo.define.column import Type
from pipelines.sources.readings import Kind

INSTANT = pa.timestamp("us", "UTC")
MICROS = 1_000_000
EARLIEST, LATEST = -62_000_000_000, 100_000_000_000
"""Seconds since 1970. What is farther off is brought here, so that microseconds do not overflow."""
PER_SECOND = {"s": 1, "ms": 1_000, "us": MICROS, "ns": 1_000_000_000}
DAY = 86_400
WHAT = {
    Type.INT64: "a whole number",
    Type.FLOAT64: "a number",
    Type.STRING: "a word",
    Type.TIMESTAMP: "an instant, nor seconds since 1970",
}


def plain(column: pa.ChunkedArray, role: Type) -> tuple[pa.Array, Kind] | None:
    """A column as text, BIGINT, DOUBLE or TIMESTAMP (UTC), whichever holds its values without loss.

    Naive timestamps are in UTC, and a date is its midnight in UTC; of nanoseconds, whole microseconds count.

    Args:
        column: (n,) of any type.
        role: what it is read for.

    Returns:
        (n,) values and what they are; None where values of the column's type are not what the role needs.
    """
    values = _unpacked(column)
    kind = values.type
    if pt.is_null(kind):
        return pa.nulls(len(values), pa.string()), "text"
    if pt.is_string(kind):
        return _of_utf_8(values), "text"
    if role is Type.STRING:
        return (values.cast(pa.string()), "text") if pt.is_integer(kind) else None
    if pt.is_integer(kind):
        return _whole(values)
    if pt.is_floating(kind):
        return _double(values), "fraction"
    if pt.is_decimal(kind):
        return pa.array([None if v is None else f"{v:f}" for v in values.to_pylist()], pa.string()), "text"
    if role is Type.TIMESTAMP and (pt.is_timestamp(kind) or pt.is_date(kind)):
        return _instants(values), "instant"
    return None


def _unpacked(column: pa.ChunkedArray) -> pa.Array:
    """The values themselves, where they are stored by reference, and text as `string`."""
    values: pa.Array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    while True:
        kind = values.type
        if pt.is_dictionary(kind):
            values = values.dictionary_decode()
        elif pt.is_run_end_encoded(kind):
            values = pc.run_end_decode(values)
        elif pt.is_large_string(kind) or pt.is_string_view(kind):
            values = values.cast(pa.string())
        else:
            return values


def _of_utf_8(values: pa.Array) -> pa.Array:
    """Text whose bytes are those of UTF-8: writers check nothing, and engines die of others. What is none
    becomes U+FFFD."""
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        data = values.cast(pa.binary()).to_pylist()
        return pa.array([None if value is None else value.decode("utf-8", "replace") for value in data])
    return values


def _whole(values: pa.Array) -> tuple[pa.Array, Kind]:
    try:
        return values.cast(pa.int64()), "whole"
    except pa.ArrowInvalid:  # beyond 2^63: text says what it is
        return values.cast(pa.string()), "text"


def _double(values: pa.Array) -> pa.Array:
    return (
        values.cast(pa.float32()).cast(pa.float64())
        if pt.is_float16(values.type)
        else values.cast(pa.float64())
    )


def _instants(values: pa.Array) -> pa.Array:
    if pt.is_date32(values.type):
        return _micros(values.cast(pa.int32()).cast(pa.int64()), per_second=1, factor=DAY)
    if pt.is_date64(values.type):
        return _micros(values.cast(pa.int64()), PER_SECOND["ms"])
    return _micros(values.cast(pa.int64()), PER_SECOND[values.type.unit])


def _micros(ticks: pa.Array, per_second: int, factor: int = 1) -> pa.Array:
    """Instants from whole numbers of `factor / per_second` seconds since 1970."""
    latest = LATEST * per_second // factor
    if latest < 2**63:
        ticks = pc.min_element_wise(ticks, latest, skip_nulls=False)
        ticks = pc.max_element_wise(ticks, EARLIEST * per_second // factor, skip_nulls=False)
    if per_second > MICROS:
        many = per_second // MICROS
        # Division truncates towards zero: instants before 1970 are rounded up, and refused anyway.
        micros = pc.divide(ticks, many)
    else:
        micros = pc.multiply(ticks, MICROS * factor // per_second)
    return micros.cast(INSTANT)
