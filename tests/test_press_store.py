"""A domain that is not movies through the whole store: published, joined, brought online, looked up."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from feast import FeatureStore, RepoConfig

from app.lookup import asked_keys, lookup, lookup_many
from common.errors import MarqueeError
from common.settings import Settings
from feature_repo import store
from feature_repo.define.column import Column, Type
from feature_repo.define.domain import Domain
from feature_repo.define.operation import Fact
from feature_repo.define.role import Vector
from feature_repo.define.table import Table
from feature_repo.define.view import Over, View
from feature_repo.offline.spark_asof import AsOfSparkOfflineStore
from feature_repo.online.send import send_changed
from feature_repo.publish import feast_objects
from tests.asof_battery import ENGINES, plain
from tests.asof_oracle import OracleView, join
from tests.lake import START, build_tables, key_values, newest_by_key
from tests.toy_domain import ARTICLE, PRESS, READER

KEYS = {"reader_id": 12, "article_id": 9}
VECTOR = Column("vector", Type.FLOAT64_LIST, "Of its text.", length=3, role=Vector(3))
VECTORS = Table("vectors", "catalogue", (ARTICLE,), (VECTOR,), "Texts as numbers.", ("article_id",))
ARTICLE_VECTORS = View(
    "article_vectors",
    ARTICLE,
    Over(VECTORS),
    (Fact("vector", replace(VECTOR, name="article_vector")),),
    "What an article's text is near to.",
)
DOMAIN = replace(
    PRESS,
    sources=(*PRESS.sources, VECTORS),
    views=(*PRESS.views, ARTICLE_VECTORS),
    services={"press_v2": (*PRESS.views, ARTICLE_VECTORS)},
)
"""The press with a column of each type that a domain may have."""

Built = tuple[Settings, dict[str, pa.Table]]


def test_every_type_of_column_is_in_the_domain() -> None:
    assert {column.type for view in DOMAIN.views for column in (view.by, *view.columns)} >= set(Type) - {
        Type.INT64_LIST  # the movies have it
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    home = tmp_path_factory.mktemp("press")
    tables = build_tables(home, DOMAIN, KEYS)
    settings = Settings(home=home)
    store.apply(settings, DOMAIN)
    store.materialize(settings)
    return settings, tables


@pytest.fixture(scope="module")
def opened(built: Built) -> FeatureStore:
    return store.open_store(built[0])


def test_what_is_published_is_what_is_declared(built: Built, opened: FeatureStore) -> None:
    assert store.plan(built[0], DOMAIN) == []
    views = {view.name: view for view in opened.list_feature_views()}
    assert list(views) and set(views) == {view.name for view in DOMAIN.views}
    for view in DOMAIN.views:
        assert {field.name for field in views[view.name].features} == {c.name for c in view.columns}
        assert views[view.name].join_keys == [view.by.name]
    (service,) = opened.list_feature_services()
    assert service.name == "press_v2"


@pytest.mark.parametrize("engine", ENGINES)
def test_joined_features_are_those_of_the_oracle(
    built: Built, opened: FeatureStore, engine: str, request: pytest.FixtureRequest
) -> None:
    if engine == "spark":
        request.getfixturevalue("spark")
        opened = with_offline_store(opened, AsOfSparkOfflineStore)
    rng = np.random.default_rng(1)
    n = 80
    at = [START + timedelta(days=int(day)) for day in rng.integers(-30, 400, n)]
    labels = pa.table(
        {
            "article_id": rng.choice([*key_values(ARTICLE, 9), "unheard of"], n).tolist(),
            "reader_id": rng.choice([*key_values(READER, 12), 10**9], n),
            "minutes": rng.uniform(0, 9, n),
            "event_timestamp": pa.array(at, pa.timestamp("us", "UTC")),
        }
    )
    found = opened.get_historical_features(labels, opened.get_feature_service("press_v2")).to_arrow()
    views = [
        OracleView(
            plain(built[1][view.name]), {view.by.name: view.by.name}, {c.name: c.name for c in view.columns}
        )
        for view in DOMAIN.views
    ]
    assert plain(found) == join(plain(labels), views)


def with_offline_store(opened: FeatureStore, kind: type) -> FeatureStore:
    config = opened.config
    other = RepoConfig(
        project=config.project,
        provider="local",
        registry=config.registry.model_dump(),
        online_store=config.online_store.model_dump(),
        offline_store={"type": f"{kind.__module__}.{kind.__name__}", "lake": config.offline_store.lake},
        entity_key_serialization_version=3,
    )
    other.repo_path = config.repo_path
    return FeatureStore(config=other)


@pytest.mark.parametrize("online", ["sqlite", "redis"])
def test_looked_up_features_are_the_newest_rows(
    built: Built, opened: FeatureStore, online: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    _, tables = built
    if online == "redis":
        opened = with_redis(opened, request.getfixturevalue("redis"), tmp_path)
    newest = {view.name: newest_by_key(tables[view.name], view.by.name) for view in DOMAIN.views}
    for i in range(9):
        keys = {"reader_id": key_values(READER, 9)[i], "article_id": key_values(ARTICLE, 9)[i]}
        found = lookup(opened, "press_v2", keys)
        assert found.unknown == ()
        assert found.values == {
            column.name: newest[view.name][keys[view.by.name]][column.name]
            for view in DOMAIN.views
            for column in view.columns
        }
    pairs = pa.table({"reader_id": [3, 3, 99], "article_id": ["article_id 2", "none", None]})
    rows = lookup_many(opened, None, pairs)
    assert rows.schema.field("article_vector").type == pa.list_(pa.float64())
    assert rows["article_section"].to_pylist()[1:] == [None, None]
    assert rows["reader_read_count"].to_pylist() == [newest["reader_stats"][3]["reader_read_count"]] * 2 + [
        None
    ]


def with_redis(opened: FeatureStore, address: str, folder: Path) -> FeatureStore:
    """The same views with a Redis, filled."""
    config = opened.config
    other = RepoConfig(
        project="press",
        provider="local",
        registry=str(folder / "registry.pb"),
        online_store={
            "type": "feature_repo.online.redis.NewestRedisOnlineStore",
            "connection_string": address,
        },
        offline_store=config.offline_store.model_dump(),
        entity_key_serialization_version=3,
    )
    other.repo_path = config.repo_path
    found = FeatureStore(config=other)
    found.apply(feast_objects(DOMAIN, "press").all)
    send_changed(found)
    return found


def test_unknown_keys_are_named(opened: FeatureStore) -> None:
    found = lookup(opened, None, {"reader_id": 1, "article_id": "unheard of"})
    assert found.unknown == ("article_id",)
    assert found.values["article_read_count"] is None


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "nothing to look up: give article_id or reader_id"),
        ({"reader_id": "1"}, "reader_id is a positive whole number, not '1'"),
        ({"article_id": 1}, "article_id is text, not 1"),
        ({"article_id": ""}, "article_id is text, not ''"),
        ({"article": "a"}, "no key 'article': did you mean article_id"),
    ],
)
def test_keys_that_cannot_be_are_refused_with_and_without_a_store(
    opened: FeatureStore, keys: dict[str, Any], words: str
) -> None:
    with pytest.raises(MarqueeError, match=words):
        lookup(opened, None, keys)
    with pytest.raises(MarqueeError, match=words):
        asked_keys(DOMAIN, keys)


def test_a_domain_that_gives_way_to_another_leaves_nothing(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    store.apply(settings, DOMAIN)
    smaller: Domain = replace(PRESS, views=PRESS.views[:2], services={"press_v1": PRESS.views[:2]})
    changes = {(change.action, change.kind, change.name) for change in store.plan(settings, smaller)}
    assert ("delete", "feature view", "article_vectors") in changes
    assert ("delete", "entity", "article") in changes
    store.apply(settings, smaller)
    assert store.plan(settings, smaller) == []
    assert {view.name for view in store.open_store(settings).list_feature_views()} == {
        "reader_stats",
        "reader_recent",
    }
    store.apply(settings, DOMAIN)
    assert store.plan(settings, DOMAIN) == []
