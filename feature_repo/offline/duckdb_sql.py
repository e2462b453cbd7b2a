"""DuckDB as the as-of stores use it: a connection by their settings, and the pieces of their SQL.

A row's rank is its instant and, below that, when it was created, as one number: of two rows of one key, the
one with the greater rank holds.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
from feast.repo_config import RepoConfig

from common.errors import MarqueeError
from feature_repo.define.column import quoted
from feature_repo.offline.labels import utc
from lake import duckdb as lake_duckdb

RANK = 2**64
"""What instants are multiplied by in ranks."""
NEVER_CREATED, LAST_CREATED = -(2**63), 2**63 - 1
"""What is added for a row that does not say when it was created, and for one above all others."""


@contextmanager
def connection(config: RepoConfig) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB within the limits that a store's settings give.

    Args:
        config: of either as-of store: at scale too, the newest rows are found by DuckDB.

    Raises:
        MarqueeError: as `lake.duckdb.connection`.
    """
    settings = config.offline_store
    spill = settings.temp_directory or settings.lake
    with lake_duckdb.connection(settings.memory_limit, spill, settings.threads) as con:
        yield con


def rank(schema: pa.Schema, timestamp: str, created: str | None) -> str:
    """SQL for the ranks of a table's rows."""
    instant = f"{microseconds(schema, timestamp)}::HUGEINT * {RANK}"
    return f"{instant} + coalesce({microseconds(schema, created)}, {NEVER_CREATED})" if created else instant


def between(schema: pa.Schema, column: str, start: datetime | None, end: datetime | None) -> list[str]:
    """Conditions that a column of instants is in [start, end]; either end may be open."""
    low, high = (None if moment is None else since_epoch(moment) for moment in (start, end))
    return within(schema, column, low, high)


def within(schema: pa.Schema, column: str, low: int | None, high: int | None) -> list[str]:
    """Conditions that a column of instants is in [low, high] (microseconds).

    Timestamps are compared with constants of their own type, which DuckDB hands on to the Parquet reader.
    """
    kind = schema.field(column).type
    if pa.types.is_timestamp(kind) and kind.unit != "ns":
        make = "make_timestamp" if kind.tz is None else "make_timestamptz"
        value, limit = quoted(column), f"{make}({{}})"
    else:
        value, limit = microseconds(schema, column), "{}"
    bounds = [f"{value} >= {limit.format(low)}"] if low is not None else []
    return bounds + ([f"{value} <= {limit.format(high)}"] if high is not None else [])


def microseconds(schema: pa.Schema, column: str) -> str:
    """SQL for a column of instants as microseconds since 1970, rounded up; naive ones are UTC."""
    kind, name = schema.field(column).type, quoted(column)
    if pa.types.is_timestamp(kind):
        if kind.unit == "ns":
            # // rounds towards zero: up where the instant is negative, as it should
            return f"(epoch_ns({name}) + CASE WHEN epoch_ns({name}) > 0 THEN 999 ELSE 0 END) // 1000"
        return f"epoch_us({name})"
    if pa.types.is_date(kind):
        return f"epoch_us({name}::TIMESTAMP)"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return f"epoch_us({name}::TIMESTAMPTZ)"
    raise MarqueeError(f"Column {column} holds {kind}, not timestamps.")


def since_epoch(moment: datetime) -> int:
    """An instant in microseconds since 1970; a naive one is UTC."""
    return (utc(moment) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def listed(columns: Sequence[str]) -> str:
    """Columns' names in SQL, for a SELECT."""
    return ", ".join(quoted(column) for column in columns)


def filtered(conditions: Sequence[str]) -> str:
    """A WHERE clause that all conditions hold; nothing where there are none."""
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
