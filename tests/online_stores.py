"""A feature store of one small view, on any online store, and what ought to be online."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.data_format import DeltaFormat
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Int64List, Value
from feast.types import Array, Int64, String

from feature_repo.feast_internals import OnlineRow

START = datetime(2020, 1, 1, tzinfo=UTC)
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
SCHEMA = pa.schema(
    {
        "user_id": pa.int64(),
        "said": pa.string(),
        "seen": pa.list_(pa.int64()),
        "event_timestamp": pa.timestamp("us", "UTC"),
        "created_timestamp": pa.timestamp("us", "UTC"),
    }
)


class Event(NamedTuple):
    """A row: its key, and its two timestamps in microseconds from `START`. Its values tell all three."""

    key: int
    event: int
    created: int

    @property
    def said(self) -> str:
        return f"{self.key} at {self.event} by {self.created}"


def view() -> FeatureView:
    source = FileSource(
        name="words",
        path="words",
        file_format=DeltaFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )
    return FeatureView(
        name="words",
        entities=[USER],
        schema=[
            Field(name="user_id", dtype=Int64),
            Field(name="said", dtype=String),
            Field(name="seen", dtype=Array(Int64)),
        ],
        source=source,
        ttl=timedelta(0),
    )


def open_store(folder: Path, online_store: dict[str, Any]) -> FeatureStore:
    """A store with the view applied; its lake is `folder`/lake."""
    config = RepoConfig(
        project="words",
        provider="local",
        registry=str(folder / "registry.pb"),
        online_store=online_store,
        offline_store={
            "type": "feature_repo.offline.duckdb_asof.AsOfDuckDBOfflineStore",
            "lake": str(folder / "lake"),
        },
        materialization={"pull_latest_features": True},
        entity_key_serialization_version=3,
    )
    config.repo_path = folder
    store = FeatureStore(config=config)
    words = view()
    store.apply([USER, words])
    return store


def sqlite(folder: Path) -> dict[str, Any]:
    kind = "feature_repo.online.sqlite.NewestSqliteOnlineStore"
    return {"type": kind, "path": str(folder / "online.db")}


def empty(store: FeatureStore) -> None:
    """Forget all that the online store has."""
    online, words = store._get_provider().online_store, store.get_feature_view("words")
    online.update(store.config, [words], [], [], [], partial=False)
    online.update(store.config, [], [words], [], [], partial=False)


def write(store: FeatureStore, events: Sequence[Event], mode: str = "append") -> None:
    """Commit rows to the view's table."""
    rows = {
        "user_id": [e.key for e in events],
        "said": [e.said for e in events],
        "seen": [[e.event, e.created] for e in events],
        "event_timestamp": [START + timedelta(microseconds=e.event) for e in events],
        "created_timestamp": [START + timedelta(microseconds=e.created) for e in events],
    }
    write_deltalake(path(store), pa.table(rows, SCHEMA), mode=mode)  # type: ignore[call-overload]


def path(store: FeatureStore) -> str:
    return f"{store.config.offline_store.lake}/words"


def stored(store: FeatureStore) -> list[Event]:
    """All rows of the view's table, by its own reader."""
    rows = DeltaTable(path(store)).to_pyarrow_table().to_pylist()
    return [Event(row["user_id"], *row["seen"]) for row in rows]


def newest(events: Sequence[Event]) -> dict[int, Event]:
    """By key, the row that ought to be online: by looking at all."""
    found: dict[int, Event] = {}
    for event in events:
        if event.key not in found or event[1:] > found[event.key][1:]:
            found[event.key] = event
    return found


def rows(events: Sequence[Event]) -> list[OnlineRow]:
    """Rows as Feast hands them to an online store."""
    return [
        (
            entity_key(e.key),
            {
                "said": Value(string_val=e.said),
                "seen": Value(int64_list_val=Int64List(val=[e.event, e.created])),
            },
            START + timedelta(microseconds=e.event),
            START + timedelta(microseconds=e.created),
        )
        for e in events
    ]


def write_online(store: FeatureStore, events: Sequence[Event]) -> None:
    """What any writer does, by Feast's interface."""
    words = store.get_feature_view("words")
    store._get_provider().online_write_batch(store.config, words, rows(events), None)


def served(store: FeatureStore, keys: Sequence[int]) -> dict[int, Event]:
    """What is online, by Feast's interface; a row whose values and instant do not belong together fails."""
    words = store.get_feature_view("words")
    found = {}
    read = store._get_provider().online_read(
        store.config, words, [entity_key(key) for key in keys], ["said", "seen"]
    )
    for key, (moment, values) in zip(keys, read, strict=True):
        if moment is None or not values or not values["said"].string_val:
            continue
        event = Event(key, *values["seen"].int64_list_val.val)
        assert values["said"].string_val == event.said
        assert moment == START + timedelta(microseconds=event.event)
        found[key] = event
    return found


def entity_key(key: int) -> EntityKey:
    return EntityKey(join_keys=["user_id"], entity_values=[Value(int64_val=key)])
