"""The newest row of each key of a table, found by DuckDB: what goes online."""

from datetime import datetime

import pyarrow as pa
import pyarrow.dataset as pads
from feast.data_source import DataSource
from feast.repo_config import RepoConfig

from feature_repo.define.column import quoted
from feature_repo.offline.duckdb_sql import between, connection, filtered, microseconds, rank, within
from feature_repo.offline.tables import as_stored, dataset
from feature_repo.offline.views import pulled_columns, with_dummy_key

BEST = quoted("rank of the best")
"""Beside keys of any name, the rank of the row that holds."""


def latest_rows(
    config: RepoConfig,
    source: DataSource,
    keys: list[str],
    features: list[str],
    timestamp: str,
    created: str | None,
    start: datetime | None = None,
    end: datetime | None = None,
    among: pads.Dataset | None = None,
) -> pa.Table:
    """The newest row of each key, ties broken by `created`; rows with a null key are left out.

    Narrow columns are read first, then those rows only.

    Args:
        config: of either as-of store.
        source: the table.
        keys, features, timestamp, created: its columns; `created` None where it has none.
        start, end: only rows of these instants, and between; None for no end.
        among: some of the table's rows: only keys whose newest row is one of these.

    Returns:
        The keys, features and timestamps, in stored types; in no order.

    Raises:
        MarqueeError: there is no such table, or DuckDB's memory does not suffice.
    """
    rows = dataset(config, source)
    schema = rows.schema
    columns = pulled_columns(keys, features, timestamp, created)
    ranked = rank(schema, timestamp, created)
    where = filtered(between(schema, timestamp, start, end))
    group = ", ".join(quoted(key) for key in keys)
    with connection(config) as con:
        con.register("rows", rows)
        best = f"SELECT {group + ', ' if keys else ''}max({ranked}) AS {BEST} FROM rows"
        grouped = f" GROUP BY {group}" if keys else ""
        if among is None:
            best += where + grouped
        else:
            con.register("among", among)
            newest = f"SELECT max({microseconds(schema, timestamp)}) AS newest FROM among{where}{grouped}"
            # Rows older than the newest of every key concerned decide nothing; the Parquet reader skips them.
            ((oldest,),) = con.sql(f"SELECT min(newest) FROM ({newest})").fetchall()
            best += f" SEMI JOIN among USING ({group})" if keys else ""
            best += filtered(
                [*between(schema, timestamp, start, end), *within(schema, timestamp, oldest, None)]
            )
            best += grouped
        on = " AND ".join(
            [*(f"rows.{quoted(key)} = best.{quoted(key)}" for key in keys), f"{ranked} = best.{BEST}"]
        )
        # Rows that agree in key and both timestamps are the same row, written twice.
        partition = f"PARTITION BY {', '.join('rows.' + quoted(key) for key in keys)}" if keys else ""
        query = (
            f"SELECT {', '.join('rows.' + quoted(column) for column in columns)}"
            f" FROM {'rows' if among is None else 'among'} AS rows JOIN ({best}) best ON {on}{where}"
            f" QUALIFY row_number() OVER ({partition}) = 1"
        )
        table = con.sql(query).to_arrow_table()
    return with_dummy_key(as_stored(table, schema), keys)
