"""The embedded offline store: point-in-time joins by DuckDB's ASOF join over Delta tables.

Tables are read by deltalake as Arrow datasets (only the columns asked for), so no extension has to be
downloaded. Each view is one as-of join of the labels' keys and instants; the label table itself never enters
DuckDB, hence its columns come back as they were. Cost: O(n log n) of labels plus rows per view, in a memory
limit, spilling to disk; nothing passes through pandas. The rules of the join stand in `feature_repo.offline`.
"""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
from feast.data_source import DataSource
from feast.feature_view import FeatureView
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.utils import compute_non_entity_date_range

from common.errors import MarqueeError
from feature_repo.offline.asof import AsOfConfig, AsOfOfflineStore
from feature_repo.offline.jobs import ArrowJob
from feature_repo.offline.labels import (
    EVENT_TIMESTAMP,
    Labels,
    frame_to_arrow,
    label_key,
    labels_of,
    retrieval_metadata,
    utc,
)
from feature_repo.offline.tables import (
    as_stored,
    dataset,
    tables_named,
)
from feature_repo.offline.views import (
    FEW_LABELS,
    View,
    check_columns,
    check_outputs,
    pulled_columns,
    requested_views,
    with_dummy_key,
)

SIDE_BY_SIDE = 1_000_000
"""So many labels at most have their views joined at the same time, which takes more memory and less time."""
_RANK = 2**64
_NEVER_CREATED, _LAST_CREATED = -(2**63), 2**63 - 1


class AsOfDuckDBOfflineStoreConfig(AsOfConfig):
    """What `offline_store:` in feature_store.yaml may hold: what `AsOfConfig` says."""

    type: str = "feature_repo.offline.duckdb_asof.AsOfDuckDBOfflineStore"


class AsOfDuckDBOfflineStore(AsOfOfflineStore):
    """Feast's interface to the join; see the module."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | pa.Table | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> ArrowJob:
        """Join features to labels.

        Args:
            entity_df: the labels as pandas or Arrow; or SQL for DuckDB, in which the lake's tables go by
                name; or None for all keys seen from `start_date` to `end_date`, at `end_date`.

        Raises:
            MarqueeError: the labels or a table are not as they should be.
        """
        views = requested_views(feature_views, feature_refs, full_feature_names)
        if entity_df is None:
            start, end = compute_non_entity_date_range(feature_views, start_date, end_date)
            labels = labels_of(_keys_seen(config, views, start, end))
        else:
            labels = labels_of(_label_table(config, entity_df))
        check_outputs(labels.table.column_names, views)

        def compute() -> pa.Table:
            return point_in_time_join(config, labels, views, filter_by_created_timestamp)

        return ArrowJob(
            config,
            compute,
            full_feature_names,
            OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            retrieval_metadata(feature_refs, labels),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> ArrowJob:
        """The newest row of each key in [start_date, end_date]; rows with a null key are left out."""

        def compute() -> pa.Table:
            return latest_rows(
                config,
                data_source,
                join_key_columns,
                feature_name_columns,
                timestamp_field,
                created_timestamp_column,
                start_date,
                end_date,
            )

        return ArrowJob(config, compute)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> ArrowJob:
        """All rows in [start_date, end_date]; either end may be open."""

        def compute() -> pa.Table:
            rows = dataset(config, data_source)
            columns = pulled_columns(
                join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column
            )
            with connection(config) as con:
                con.register("rows", rows)
                where = _where(_between(rows.schema, timestamp_field, start_date, end_date))
                table = con.sql(f"SELECT {_names(columns)} FROM rows{where}").to_arrow_table()
            return with_dummy_key(as_stored(table, rows.schema), join_key_columns)

        return ArrowJob(config, compute)


# --- DuckDB -----------------------------------------------------------------------------------------------


@contextmanager
def connection(config: RepoConfig) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of its own, in memory, spilling to a folder that is removed afterwards.

    Args:
        config: of either as-of store: at scale too, the newest rows are found by DuckDB.
    """
    settings = config.offline_store
    with tempfile.TemporaryDirectory(prefix="marquee-duckdb-", dir=settings.temp_directory) as spill:
        options: dict[str, Any] = {"memory_limit": settings.memory_limit, "temp_directory": spill}
        if settings.threads is not None:
            options["threads"] = settings.threads
        try:
            con = duckdb.connect(":memory:", config=options)
        except duckdb.Error as error:
            raise MarqueeError(f"DuckDB does not accept the offline store's settings: {error}.") from error
        try:
            con.execute("SET TimeZone = 'UTC'")
            yield con
        except duckdb.OutOfMemoryException as error:
            raise MarqueeError(
                f"The join does not fit in memory_limit {settings.memory_limit}, even with spilling: raise it"
                f" in feature_store.yaml ({error})."
            ) from error
        finally:
            con.close()


def point_in_time_join(
    config: RepoConfig, labels: Labels, views: Sequence[View], filter_by_created: bool = False
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
    con: duckdb.DuckDBPyConnection, config: RepoConfig, labels: Labels, view: View, filter_by_created: bool
) -> list[pa.ChunkedArray]:
    """A view's features in their stored types, one for each label, in order."""
    rows = dataset(config, view.source)
    check_columns(view, rows.schema)
    con.register("rows", rows)
    con.register("labels", _join_table(labels, view, rows.schema))
    few = labels.table.num_rows * FEW_LABELS <= rows.count_rows() if view.keys else False
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
    view: View, schema: pa.Schema, window: Sequence[str], few_labels: bool, filter_by_created: bool = False
) -> str:
    """SQL for one view: `row` and its features for each row of `labels`, in no order.

    `labels` has `row`, `instant`, `oldest` (with a TTL) and `k0, k1, …`; `rows` is the view's table. A row's
    rank is its instant and, below that, when it was created, as one number; a label's rank is above all rows
    of its instant. One inequality of ranks is then the whole rule, ties included; no row is removed first.
    """
    instant = _microseconds(schema, view.timestamp)
    created = _microseconds(schema, view.created) if view.created else None
    keys = [f"{_name(key)} AS k{i}" for i, (_, key) in enumerate(view.keys)]
    features = [f"{_name(stored)} AS f{i}" for i, (stored, _) in enumerate(view.features)]
    where = list(window)
    for i, (_, key) in enumerate(view.keys):
        if few_labels:
            where.append(f"{_name(key)} IN (SELECT k{i} FROM labels)")
    rank = f"{instant}::HUGEINT * {_RANK}"
    if created:
        rank += f" + coalesce({created}, {_NEVER_CREATED})"
    found = f"SELECT {', '.join([*keys, f'{instant} AS instant', f'{rank} AS rank', *features])} FROM rows"
    found += _where(where)
    if filter_by_created and created:
        found = _known_by_rank(view, schema, where)
    outputs = [f"r.f{i}" for i in range(len(view.features))]
    if view.ttl is not None:
        outputs = [f"CASE WHEN r.instant >= l.oldest THEN {output} END" for output in outputs]
    on = " AND ".join([*(f"l.k{i} = r.k{i}" for i in range(len(view.keys))), "l.rank >= r.rank"])
    ranked = f"SELECT *, instant::HUGEINT * {_RANK} + {_LAST_CREATED} AS rank FROM labels"
    return f"SELECT {', '.join(['l.row', *outputs])} FROM ({ranked}) l ASOF LEFT JOIN ({found}) r ON {on}"


def _known_by_rank(view: View, schema: pa.Schema, where: list[str]) -> str:
    """The rows of a view, ranked by when they were both in effect and written.

    As time goes on, a row replaces the one before it when it becomes known, unless it is older than that
    one: then it never is the answer, and is left out.
    """
    assert view.created is not None
    instant, created = _microseconds(schema, view.timestamp), _microseconds(schema, view.created)
    keys = [f"k{i}" for i in range(len(view.keys))]
    columns = [f"{_name(key)} AS k{i}" for i, (_, key) in enumerate(view.keys)]
    columns += [f"{_name(stored)} AS f{i}" for i, (stored, _) in enumerate(view.features)]
    columns += [
        f"{instant} AS instant",
        f"{instant}::HUGEINT * {_RANK} + {created} AS version",
        f"greatest({instant}, {created}) AS known",
    ]
    present = [*where, f"{_name(view.created)} IS NOT NULL", f"{_name(view.timestamp)} IS NOT NULL"]
    partition = f"PARTITION BY {', '.join(keys)} " if keys else ""
    return (
        f"SELECT * EXCLUDE (version, known), known::HUGEINT * {_RANK} AS rank"
        f" FROM (SELECT {', '.join(columns)} FROM rows{_where(present)})"
        f" QUALIFY version = max(version) OVER ({partition}ORDER BY known, version ROWS UNBOUNDED PRECEDING)"
        f" AND row_number() OVER ({partition.rstrip() + ', known ' if keys else 'PARTITION BY known '}"
        "ORDER BY version DESC) = 1"
    )


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
    """The newest row of each key, ties broken by `created`; narrow columns first, then those rows only.

    Args:
        among: some of the table's rows: only keys whose newest row is one of these.
    """
    rows = dataset(config, source)
    schema = rows.schema
    columns = pulled_columns(keys, features, timestamp, created)
    rank = f"{_microseconds(schema, timestamp)}::HUGEINT * {_RANK}"
    if created:
        rank += f" + coalesce({_microseconds(schema, created)}, {_NEVER_CREATED})"
    where = _where(_between(schema, timestamp, start, end))
    group = ", ".join(_name(key) for key in keys)
    with connection(config) as con:
        con.register("rows", rows)
        best = f"SELECT {group + ', ' if keys else ''}max({rank}) AS rank FROM rows"
        grouped = f" GROUP BY {group}" if keys else ""
        if among is None:
            best += where + grouped
        else:
            con.register("among", among)
            newest = f"SELECT max({_microseconds(schema, timestamp)}) AS newest FROM among{where}{grouped}"
            # Rows older than the newest of every key concerned decide nothing; the Parquet reader skips them.
            ((oldest,),) = con.sql(f"SELECT min(newest) FROM ({newest})").fetchall()
            best += f" SEMI JOIN among USING ({group})" if keys else ""
            best += _where(
                [*_between(schema, timestamp, start, end), *_within(schema, timestamp, oldest, None)]
            )
            best += grouped
        on = " AND ".join(
            [*(f"rows.{_name(key)} = best.{_name(key)}" for key in keys), f"{rank} = best.rank"]
        )
        # Rows that agree in key and both timestamps are the same row, written twice.
        partition = f"PARTITION BY {', '.join('rows.' + _name(key) for key in keys)}" if keys else ""
        query = (
            f"SELECT {', '.join('rows.' + _name(column) for column in columns)}"
            f" FROM {'rows' if among is None else 'among'} AS rows JOIN ({best}) best ON {on}{where}"
            f" QUALIFY row_number() OVER ({partition}) = 1"
        )
        table = con.sql(query).to_arrow_table()
    return with_dummy_key(as_stored(table, schema), keys)


def _label_table(config: RepoConfig, entities: pd.DataFrame | pa.Table | str) -> pa.Table:
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


def _keys_seen(config: RepoConfig, views: Sequence[View], start: datetime, end: datetime) -> pa.Table:
    """Labels for all keys that a view has a row of in [start, end], at `end`, in order of the keys.

    Views of different keys contribute rows of their own, in which the other keys are null.
    """
    found: list[pa.Table] = []
    with connection(config) as con:
        for view in views:
            rows = dataset(config, view.source)
            check_columns(view, rows.schema)
            con.register("rows", rows)
            columns = ", ".join(f"{_name(stored)} AS {_name(label)}" for label, stored in view.keys)
            where = _between(rows.schema, view.timestamp, start, end)
            where += [f"{_name(stored)} IS NOT NULL" for _, stored in view.keys]
            query = f"SELECT DISTINCT {columns or '1 AS one'} FROM rows{_where(where)}"
            kinds = pa.schema(
                [pa.field(label, rows.schema.field(stored).type) for label, stored in view.keys]
            )
            table = con.sql(query).to_arrow_table()
            if view.keys:
                found.append(table.cast(kinds))
            con.unregister("rows")
    if not found:
        return pa.table({EVENT_TIMESTAMP: pa.array([utc(end)], pa.timestamp("us", "UTC"))})
    names = list(dict.fromkeys(name for table in found for name in table.column_names))
    union = pa.concat_tables(found, promote_options="permissive")
    keys = (
        union.group_by(names, use_threads=False)
        .aggregate([])
        .sort_by([(name, "ascending") for name in names])
    )
    moment = pa.repeat(pa.scalar(utc(end), pa.timestamp("us", "UTC")), keys.num_rows)
    return keys.select(names).append_column(EVENT_TIMESTAMP, moment)


def _join_table(labels: Labels, view: View, schema: pa.Schema) -> pa.Table:
    """What of the labels enters DuckDB: row number, rank, keys."""
    n = len(labels.instants)
    columns: dict[str, Any] = {"row": np.arange(n), "instant": labels.instants}
    if view.ttl is not None:
        columns["oldest"] = labels.oldest_allowed(view.ttl)
    for i, (label, stored) in enumerate(view.keys):
        columns[f"k{i}"] = label_key(labels.table, label, view, schema.field(stored).type)
    return pa.table(columns)


def _window(labels: Labels, view: View, schema: pa.Schema) -> list[str]:
    """Conditions that leave out rows which no label can see, so that whole files may be skipped."""
    if not len(labels.instants):
        return []
    oldest = None if view.ttl is None else int(labels.oldest_allowed(view.ttl).min())
    return _within(schema, view.timestamp, oldest, int(labels.instants.max()))


def _between(schema: pa.Schema, column: str, start: datetime | None, end: datetime | None) -> list[str]:
    low, high = (None if moment is None else _since_epoch(moment) for moment in (start, end))
    return _within(schema, column, low, high)


def _within(schema: pa.Schema, column: str, low: int | None, high: int | None) -> list[str]:
    """Conditions that a column of instants is in [low, high] (microseconds).

    Timestamps are compared with constants of their own type, which DuckDB hands on to the Parquet reader.
    """
    kind = schema.field(column).type
    if pa.types.is_timestamp(kind) and kind.unit != "ns":
        make = "make_timestamp" if kind.tz is None else "make_timestamptz"
        value, limit = _name(column), f"{make}({{}})"
    else:
        value, limit = _microseconds(schema, column), "{}"
    bounds = [f"{value} >= {limit.format(low)}"] if low is not None else []
    return bounds + ([f"{value} <= {limit.format(high)}"] if high is not None else [])


def _microseconds(schema: pa.Schema, column: str) -> str:
    """SQL for a column of instants as microseconds since 1970, rounded up; naive ones are UTC."""
    kind, name = schema.field(column).type, _name(column)
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


def _since_epoch(moment: datetime) -> int:
    return (utc(moment) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _names(columns: Sequence[str]) -> str:
    return ", ".join(_name(column) for column in columns)


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
