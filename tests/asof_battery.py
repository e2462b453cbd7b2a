"""Runs a point-in-time case on an engine: the same cases for every offline store.

A case is data: tables, views over them, labels, and what to ask for. `ask` builds the Delta tables and the
Feast views and calls the engine's plug-in; `expected` asks the oracle.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.data_format import DeltaFormat
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob
from feast.types import Float64, Int64, String

from feature_repo.offline.duckdb_asof import AsOfDuckDBOfflineStore
from feature_repo.offline.spark_asof import AsOfSparkOfflineStore
from tests.asof_oracle import OracleView, Row, join

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT = pa.timestamp("us", "UTC")
ARROW = {
    "int": pa.int64(),
    "float": pa.float64(),
    "text": pa.string(),
    "time": INSTANT,
    "ints": pa.list_(pa.int64()),
}
FEAST = {"int": Int64, "float": Float64, "text": String}
VALUE = {"int": ValueType.INT64, "text": ValueType.STRING}

ENGINES: dict[str, type[OfflineStore]] = {"duckdb": AsOfDuckDBOfflineStore, "spark": AsOfSparkOfflineStore}
SETTINGS: dict[str, dict[str, Any]] = {"duckdb": {}, "spark": {"partitions": 3}}
"""Of each engine's offline store."""


@dataclass
class Table:
    """A Delta table: column types (see `ARROW`) and rows; times are microseconds."""

    columns: dict[str, str]
    rows: list[Row]


@dataclass
class AskedView:
    """A feature view, and what is asked of it.

    Args:
        table: name of its table.
        keys: its key columns, by the names that they have after `mapping`.
        features: the features asked for.
        created: whether its source declares `created_timestamp`.
        ttl: microseconds.
        alias: the name that it goes by, if another.
        join: its key: the labels' column, where they differ.
        mapping: column of the table: its name in the view.
    """

    table: str
    keys: list[str]
    features: list[str]
    created: bool = True
    ttl: int | None = None
    alias: str | None = None
    join: dict[str, str] = field(default_factory=dict)
    mapping: dict[str, str] = field(default_factory=dict)


@dataclass
class Case:
    tables: dict[str, Table]
    views: list[AskedView]
    labels: Table
    full_feature_names: bool = False
    only_created: bool = False


def moment(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


def arrow(table: Table) -> pa.Table:
    return pa.table(
        {
            name: pa.array(
                [row[name] for row in table.rows], pa.int64() if kind == "time" else ARROW[kind]
            ).cast(ARROW[kind])
            for name, kind in table.columns.items()
        }
    )


def plain(table: pa.Table) -> list[Row]:
    """Rows of plain values, times as microseconds."""
    schema = [
        pa.field(column.name, pa.int64() if pa.types.is_timestamp(column.type) else column.type)
        for column in table.schema
    ]
    return list(table.cast(pa.schema(schema)).to_pylist())


def feast_view(case: Case, asked: AskedView) -> FeatureView:
    table = case.tables[asked.table]
    kinds = {asked.mapping.get(name, name): kind for name, kind in table.columns.items()}
    times = ("event_timestamp", "created_timestamp")
    view = FeatureView(
        name=asked.table,
        entities=[
            Entity(name=f"{key}_entity", join_keys=[key], value_type=VALUE[kinds[key]]) for key in asked.keys
        ],
        schema=[Field(name=name, dtype=FEAST[kind]) for name, kind in kinds.items() if name not in times],
        source=FileSource(
            name=asked.table,
            path=asked.table,
            file_format=DeltaFormat(),
            timestamp_field="event_timestamp",
            created_timestamp_column="created_timestamp" if asked.created else "",
            field_mapping=asked.mapping,
        ),
        ttl=timedelta(microseconds=asked.ttl or 0),
    )
    if asked.alias:
        view = view.with_name(asked.alias)
    return view.with_join_key_map(asked.join) if asked.join else view


def references(case: Case) -> list[str]:
    return [f"{view.alias or view.table}:{feature}" for view in case.views for feature in view.features]


def open_battery_store(folder: Path, engine: type[OfflineStore], **settings: Any) -> FeatureStore:
    """A store with an empty registry whose lake is `folder`/lake."""
    config = RepoConfig(
        project="battery",
        provider="local",
        registry=str(folder / "registry.pb"),
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        offline_store={
            "type": f"{engine.__module__}.{engine.__name__}",
            "lake": str(folder / "lake"),
            **settings,
        },
        entity_key_serialization_version=3,
    )
    config.repo_path = folder
    return FeatureStore(config=config)


def build(store: FeatureStore, case: Case) -> None:
    """Write the case's tables, in two commits, so that a table has several files."""
    for name, table in case.tables.items():
        path = f"{store.config.offline_store.lake}/{name}"
        whole = arrow(table)
        half = whole.num_rows // 2
        write_deltalake(path, whole.slice(0, half), mode="overwrite", schema_mode="overwrite")
        write_deltalake(path, whole.slice(half), mode="append")


def job(store: FeatureStore, engine: type[OfflineStore], case: Case, labels: Any = None) -> RetrievalJob:
    options = {"filter_by_created_timestamp": True} if case.only_created else {}
    return engine.get_historical_features(
        config=store.config,
        feature_views=[feast_view(case, view) for view in case.views],
        feature_refs=references(case),
        entity_df=arrow(case.labels) if labels is None else labels,
        registry=store.registry,
        project="battery",
        full_feature_names=case.full_feature_names,
        **options,
    )


def ask(store: FeatureStore, engine: type[OfflineStore], case: Case) -> list[Row]:
    build(store, case)
    return plain(job(store, engine, case).to_arrow())


def oracle_view(case: Case, asked: AskedView) -> OracleView:
    stored = {new: old for old, new in asked.mapping.items()}
    prefix = f"{asked.alias or asked.table}__" if case.full_feature_names else ""
    return OracleView(
        rows=case.tables[asked.table].rows,
        keys={stored.get(key, key): asked.join.get(key, key) for key in asked.keys},
        features={stored.get(name, name): prefix + name for name in asked.features},
        created="created_timestamp" if asked.created else None,
        ttl=asked.ttl,
    )


def expected(case: Case) -> list[Row]:
    return join(
        case.labels.rows, [oracle_view(case, view) for view in case.views], only_created=case.only_created
    )


# --- golden cases -----------------------------------------------------------------------------------------


def golden(path: Path) -> dict[str, tuple[Case, list[Row]]]:
    """Readable cases from JSON: a table is a header line (`name: type`) and rows in its order."""
    cases = {}
    for name, text in json.loads(path.read_text()).items():
        case = Case(
            tables={table: _table(of) for table, of in text["tables"].items()},
            views=[AskedView(**(view | _ttl(view))) for view in text["views"]],
            labels=_table(text["labels"]),
            full_feature_names=text.get("full_feature_names", False),
            only_created=text.get("only_created", False),
        )
        cases[name] = (case, _table(text["expected"]).rows)
    return cases


def _table(text: list[list[Any]]) -> Table:
    header, *rows = text
    columns = dict(cell.split(": ") for cell in header)
    read: dict[str, Callable[[Any], Any]] = {"time": _microseconds}
    return Table(
        columns,
        [
            {
                name: None if cell is None else read.get(kind, lambda value: value)(cell)
                for (name, kind), cell in zip(columns.items(), row, strict=True)
            }
            for row in rows
        ],
    )


def _microseconds(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


def _ttl(view: dict[str, Any]) -> dict[str, int]:
    """`ttl` is given in seconds."""
    return {"ttl": round(view["ttl"] * 1_000_000)} if "ttl" in view else {}
