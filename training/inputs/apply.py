"""From the columns of a table to the array of one input, vectorised."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from feature_repo.define.column import Type
from training.inputs.columns import (
    LARGEST,
    days_since,
    hours_and_weekdays,
    numbers,
    read,
    scaled,
    squared_logarithms,
    vectors,
)
from training.inputs.kinds import (
    MISSING_BUCKET,
    BucketColumn,
    Bucketised,
    Categorical,
    Clock,
    Input,
    MultiValued,
    Numeric,
    NumericColumn,
    ValueSequence,
    Vector,
)
from training.inputs.vocabulary import ids, padded, padded_bags


def array_of(
    item: Input, table: pa.Table, types: Mapping[str, Type], vocabularies: Mapping[str, pa.Array]
) -> np.ndarray:
    """What an input holds for each row of a table, (rows, …) with the rest as `item.shape`.

    Args:
        item: the input.
        table: features.
        types: the declared type of each column that is read.
        vocabularies: the values of each.
    """
    match item:
        case Numeric():
            block = np.empty((table.num_rows, len(item.columns)), dtype=np.float32)
            for i, column in enumerate(item.columns):
                block[:, i] = _standardised(item, column, table)
            return block
        case Bucketised():
            buckets = np.empty((table.num_rows, len(item.columns)), dtype=np.uint8)
            for i, bucket in enumerate(item.columns):
                buckets[:, i] = bucketise(numbers(table, bucket.column, bucket.fill), bucket.edges)
            return buckets
        case Categorical(logarithmic=True):
            values = squared_logarithms(numbers(table, item.column, None))
            return ids(values, vocabularies[item.vocabulary], item.padding)
        case Categorical():
            values = read(table, item.column, types[item.column])
            if item.fill is not None:
                values = values.fill_null(item.fill)
            return ids(values, vocabularies[item.vocabulary], item.padding)
        case MultiValued():
            values = read(table, item.column, types[item.column])
            return padded(values, item.length, vocabularies[item.vocabulary], item.padding)
        case ValueSequence():
            values, words = read(table, item.column, types[item.column]), vocabularies[item.vocabulary]
            if item.bag:
                return padded_bags(values, item.length, item.bag, item.separator, words, item.padding)
            return padded(values, item.length, words, item.padding)
        case Vector():
            return vectors(table, item.column, item.width)
        case Clock():
            return np.concatenate([hours_and_weekdays(table, item.column), _days(item.since, table)], axis=1)


def _standardised(item: Numeric, column: NumericColumn, table: pa.Table) -> np.ndarray:
    """One column of a block of numbers, float64 (rows,)."""
    x = (days_since if column.since else numbers)(table, column.column, column.fill)
    if column.known == 0:
        x = np.full(len(x), np.nan)
    if column.std == 0:
        z = np.where(np.isnan(x), np.nan, 0.0)
    else:
        z = (scaled(x, column.log, column.heavy) - column.mean) / column.std
    if column.count is not None:
        n = numbers(table, column.count, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):  # a negative number of events
            z = z * (n / (n + item.shrinkage))
    z = np.where(np.abs(z) <= LARGEST, z, np.nan)
    return np.nan_to_num(z, nan=0.0) if item.missing == "mean" else z


def _days(columns: Sequence[BucketColumn], table: pa.Table) -> np.ndarray:
    """Buckets of the days since each instant, uint8 (rows, columns)."""
    buckets = np.empty((table.num_rows, len(columns)), dtype=np.uint8)
    for i, column in enumerate(columns):
        buckets[:, i] = bucketise(days_since(table, column.column, column.fill), column.edges)
    return buckets


def bucketise(x: np.ndarray, edges: Sequence[float] | None) -> np.ndarray:
    """1 + (number of edges <= x), and `MISSING_BUCKET` for NaN, as uint8.

    Args:
        x: float64 (rows,).
        edges: ascending; None puts every value into `MISSING_BUCKET`.
    """
    if edges is None:
        return np.full(len(x), MISSING_BUCKET, dtype=np.uint8)
    buckets = np.searchsorted(np.asarray(edges, dtype=np.float64), x, side="right") + 1
    buckets[np.isnan(x)] = MISSING_BUCKET
    return buckets.astype(np.uint8)
