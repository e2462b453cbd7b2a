"""Columns of any Arrow type, read as what they plainly mean or refused in one sentence.

Keys become the type that a domain declares for them, instants timestamps, labels booleans or numbers.
Dictionary and run-end encodings, narrow and unsigned integers, whole floats and decimals, large and view
strings all mean what their values say.
"""

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from common.errors import MarqueeError
from feature_repo.define.column import EVENT_TIMESTAMP, Column, Type
from feature_repo.offline.labels import timestamps


def readable_labels(labels: pa.Table, keys: Sequence[Column]) -> pa.Table:
    """Labels whose keys are of the declared types and whose `event_timestamp` is a timestamp.

    Raises:
        MarqueeError: naming the column, and the row where it is one row's fault.
    """
    missing = [
        name for name in (*(key.name for key in keys), EVENT_TIMESTAMP) if name not in labels.column_names
    ]
    if missing:
        raise MarqueeError(
            f"The labels lack {', '.join(missing)}; they have"
            f" {', '.join(labels.column_names) or 'no columns'}."
        )
    read = {key.name: key_values(labels[key.name], key) for key in keys}
    read[EVENT_TIMESTAMP] = instant_values(labels[EVENT_TIMESTAMP], EVENT_TIMESTAMP)
    for name, values in read.items():
        labels = labels.set_column(labels.column_names.index(name), name, values)
    return labels


def key_values(values: pa.ChunkedArray, key: Column) -> pa.ChunkedArray:
    """A column as keys: int64 or string, null where there is none.

    Raises:
        MarqueeError: it holds something else than the key's type, naming the row where it is one row's fault.
    """
    column = decoded(values)
    kind = column.type
    if key.type is Type.STRING:
        if _is_text(kind) or pa.types.is_null(kind):
            return column.cast(pa.string())
        raise MarqueeError(f"Label column {key.name} holds {kind}, not text: convert it to strings.")
    if not (is_number(kind) or pa.types.is_null(kind)):
        raise MarqueeError(
            f"Label column {key.name} holds {kind}, not whole numbers: convert it to integers."
        )
    column = _without_nan(column)
    if pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
        column = column.cast(pa.decimal128(38, kind.scale))  # narrow ones overflow on their way to integers
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        row = _first_refused(column, lambda part: part.cast(pa.int64()))
        raise MarqueeError(
            f"Label column {key.name} holds {kind}, and row {row + 1} is {column[row].as_py()!r}, no whole"
            " number of 64 bits: convert it to integers."
        ) from None


def instant_values(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """A column as timestamps: dates are midnight UTC, and text is ISO 8601, in UTC unless it says otherwise.

    Timestamps keep their unit and zone; naive ones are UTC.

    Raises:
        MarqueeError: it holds no instants, or one outside the years 1 to 9999.
    """
    column = decoded(values)
    if pa.types.is_date(column.type):
        days = pa.types.is_date32(column.type)
        counts = column.cast(pa.int32() if days else pa.int64()).cast(pa.int64())
        _require_calendar(name, _row_outside(counts, 1 if days else 86_400_000))
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    if pa.types.is_null(column.type):
        column = column.cast(pa.timestamp("us", "UTC"))
    if not pa.types.is_timestamp(column.type):
        if not (pa.types.is_date(column.type) or _is_text(column.type)):
            raise MarqueeError(
                f"Label column {name} holds {column.type}, not timestamps: convert it to timestamps in UTC."
            )
        return timestamps(column, name)
    unit = column.type.unit
    if unit != "ns":  # 64 bits of nanoseconds span 1677 to 2262
        second = {"s": 1, "ms": 1_000, "us": 1_000_000}[unit]
        _require_calendar(name, _row_outside(column.cast(pa.int64()), 86_400 * second))
    return column


def number_values(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """A column of labels as float64.

    Raises:
        MarqueeError: it holds no numbers, one that is not finite, or a row has none.
    """
    column = decoded(values)
    if not (is_number(column.type) or pa.types.is_boolean(column.type) or pa.types.is_null(column.type)):
        raise MarqueeError(f"Column {name} holds {column.type}, which is no label: convert it to numbers.")
    column = _without_nan(column.cast(pa.float64()))
    if column.null_count:
        raise MarqueeError(
            f"{column.null_count:,} of {len(column):,} rows have no {name}: fill or remove them."
        )
    row = _first(pc.invert(pc.is_finite(column)))
    if row is not None:
        raise MarqueeError(f"Column {name}, row {row + 1}, is {column[row].as_py()}: a label is finite.")
    return column


def flag_values(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """A column of labels as booleans: true and false, or the numbers 1 and 0.

    Raises:
        MarqueeError: it holds anything else, or a row has no label.
    """
    numbers = number_values(values, name)
    true = pc.equal(numbers, 1.0)
    row = _first(pc.invert(pc.or_(true, pc.equal(numbers, 0.0))))  # -0.0, too
    if row is not None:
        raise MarqueeError(
            f"Column {name}, row {row + 1}, is {numbers[row].as_py():.17g}: a label is true or false, 1 or 0."
        )
    return true


def decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as its plain values, without dictionaries, runs or an extension's type."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return decoded(pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type))
    if pa.types.is_run_end_encoded(kind):
        chunks = [pc.run_end_decode(chunk) for chunk in column.chunks]
        return decoded(pa.chunked_array(chunks, kind.value_type))
    if pa.types.is_dictionary(kind):
        # Taken by its indices, as not every type can be cast from its dictionary.
        chunks = [chunk.dictionary.take(chunk.indices) for chunk in column.chunks]
        return decoded(pa.chunked_array(chunks, kind.value_type))
    return column


def without_views(table: pa.Table) -> pa.Table:
    """A table with text and bytes in place of views of them, of which Arrow cannot take single rows."""
    types = [_viewless(field.type) for field in table.schema]
    if types == table.schema.types:
        return table
    fields = [field.with_type(kind) for field, kind in zip(table.schema, types, strict=True)]
    return table.cast(pa.schema(fields))


def _viewless(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind):
        return pa.list_(_viewless(kind.value_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(_viewless(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_viewless(kind.value_type), kind.list_size)
    return kind


_DAYS = (-719_161, 2_932_895)
"""Days since 1970 of 2 January of year 1 and of 30 December 9999: within them all zones have a date."""


def _require_calendar(name: str, row: int | None) -> None:
    if row is not None:
        raise MarqueeError(f"Label column {name}, row {row + 1}, is outside the years 1 to 9999: mend it.")


def _row_outside(counts: pa.ChunkedArray, day: int) -> int | None:
    """The first instant, in units of which a day has so many, that is outside the calendar."""
    first, last = (edge * day for edge in _DAYS)
    return _first(pc.or_kleene(pc.less(counts, first), pc.greater(counts, last)))


def _first(mask: pa.ChunkedArray) -> int | None:
    """The first row that is true; None where none is."""
    row = int(pc.index(mask, True).as_py())
    return row if row >= 0 else None


def _first_refused(column: pa.ChunkedArray, read: Callable[[pa.ChunkedArray], object]) -> int:
    """The first row that `read` refuses, by halving: one row is refused as soon as it is among those read."""
    low, high = 0, len(column) - 1
    while low < high:
        middle = (low + high) // 2
        try:
            read(column.slice(low, middle - low + 1))
            low = middle + 1
        except pa.ArrowInvalid:
            high = middle
    return low


def _without_nan(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floats with null in place of NaN, as pandas makes them where some are missing."""
    if not pa.types.is_floating(column.type):
        return column
    wide = column.cast(pa.float64())
    return pc.if_else(pc.is_nan(wide), pa.scalar(None, pa.float64()), wide) if len(wide) else wide


def is_number(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds numbers, whole ones, with a fraction or decimal."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
