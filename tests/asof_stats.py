"""A store on each engine with one small view, for what an offline store owes Feast beyond the join."""

from pathlib import Path
from typing import Any

import pytest
from feast import Entity, FeatureStore, ValueType
from feast.infra.offline_stores.offline_store import OfflineStore

from tests.asof_battery import (
    ENGINES,
    SETTINGS,
    AskedView,
    Case,
    Table,
    build,
    feast_view,
    open_battery_store,
)

Engine = tuple[FeatureStore, type[OfflineStore]]
MEAN = ["stats:mean"]

STATS = Table(
    {
        "user_id": "int",
        "event_timestamp": "time",
        "created_timestamp": "time",
        "mean": "float",
        "count": "int",
    },
    [
        {"user_id": 1, "event_timestamp": 10, "created_timestamp": 10, "mean": 1.0, "count": 1},
        {"user_id": 1, "event_timestamp": 20, "created_timestamp": 20, "mean": 2.0, "count": None},
        {"user_id": 2, "event_timestamp": 15, "created_timestamp": 15, "mean": 3.0, "count": 2**60 + 1},
    ],
)
LABELS = Table(
    {"user_id": "int", "event_timestamp": "time"},
    [
        {"user_id": 2, "event_timestamp": 30},
        {"user_id": 1, "event_timestamp": 15},
        {"user_id": 9, "event_timestamp": 30},
    ],
)


def stats_case(**view: Any) -> Case:
    asked = AskedView(**({"table": "stats", "keys": ["user_id"], "features": ["mean", "count"]} | view))
    return Case({"stats": STATS}, [asked], LABELS)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    offline = ENGINES[request.param]
    if request.param == "spark":
        request.getfixturevalue("spark")
    return open_battery_store(tmp_path, offline, **SETTINGS[request.param]), offline


@pytest.fixture
def applied(engine: Engine) -> FeatureStore:
    """A store with the view `stats` applied and its table built."""
    store, _ = engine
    build(store, stats_case())
    view = feast_view(stats_case(), stats_case().views[0])
    user = Entity(name="user_id_entity", join_keys=["user_id"], value_type=ValueType.INT64)
    store.apply([user, view])
    return store
