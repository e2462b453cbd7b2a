"""Reading the columns of an Arrow table: refused if they are not what was declared, else of one type."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.errors import MarqueeError
from feature_repo.arrow import ARROW_TYPES
from feature_repo.define.column import EVENT_TIMESTAMP, Type

DAY = 86_400e6
"""Microseconds."""


def check_shape(table: pa.Table, types: Mapping[str, Type], lengths: Mapping[str, int], service: str) -> None:
    """Refuse a table that lacks a column, or has one of another type or another fixed length.

    Args:
        table: features.
        types: the expected type of each column.
        lengths: the length that each list of a column must have.
        service: for the sentence.

    Raises:
        MarqueeError: names the column, what it is and what it should be.
    """
    missing = [name for name in types if name not in table.column_names]
    if missing:
        raise MarqueeError(
            f"The table lacks {len(missing)} of the {len(types)} columns that {service} "
            f"needs ({', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}): join its features."
        )
    for name, expected in types.items():
        found = table.schema.field(name).type
        if not _fits(found, expected):
            raise MarqueeError(
                f"Column {name} is {found}, but {service} needs {expected.value}: "
                "give the features that the model was trained on."
            )
    for name, length in lengths.items():
        sizes = pc.min_max(pc.list_value_length(read(table, name, types[name]))).as_py()
        if sizes["min"] is not None and (sizes["min"], sizes["max"]) != (length, length):
            wrong = sizes["max"] if sizes["max"] != length else sizes["min"]
            raise MarqueeError(
                f"Column {name} has a list of {wrong} elements where {service} needs {length}: "
                "give the features that the model was trained on."
            )


def _fits(found: pa.DataType, expected: Type) -> bool:
    if pa.types.is_null(found):
        return True
    if expected.is_list:
        if not _is_list(found):
            return False
        inner = found.value_type
        return pa.types.is_null(inner) or _fits(inner, ELEMENT[expected])
    match expected:
        case Type.INT64:
            return bool(pa.types.is_integer(found))
        case Type.FLOAT64:
            return bool(pa.types.is_floating(found) or pa.types.is_integer(found))
        case Type.TIMESTAMP:
            return bool(pa.types.is_timestamp(found))
        case _:
            return _is_text(found)


ELEMENT: dict[Type, Type] = {
    Type.INT64_LIST: Type.INT64,
    Type.FLOAT64_LIST: Type.FLOAT64,
    Type.STRING_LIST: Type.STRING,
}
"""The type of an element, by that of its list."""


def _is_list(found: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found)
    )


def _is_text(found: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found)
    )


def read(table: pa.Table, name: str, kind: Type) -> pa.Array:
    """A column in one piece and of its declared Arrow type, never of its small, large or view kin.

    Instants are cut to the microsecond; those without a zone are UTC.

    Raises:
        MarqueeError: it holds a whole number beyond 64 bits, or something else altogether.
    """
    exact = kind in (Type.INT64, Type.INT64_LIST)  # another number would be another id
    try:
        column = table[name].cast(ARROW_TYPES[kind], safe=exact)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise MarqueeError(f"Column {name} does not hold {kind.value}: {error}.") from error
    return column.combine_chunks()


LARGEST = float(np.finfo(np.float32).max)
"""Models read float32: what is larger, as what is infinite, is no value."""


def numbers(table: pa.Table, name: str, fill: float | None) -> np.ndarray:
    """A column as float64 (rows,); where it has no value up to `LARGEST`, `fill`, or NaN for None."""
    x: np.ndarray = read(table, name, Type.FLOAT64).to_numpy(zero_copy_only=False)
    unknown = ~(np.abs(x) <= LARGEST)
    return np.where(unknown, np.nan if fill is None else fill, x) if unknown.any() else x


def days_since(table: pa.Table, name: str, fill: float | None) -> np.ndarray:
    """Days from an instant to the request, at least 0, float64 (rows,); unknown ones as in `numbers`."""
    # As floats, which are exact for centuries around 1970, and do not overflow far from it.
    then, now = (
        read(table, column, Type.TIMESTAMP)
        .cast(pa.int64())
        .cast(pa.float64(), safe=False)
        .to_numpy(zero_copy_only=False)
        for column in (name, EVENT_TIMESTAMP)
    )
    x: np.ndarray = np.maximum((now - then) / DAY, 0)
    return x if fill is None else np.nan_to_num(x, nan=fill)


def without_meaning(values: pa.Array, is_count: bool) -> np.ndarray:
    """Places of the numbers that are there, and yet no value: see `numbers` and `logarithms`."""
    x: np.ndarray = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    odd = (np.abs(x) > LARGEST) | (is_count & (x < 0))
    found: np.ndarray = np.flatnonzero(odd)
    return found


def logarithms(x: np.ndarray) -> np.ndarray:
    """log(1 + x) of counts or days; NaN of a negative number, which is neither."""
    found: np.ndarray = np.log1p(np.where(x >= 0, x, np.nan))
    return found


def scaled(x: np.ndarray, log: bool, heavy: bool) -> np.ndarray:
    """Numbers as they are standardised: log(1 + x), sign(x) log(1 + |x|) where they are heavy, or x."""
    if heavy:
        found: np.ndarray = np.sign(x) * np.log1p(np.abs(x))
        return found
    return logarithms(x) if log else x


NO_NUMBER = -(2**31)
"""Stands for a missing number among squared logarithms."""


def squared_logarithms(x: np.ndarray) -> pa.Array:
    """⌊ln² x⌋ of numbers above 2, ⌊x⌋ of the others, as int64 (rows,); `NO_NUMBER` of NaN.

    So benchmarks such as BARS make categories of Criteo's counts, after the winners of its challenge, who
    kept 1 and 2 apart from the larger numbers that fall on them here: 3 and 4 become 1, too.
    """
    large = x > 2
    found = np.floor(np.where(large, np.log(np.where(large, x, 1.0)) ** 2, x))
    found = np.clip(np.nan_to_num(found, nan=NO_NUMBER), NO_NUMBER, 2**31)
    return pa.array(found.astype(np.int64))


def vectors(table: pa.Table, name: str, width: int) -> np.ndarray:
    """A column of vectors as float32 (rows, width); zero where one, or a number of it, is missing."""
    values = read(table, name, Type.FLOAT64_LIST)
    found = np.zeros((len(values), width), dtype=np.float32)
    rows, places = positions(values)
    inside = places < width
    elements = values.flatten().to_numpy(zero_copy_only=False)
    found[rows[inside], places[inside]] = np.where(np.abs(elements) <= LARGEST, elements, 0.0)[inside]
    return found


def hours_and_weekdays(table: pa.Table, name: str) -> np.ndarray:
    """Hour and weekday of an instant in UTC, from 1, Monday first, uint8 (rows, 2); 0 where it is unknown."""
    times = read(table, name, Type.TIMESTAMP)
    known = pc.is_valid(times).to_numpy(zero_copy_only=False)
    hour = pc.fill_null(pc.hour(times), 0).to_numpy() + 1
    weekday = pc.fill_null(pc.day_of_week(times), 0).to_numpy() + 1
    found: np.ndarray = (np.stack([hour, weekday], axis=1) * known[:, None]).astype(np.uint8)
    return found


def positions(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Row, and place within its list, of each element of `values.flatten()`."""
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy().astype(np.int64)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return rows, np.arange(len(rows)) - starts
