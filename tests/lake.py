"""A small lake, made straight from the schema: feature tables with invented values in the right types."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from feature_repo.arrow import arrow_schema
from feature_repo.schema import FEATURE_TABLES, Column, Table, Type

START = datetime(2020, 1, 1, tzinfo=UTC)
GENRES = ("Action", "Comedy", "Drama", "Film-Noir", "")


def build_lake(home: Path, users: int = 40, movies: int = 60, rows: int = 5, seed: int = 0) -> None:
    """Write every feature table: `rows` rows per key on average, at random instants of one year."""
    rng = np.random.default_rng(seed)
    for table in FEATURE_TABLES:
        many = users if table.key[0].name == "user_id" else movies
        write_deltalake(home / "lake" / table.name, random_rows(table, many, rows * many, rng))


def random_rows(table: Table, keys: int, rows: int, rng: np.random.Generator) -> pa.Table:
    """Rows of a feature table: unique (key, instant), values within the columns' ranges, some nulls."""
    key = np.concatenate([np.arange(1, keys + 1), rng.integers(1, keys + 1, rows - keys)])
    seconds = rng.choice(365 * 86400, rows, replace=False)
    at = [START + timedelta(seconds=int(second), microseconds=1) for second in seconds]
    columns = {
        table.key[0].name: key.tolist(),
        "event_timestamp": at,
        "created_timestamp": [moment + timedelta(days=1) for moment in at],
    }
    for column in table.columns:
        columns[column.name] = [_value(column, rng) for _ in range(rows)]
    return pa.table({name: columns[name] for name in table.column_names}, arrow_schema(table))


def _value(column: Column, rng: np.random.Generator) -> Any:
    if column.nullable and rng.random() < 0.3:
        return None
    low = 0 if column.low is None else column.low
    high = low + 100 if column.high is None else column.high
    length = int(rng.integers(0, 4)) if column.length is None else column.length
    if column.type is Type.INT64:
        return int(rng.integers(int(low), int(high), endpoint=True))
    if column.type is Type.FLOAT64:
        return float(rng.uniform(low, high))
    if column.type is Type.TIMESTAMP:
        return START + timedelta(seconds=int(rng.integers(0, 365 * 86400)))
    if column.type is Type.INT64_LIST:
        return [int(value) for value in rng.integers(int(low), int(high), length)]
    return [str(genre) for genre in rng.choice(GENRES, length)]
