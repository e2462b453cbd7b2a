"""The consistency audit passes an online store that keeps up, and names the feature of each planted fault."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from feast import FeatureStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from pyspark.sql import SparkSession

from app.lookup import lookup_many
from app.spark import spark_meanwhile
from common.errors import MarqueeError
from common.page import external_resources
from common.progress import Stages
from common.settings import Settings
from feature_repo.define.column import EVENT_TIMESTAMP, Type
from feature_repo.define.view import View
from feature_repo.domains.movies import DOMAIN
from feature_repo.online.send import send_changed
from feature_repo.online.served import served_rows
from feature_repo.store import open_store
from tests.audit_lake import (
    Row,
    Rows,
    World,
    build_home,
    feature_rows,
    look_up,
    open_with,
    overwrite,
    sources,
)
from tests.raw_rows import no_spark
from tests.test_audit_leakage import ENGINES, WORLDS, features_of
from validation.audit.consistency import Replay, audit_consistency
from validation.audit.consistency_plan import make_plan
from validation.audit.consistency_report import ConsistencyReport
from validation.audit.oracle import TOLERANCE
from validation.audit.page import write_audit
from validation.audit.reading import label_keys, moment
from validation.audit.verdict import require_passed

WORLD = WORLDS["movies"]
REDIS = "feature_repo.online.redis.NewestRedisOnlineStore"
ASKED: dict[str, Any] = {"events": 60, "instants": 2, "pairs": 10, "late": 0.3, "seed": 1}


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for name, world in WORLDS.items():
        found[name] = tmp_path_factory.mktemp(name)
        build_home(found[name], world)
    return found


@pytest.fixture
def home(homes: dict[str, Path]) -> Path:
    """A home of movies."""
    return homes["movies"]


@pytest.fixture
def duckdb_store(home: Path) -> FeatureStore:
    return open_with(home, ENGINES["duckdb"])


def events_of(rows: pa.Table) -> list[Row]:
    """Delivered events, each with its columns in the order of their names."""
    return [{name: row[name] for name in sorted(row)} for row in rows.to_pylist()]


def in_order(events: Sequence[Row]) -> list[tuple[Any, ...]]:
    return sorted(tuple(event[name] for name in sorted(event)) for event in events)


def replay_in(
    folder: Path,
    world: World = WORLD,
    arrive: Callable[[list[Row], list[Row]], list[Row]] = lambda _, new: new,
    rows: Rows = feature_rows,
    sent: Callable[[int, str], bool] = lambda *_: True,
    opened: Callable[[Path], FeatureStore] = lambda folder: open_store(Settings(home=folder)),
) -> Replay:
    """A scratch home that is kept up in the plainest way: every table anew for every delivery.

    Args:
        arrive: of new events, given those before, the ones that are taken in.
        rows: makes a table.
        sent: whether a view is brought online after the delivery of that number, which is 0 at first.
        opened: the store of a folder.
    """
    domain = world.domain
    there: list[Row] = []
    deliveries = 0

    def bring_online() -> None:
        nonlocal deliveries
        send_changed(opened(folder), [view.name for view in domain.views if sent(deliveries, view.name)])
        deliveries += 1

    def build(before: datetime) -> None:
        there.extend(event for event in world.events if event[EVENT_TIMESTAMP] < before)
        build_home(folder, world.of(there), rows)
        bring_online()

    def deliver(new: pa.Table) -> None:
        there.extend(arrive(there, events_of(new)))
        for view in domain.views:
            if not view.is_timeless:
                overwrite(folder, view.name, rows(view, world.of(there)))
        bring_online()

    def read(pairs: pa.Table) -> pa.Table:
        store = opened(folder)
        return lookup_many(store, None, pairs) if domain is DOMAIN else look_up(store, domain, pairs)

    return Replay(build, deliver, deliver, read)


def failed(report: ConsistencyReport) -> set[str]:
    return {feature.feature for feature in report.failures}


@pytest.mark.parametrize("world", WORLDS.values(), ids=list(WORLDS))
def test_a_plan_delivers_every_event_once_and_late_ones_late(world: World) -> None:
    everything, keys = sources(world)[world.domain.events.name], label_keys(world.domain)
    plan = make_plan(everything, world.domain, events=60, instants=4, pairs=10, late=0.3, seed=0)
    given = [event for place in range(5) for event in events_of(plan.batch(place))]
    period = [event for event in world.events if event[EVENT_TIMESTAMP] >= moment(plan.cut)]
    assert in_order(given) == in_order(period) and 55 <= len(period) <= 65
    late = 0
    for place, instant in enumerate(map(moment, plan.instants)):
        arrived = in_order([event for early in range(place + 1) for event in events_of(plan.batch(early))])
        due = [event for event in period if event[EVENT_TIMESTAMP] < instant]
        assert set(arrived) <= set(in_order(due)), "nothing comes before it happens"
        missing = [event for event in due if in_order([event])[0] not in arrived]
        late += len(missing)
        asked = [row for row in plan.labels.to_pylist() if row["place"] == place]
        assert len(asked) >= 10 or len(asked) == len({tuple(row[key] for key in keys) for row in asked})
        told = plan.behind[[i for i, at in enumerate(plan.labels["place"].to_pylist()) if at == place]]
        assert told.tolist() == [
            any(row[key] == event[key] for key in keys for event in missing) for row in asked
        ]
    assert late >= plan.late > 0
    at_end = [row for row in plan.labels.to_pylist() if row["place"] == 4]
    for key in keys:
        assert {row[key] for row in at_end} == {event[key] for event in period}
    assert not np.any(plan.behind[-len(at_end) :])


@pytest.mark.parametrize("world", WORLDS.values(), ids=list(WORLDS))
def test_too_few_events_are_one_sentence(world: World) -> None:
    name = world.domain.events.name
    with pytest.raises(MarqueeError, match=rf"the lake has \d+ {name}. Ask for others"):
        make_plan(sources(world)[name], world.domain, events=1000, instants=4, pairs=10, late=0, seed=0)


@pytest.mark.parametrize(
    ("name", "profile"), [("movies", "embedded"), ("movies", "scale"), ("press", "embedded")]
)
def test_an_online_store_that_keeps_up_passes(
    homes: dict[str, Path], name: str, profile: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    def opened(folder: Path) -> FeatureStore:
        online = {"type": REDIS, "connection_string": request.getfixturevalue("redis")}
        return open_with(folder, ENGINES["spark"], online)

    world, domain = WORLDS[name], WORLDS[name].domain
    if profile == "scale":
        request.getfixturevalue("spark")
        store, replay = opened(homes[name]), replay_in(tmp_path / "replay", world, opened=opened)
    else:
        store = open_with(homes[name], ENGINES["duckdb"])
        replay = replay_in(tmp_path / "replay", world)
    report = audit_consistency(store, domain, replay, **ASKED)
    assert report.failures == ()
    assert report.rate == 1.0
    assert report.late > 0 and report.known_then > 0
    assert (report.pushes, report.runs) == (2, 1)
    page = write_audit(tmp_path, "consistency", report, domain)
    require_passed(report, page)
    assert external_resources(page.read_text()) == []
    told = json.loads(page.with_suffix(".json").read_text())
    assert told["passed"] is True
    assert {feature["feature"] for feature in told["features"]} == features_of(
        domain, *(view.name for view in domain.views)
    )


@pytest.mark.parametrize(
    ("name", "view", "feature"),
    [
        ("movies", "user_rating_stats", "user_rating_count"),
        ("press", "article_stats", "article_read_count"),
    ],
)
def test_stale_online_rows_are_named(
    homes: dict[str, Path], name: str, view: str, feature: str, tmp_path: Path
) -> None:
    def only_at_first(delivery: int, sent: str) -> bool:
        return delivery == 0 or sent != view

    world = WORLDS[name]
    store = open_with(homes[name], ENGINES["duckdb"])
    replay = replay_in(tmp_path, world, sent=only_at_first)
    report = audit_consistency(store, world.domain, replay, **ASKED)
    assert feature in failed(report) <= features_of(world.domain, view)
    finding = next(each for each in report.failures if each.feature == feature)
    assert finding.stale > 0 and finding.staleness >= 1 and finding.largest is not None
    with pytest.raises(MarqueeError, match=rf"^The consistency audit failed: .* of {view}"):
        require_passed(report, tmp_path / "page.html")


def test_a_stale_and_an_altered_row_of_the_home_itself_are_named(tmp_path: Path) -> None:
    build_home(tmp_path / "home", WORLD)
    store = open_with(tmp_path / "home", ENGINES["duckdb"])
    send_changed(store)
    kept_up = audit_consistency(store, DOMAIN, replay_in(tmp_path / "first"), **ASKED)
    assert kept_up.passed and kept_up.home_rows > 10
    provider = store._get_provider()
    for name, altered in (("user_rating_stats", None), ("movie_rating_stats", "movie_rating_mean")):
        view = store.get_feature_view(name)
        row = next(served_rows(store, view, most=1000, seed=0))
        ((column, number),) = row.key.items()
        key = EntityKey(join_keys=[column], entity_values=[Value(int64_val=number)])
        values = provider.online_read(store.config, view, [key])[0][1]
        if altered:
            values[altered] = Value(double_val=values[altered].double_val + 1)
        at = row.offline_at - timedelta(hours=0 if altered else 1)
        provider.online_store.write(store.config, view, [(key, values, at, at)], whatever=True)
    report = audit_consistency(store, DOMAIN, replay_in(tmp_path / "second"), **ASKED)
    assert {f.feature for f in report.failures if f.matched < f.compared} == {"movie_rating_mean"}
    assert {f.feature for f in report.failures if f.stale} == features_of(DOMAIN, "user_rating_stats")
    assert "in the home's own online store" in next(f.example for f in report.failures if f.example)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("movies", {"user_rating_count", "movie_rating_count"}),
        ("press", {"reader_read_count", "article_read_count"}),
    ],
)
def test_dropped_late_events_are_named(
    homes: dict[str, Path], name: str, counts: set[str], tmp_path: Path
) -> None:
    def in_time(there: list[Row], new: list[Row]) -> list[Row]:
        last = max(event[EVENT_TIMESTAMP] for event in there)
        return [event for event in new if event[EVENT_TIMESTAMP] > last]

    world = WORLDS[name]
    store = open_with(homes[name], ENGINES["duckdb"])
    report = audit_consistency(store, world.domain, replay_in(tmp_path, world, arrive=in_time), **ASKED)
    assert counts <= failed(report)
    facts = {column.name for view in world.domain.views if view.is_timeless for column in view.columns}
    assert not failed(report) & facts


@pytest.mark.parametrize(
    ("name", "view", "columns"),
    [
        ("movies", "user_poster_taste", ("user_poster_red_mean_std", "user_poster_blue_mean_std")),
        ("press", "reader_stats", ("reader_minutes_mean", "reader_words_mean")),
    ],
)
def test_columns_swapped_online_are_named(
    homes: dict[str, Path], name: str, view: str, columns: tuple[str, str], tmp_path: Path
) -> None:
    def swapped(made: View, world: World) -> pa.Table:
        rows = feature_rows(made, world)
        if made.name != view:
            return rows
        first, second = (rows.column_names.index(column) for column in columns)
        found = rows.set_column(first, columns[0], rows[columns[1]])
        return found.set_column(second, columns[1], rows[columns[0]])

    world = WORLDS[name]
    store = open_with(homes[name], ENGINES["duckdb"])
    report = audit_consistency(store, world.domain, replay_in(tmp_path, world, rows=swapped), **ASKED)
    assert failed(report) == set(columns)
    assert all(feature.stale == 0 for feature in report.failures), "the rows are the newest, but wrong"


def test_an_audit_takes_the_spark_that_is_there_and_leaves_it(spark: SparkSession, tmp_path: Path) -> None:
    with spark_meanwhile(Settings(home=tmp_path), Stages()) as start:
        assert start() is spark
    assert spark.range(2).count() == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "instants", "runs"), [("movies", 2, 1), ("press", 1, 0)])
def test_push_and_materialise_keep_up(
    name: str, instants: int, runs: int, homes: dict[str, Path], tmp_path: Path
) -> None:
    from app.replay import replay_into
    from feature_repo.arrow import arrow_schema_of
    from feature_repo.define.table import QUARANTINE_COLUMNS
    from lake.tables import overwrite

    home, domain = homes[name], WORLDS[name].domain
    overwrite(arrow_schema_of(QUARANTINE_COLUMNS).empty_table(), home / "lake", "quarantine")
    versions = {entry.name: sorted(entry.rglob("*.parquet")) for entry in (home / "lake").iterdir()}
    replay = replay_into(no_spark, Settings(home=home), Settings(home=tmp_path / "scratch"), domain)
    report = audit_consistency(
        open_with(home, ENGINES["duckdb"]), domain, replay, **ASKED | {"instants": instants}
    )
    # The audited tables are made by a loop, the replayed ones by kernels: means and deviations may differ in
    # their last bits. Counts, ids, genres and instants are the same.
    fractions = {c.name for view in domain.views for c in view.columns if c.type is Type.FLOAT64}
    assert failed(report) <= fractions
    assert all((f.largest or 0) <= TOLERANCE and not f.stale for f in report.features)
    assert (report.pushes, report.runs) == (2, runs) and report.late > 0
    assert versions == {entry.name: sorted(entry.rglob("*.parquet")) for entry in (home / "lake").iterdir()}
