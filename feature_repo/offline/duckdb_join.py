"""The point-in-time join by DuckDB's ASOF join, one view at a time.

The label table itself never enters DuckDB, hence its columns come back as they were.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from feast.repo_config import RepoConfig

from common.errors import MarqueeError
from feature_repo.define.column import quoted
from feature_repo.offline.duckdb_sql import (
    LAST_CREATED,
    RANK,
    between,
    connection,
    filtered,
    microseconds,
    rank,
    within,
)
from feature_repo.offline.labels import EVENT_TIMESTAMP, Labels, frame_to_arrow, key_column, utc
from feature_repo.offline.tables import dataset, tables_named
from feature_repo.offline.views import FEW_LABELS, RetrievedView, check_columns

SIDE_BY_SIDE = 1_000_000
"""So many labels at most have their views joined at the same time, which takes more memory and less time."""


def label_table(config: RepoConfig, entities: pd.DataFrame | pa.Table | str) -> pa.Table:
    """Labels, however they are given: pandas, Arrow, or SQL in which the lake's tables go by name.

    Raises:
        MarqueeError: they are something else, Arrow cannot hold them, or DuckDB cannot run the SQL.
    """
    if isinstance(entities, pa.Table):
        return entities
    if isinstance(entities, pa.RecordBatchReader):
        return entities.read_all()
    if isinstance(entities, pd.DataFrame):
        return frame_to_arrow(entities)
    if isinstance(entities, str):
        with connection(config) as con:
            for name, table in tables_named(config, entities):
                con.register(name, table.to_pyarrow_dataset())
            try:
                return con.sql(entities).to_arrow_table()
            except duckdb.Error as error:
                raise MarqueeError(f"The label query fails in DuckDB: {error}.") from error
    raise MarqueeError(
        f"Labels are a pandas frame, an Arrow table or SQL, not {type(entities).__name__}: convert them."
    )


def keys_seen(config: RepoConfig, views: Sequence[RetrievedView], start: datetime, end: datetime) -> pa.Table:
    """Labels for all keys that a view has a row of in [start, end], at `end`, in order of the keys.

    Views of different keys contribute rows of their own, in which the other keys are null.
    """
    found: list[pa.Table] = []
    with connection(config) as con:
        for view in views:
            rows = dataset(config, view.source)
            check_columns(config, view, rows.schema)
            con.register("rows", rows)
            columns = ", ".join(f"{quoted(stored)} AS {quoted(label)}" for label, stored in view.keys)
            where = between(rows.schema, view.timestamp, start, end)
            where += [f"{quoted(stored)} IS NOT NULL" for _, stored in view.keys]
            query = f"SELECT DISTINCT {columns or '1 AS one'} FROM rows{filtered(where)}"
            kinds = pa.schema(
                [pa.field(label, rows.schema.field(stored).type) for label, stored in view.keys]
            )
            table = con.sql(query).to_arrow_table()
            if view.keys:
                found.append(table.cast(kinds))
    if not found:
        return pa.table({EVENT_TIMESTAMP: pa.array([utc(end)], pa.timestamp("us", "UTC"))})
    names = list(dict.fromkeys(name for table in found for name in table.column_names))
    union = pa.concat_tables(found, promote_options="permissive")
    keys = union.group_by(names).aggregate([]).sort_by([(name, "ascending") for name in names])
    moment = pa.repeat(pa.scalar(utc(end), pa.timestamp("us", "UTC")), keys.num_rows)
    return keys.select(names).append_column(EVENT_TIMESTAMP, moment)


def point_in_time_join(
    config: RepoConfig, labels: Labels, views: Sequence[RetrievedView], filter_by_created: bool
) -> pa.Table:
    """The labels' columns as they are, then the features of each view, one row per label, in order.

    Args:
        labels: n rows.
        views: each joined on its own.
        filter_by_created: rows that were written after the label's instant do not exist.
    """
    asked = [view for view in views if view.features]
    at_once = len(asked) if labels.table.num_rows <= SIDE_BY_SIDE else 1
    with connection(config) as con, ThreadPoolExecutor(max(at_once, 1)) as pool:
        # A cursor shares the connection's memory limit and threads, and has tables of its own.
        joined = pool.map(
            lambda view: _join_view(con.cursor(), config, labels, view, filter_by_created), asked
        )
        result = labels.table
        for view, features in zip(asked, joined, strict=True):
            for (_, output), column in zip(view.features, features, strict=True):
                result = result.append_column(output, column)
    return result


def _join_view(
    con: duckdb.DuckDBPyConnection,
    config: RepoConfig,
    labels: Labels,
    view: RetrievedView,
    filter_by_created: bool,
) -> list[pa.ChunkedArray]:
    """A view's features in their stored types, one for each label, in order."""
    rows = dataset(config, view.source)
    check_columns(config, view, rows.schema)
    con.register("rows", rows)
    con.register("labels", _join_table(labels, view, rows.schema))
    few = labels.table.num_rows * FEW_LABELS <= rows.count_rows()
    query = as_of_query(view, rows.schema, _window(labels, view, rows.schema), few, filter_by_created)
    joined = con.sql(query).to_arrow_table()
    con.close()
    place = np.empty(joined.num_rows, np.int64)
    place[joined.column("row").to_numpy()] = np.arange(joined.num_rows)
    # Gathering costs less than the engine's sorting would, which carries all features along.
    found = joined.drop_columns("row").take(pa.array(place))
    stored = (rows.schema.field(name).type for name, _ in view.features)
    return [column.cast(kind) for column, kind in zip(found.columns, stored, strict=True)]


def as_of_query(
    view: RetrievedView, schema: pa.Schema, window: Sequence[str], few_labels: bool, filter_by_created: bool
) -> str:
    """SQL for one view: `row` and its features for each row of `labels`, in no order.

    `labels` has `row`, `instant`, `oldest` (with a TTL) and `k0, k1, …`; `rows` is the view's table. A
    label's rank is above those of all rows of its instant. One inequality of ranks is then the whole rule,
    ties included; no row is removed first.
    """
    instant = microseconds(schema, view.timestamp)
    keys = [f"{quoted(key)} AS k{i}" for i, (_, key) in enumerate(view.keys)]
    features = [f"{quoted(stored)} AS f{i}" for i, (stored, _) in enumerate(view.features)]
    where = list(window)
    for i, (_, key) in enumerate(view.keys):
        if few_labels:
            where.append(f"{quoted(key)} IN (SELECT k{i} FROM labels)")
    ranked = rank(schema, view.timestamp, view.created)
    found = f"SELECT {', '.join([*keys, f'{instant} AS instant', f'{ranked} AS rank', *features])} FROM rows"
    found += filtered(where)
    if filter_by_created and view.created:
        found = _known_by_rank(view, schema, where)
    outputs = [f"r.f{i}" for i in range(len(view.features))]
    if view.ttl is not None:
        outputs = [f"CASE WHEN r.instant >= l.oldest THEN {output} END" for output in outputs]
    on = " AND ".join([*(f"l.k{i} = r.k{i}" for i in range(len(view.keys))), "l.rank >= r.rank"])
    asking = f"SELECT *, instant::HUGEINT * {RANK} + {LAST_CREATED} AS rank FROM labels"
    return f"SELECT {', '.join(['l.row', *outputs])} FROM ({asking}) l ASOF LEFT JOIN ({found}) r ON {on}"


def _known_by_rank(view: RetrievedView, schema: pa.Schema, where: list[str]) -> str:
    """The rows of a view, ranked by when they were both in effect and written.

    As time goes on, a row replaces the one before it when it becomes known, unless it is older than that
    one: then it never is the answer, and is left out.
    """
    assert view.created is not None
    instant, created = microseconds(schema, view.timestamp), microseconds(schema, view.created)
    keys = [f"k{i}" for i in range(len(view.keys))]
    columns = [f"{quoted(key)} AS k{i}" for i, (_, key) in enumerate(view.keys)]
    columns += [f"{quoted(stored)} AS f{i}" for i, (stored, _) in enumerate(view.features)]
    columns += [
        f"{instant} AS instant",
        f"{instant}::HUGEINT * {RANK} + {created} AS version",
        f"greatest({instant}, {created}) AS known",
    ]
    present = [*where, f"{quoted(view.created)} IS NOT NULL", f"{quoted(view.timestamp)} IS NOT NULL"]
    partition = f"PARTITION BY {', '.join(keys)} " if keys else ""
    return (
        f"SELECT * EXCLUDE (version, known), known::HUGEINT * {RANK} AS rank"
        f" FROM (SELECT {', '.join(columns)} FROM rows{filtered(present)})"
        f" QUALIFY version = max(version) OVER ({partition}ORDER BY known, version ROWS UNBOUNDED PRECEDING)"
        f" AND row_number() OVER (PARTITION BY {', '.join([*keys, 'known'])} ORDER BY version DESC) = 1"
    )


def _join_table(labels: Labels, view: RetrievedView, schema: pa.Schema) -> pa.Table:
    """What of the labels enters DuckDB: row number, rank, keys."""
    n = len(labels.instants)
    columns: dict[str, Any] = {"row": np.arange(n), "instant": labels.instants}
    if view.ttl is not None:
        columns["oldest"] = labels.oldest_allowed(view.ttl)
    for i, (label, stored) in enumerate(view.keys):
        columns[f"k{i}"] = key_column(labels.table, label, schema.field(stored).type, view.name)
    return pa.table(columns)


def _window(labels: Labels, view: RetrievedView, schema: pa.Schema) -> list[str]:
    """Conditions that leave out rows which no label can see, so that whole files may be skipped."""
    if not len(labels.instants):
        return []
    oldest = None if view.ttl is None else int(labels.oldest_allowed(view.ttl).min())
    return within(schema, view.timestamp, oldest, int(labels.instants.max()))
