"""A small lake, made straight from a domain: feature tables with invented values in the right types."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from feature_repo.arrow import arrow_schema
from feature_repo.define.column import Column, Type
from feature_repo.define.domain import Domain
from feature_repo.define.table import Table
from feature_repo.domains.movies import DOMAIN

START = datetime(2020, 1, 1, tzinfo=UTC)
WORDS = ("Action", "Comedy", "Drama", "Film-Noir", "")


def build_lake(home: Path, users: int = 40, movies: int = 60, rows: int = 5, seed: int = 0) -> None:
    """Write every feature table of the movies: `rows` rows per key on average."""
    build_tables(home, DOMAIN, {"user_id": users, "movie_id": movies}, rows, seed)


def build_tables(
    home: Path, domain: Domain, keys: Mapping[str, int], rows: int = 5, seed: int = 0
) -> dict[str, pa.Table]:
    """Write every feature table of a domain, and return them.

    Args:
        keys: how many keys there are, by name.
        rows: per key on average, at random instants of one year.
    """
    rng = np.random.default_rng(seed)
    tables = {}
    for view in domain.views:
        many = keys[view.by.name]
        tables[view.name] = random_rows(view.table, many, rows * many, rng)
        write_deltalake(home / "lake" / view.name, tables[view.name])
    return tables


def key_values(key: Column, many: int) -> list[Any]:
    """So many keys."""
    return [i if key.type is Type.INT64 else f"{key.name} {i}" for i in range(1, many + 1)]


def random_rows(table: Table, keys: int, rows: int, rng: np.random.Generator) -> pa.Table:
    """Rows of a feature table: unique (key, instant), values within the columns' ranges, some nulls."""
    (key,) = table.key
    places = np.concatenate([np.arange(keys), rng.integers(0, keys, rows - keys)])
    seconds = rng.choice(365 * 86400, rows, replace=False)
    at = [START + timedelta(seconds=int(second), microseconds=1) for second in seconds]
    values = key_values(key, keys)
    columns = {
        key.name: [values[place] for place in places],
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
    single: dict[Type, Any] = {
        Type.INT64: lambda: int(rng.integers(int(low), int(high), endpoint=True)),
        Type.FLOAT64: lambda: float(rng.uniform(low, high)),
        Type.TIMESTAMP: lambda: START + timedelta(seconds=int(rng.integers(0, 365 * 86400))),
        Type.STRING: lambda: str(rng.choice(WORDS)),
    }
    if column.type in single:
        return single[column.type]()
    element = {Type.INT64_LIST: Type.INT64, Type.FLOAT64_LIST: Type.FLOAT64, Type.STRING_LIST: Type.STRING}
    return [single[element[column.type]]() for _ in range(length)]


def newest_by_key(rows: pa.Table, key: str) -> dict[Any, dict[str, Any]]:
    """The newest row of each key."""
    ordered: Sequence[dict[str, Any]] = sorted(
        rows.to_pylist(), key=lambda row: (row["event_timestamp"], row["created_timestamp"])
    )
    return {row[key]: row for row in ordered}
