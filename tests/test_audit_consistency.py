"""The consistency audit passes an online store that keeps up, and names the feature of each planted fault."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from feast import FeatureStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from pyspark.sql import SparkSession

from app.lookup import lookup_many
from common.errors import MarqueeError
from common.page import external_resources
from common.settings import Settings
from feature_repo.online.send import send_changed
from feature_repo.online.served import served_rows
from feature_repo.schema import EVENT_TIMESTAMP, FEATURE_TABLES, TABLES, Table, Type
from feature_repo.store import open_store
from tests.audit_lake import Rows, build_home, events, feature_rows, open_with, replace, sources
from tests.test_audit_leakage import ENGINES, features_of
from tests.test_feature_jobs import START
from tests.test_materialize import redis  # noqa: F401
from validation.audit.consistency import Replay, audit_consistency
from validation.audit.consistency_plan import make_plan
from validation.audit.consistency_report import ConsistencyReport
from validation.audit.movie_oracle import TOLERANCE, Rating
from validation.audit.page import write_audit
from validation.audit.verdict import require_passed

EVENTS = events()
GROWING = ("movie_rating_stats", "user_rating_stats", "user_recent_likes", "user_poster_taste")
REDIS = "feature_repo.online.redis.NewestRedisOnlineStore"
ASKED = {"events": 60, "instants": 2, "pairs": 10, "late": 0.3, "seed": 1}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("audited")
    build_home(home, EVENTS)
    return home


@pytest.fixture
def duckdb_store(home: Path) -> FeatureStore:
    return open_with(home, ENGINES["duckdb"])


def as_ratings(rows: pa.Table) -> list[Rating]:
    return [
        Rating(r["user_id"], r["movie_id"], r["rating"], int((r[EVENT_TIMESTAMP] - START).total_seconds()))
        for r in rows.to_pylist()
    ]


def replay_in(
    folder: Path,
    arrive: Callable[[list[Rating], list[Rating]], list[Rating]] = lambda _, new: new,
    rows: Rows = feature_rows,
    sent: Callable[[int], Sequence[str]] = lambda _: [table.name for table in FEATURE_TABLES],
    opened: Callable[[Path], FeatureStore] = lambda folder: open_store(Settings(home=folder)),
) -> Replay:
    """A scratch home that is kept up in the plainest way: every table anew for every delivery.

    Args:
        arrive: of new events, given those before, the ones that are taken in.
        rows: makes a table.
        sent: the views brought online after the delivery of that number; of 0, at first.
        opened: the store of a folder.
    """
    there: list[Rating] = []
    deliveries = 0

    def bring_online() -> None:
        nonlocal deliveries
        send_changed(opened(folder), sent(deliveries))
        deliveries += 1

    def build(before: datetime) -> None:
        there.extend(r for r in EVENTS if START.timestamp() + r.instant < before.timestamp())
        build_home(folder, there, rows)
        bring_online()

    def deliver(new: pa.Table) -> None:
        there.extend(arrive(there, as_ratings(new)))
        for name in GROWING:
            replace(folder, name, rows(TABLES[name], there))
        bring_online()

    return Replay(build, deliver, deliver, lambda pairs: lookup_many(opened(folder), None, pairs))


def failed(report: ConsistencyReport) -> set[str]:
    return {feature.feature for feature in report.failures}


def test_a_plan_delivers_every_event_once_and_late_ones_late() -> None:
    ratings = sources(EVENTS)["ratings"]
    plan = make_plan(ratings, events=60, instants=4, pairs=10, late=0.3, seed=0)
    given = [rating for place in range(5) for rating in as_ratings(plan.batch(place))]
    period = [rating for rating in EVENTS if rating.instant >= as_of(plan.cut)]
    assert sorted(given) == sorted(period) and 55 <= len(period) <= 65
    late = 0
    for place, instant in enumerate(plan.instants):
        arrived = {rating for early in range(place + 1) for rating in as_ratings(plan.batch(early))}
        assert all(rating.instant < as_of(instant) for rating in arrived), "nothing comes before it happens"
        missing = {rating for rating in period if rating.instant < as_of(instant)} - arrived
        late += len(missing)
        asked = [row for row in plan.labels.to_pylist() if row["place"] == place]
        assert len(asked) >= 10 or len(asked) == len({(row["user_id"], row["movie_id"]) for row in asked})
        users, movies = {rating.user for rating in missing}, {rating.movie for rating in missing}
        told = plan.behind[[i for i, at in enumerate(plan.labels["place"].to_pylist()) if at == place]]
        assert told.tolist() == [r["user_id"] in users or r["movie_id"] in movies for r in asked]
    assert late >= plan.late > 0
    at_end = [row for row in plan.labels.to_pylist() if row["place"] == 4]
    assert {row["user_id"] for row in at_end} == {rating.user for rating in period}
    assert {row["movie_id"] for row in at_end} == {rating.movie for rating in period}
    assert not np.any(plan.behind[-len(at_end) :])


def as_of(microseconds: int) -> int:
    return microseconds // 1_000_000 - int(START.timestamp())


def test_too_few_ratings_are_one_sentence() -> None:
    with pytest.raises(MarqueeError, match=r"the lake has \d+ ratings. Ask for others"):
        make_plan(sources(EVENTS)["ratings"], events=1000, instants=4, pairs=10, late=0, seed=0)


@pytest.mark.parametrize("profile", ["embedded", "scale"])
def test_an_online_store_that_keeps_up_passes(
    home: Path, profile: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    def opened(folder: Path) -> FeatureStore:
        online = {"type": REDIS, "connection_string": request.getfixturevalue("redis")}
        return open_with(folder, ENGINES["spark"], online)

    if profile == "scale":
        request.getfixturevalue("spark")
        store, replay = opened(home), replay_in(tmp_path / "replay", opened=opened)
    else:
        store, replay = open_with(home, ENGINES["duckdb"]), replay_in(tmp_path / "replay")
    report = audit_consistency(store, replay, **ASKED)
    assert report.failures == ()
    assert report.rate == 1.0
    assert report.late > 0 and report.known_then > 0
    assert (report.pushes, report.runs) == (2, 1)
    page = write_audit(tmp_path, "consistency", report)
    require_passed(report, page)
    assert external_resources(page.read_text()) == []
    told = json.loads(page.with_suffix(".json").read_text())
    assert told["passed"] is True
    assert {feature["feature"] for feature in told["features"]} == features_of(
        *(t.name for t in FEATURE_TABLES)
    )


def test_stale_online_rows_are_named(duckdb_store: FeatureStore, tmp_path: Path) -> None:
    def only_at_first(delivery: int) -> list[str]:
        return [t.name for t in FEATURE_TABLES if delivery == 0 or t.name != "user_rating_stats"]

    report = audit_consistency(duckdb_store, replay_in(tmp_path, sent=only_at_first), **ASKED)
    assert "user_rating_count" in failed(report) <= features_of("user_rating_stats")
    finding = next(feature for feature in report.failures if feature.feature == "user_rating_count")
    assert finding.stale > 0 and finding.staleness >= 1 and finding.largest is not None
    with pytest.raises(MarqueeError, match=r"^The consistency audit failed: user_.* of user_rating_stats"):
        require_passed(report, tmp_path / "page.html")


def test_a_stale_and_an_altered_row_of_the_home_itself_are_named(tmp_path: Path) -> None:
    build_home(tmp_path / "home", EVENTS)
    store = open_with(tmp_path / "home", ENGINES["duckdb"])
    send_changed(store)
    kept_up = audit_consistency(store, replay_in(tmp_path / "first"), **ASKED)
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
    report = audit_consistency(store, replay_in(tmp_path / "second"), **ASKED)
    assert {f.feature for f in report.failures if f.matched < f.compared} == {"movie_rating_mean"}
    assert {f.feature for f in report.failures if f.stale} == features_of("user_rating_stats")
    assert "in the home's own online store" in next(f.example for f in report.failures if f.example)


def test_dropped_late_events_are_named(duckdb_store: FeatureStore, tmp_path: Path) -> None:
    def in_time(there: list[Rating], new: list[Rating]) -> list[Rating]:
        last = max((rating.instant for rating in there), default=-1)
        return [rating for rating in new if rating.instant > last]

    report = audit_consistency(duckdb_store, replay_in(tmp_path, arrive=in_time), **ASKED)
    assert {"user_rating_count", "movie_rating_count"} <= failed(report)
    assert not failed(report) & features_of("movie_content", "movie_poster_colour")


def test_columns_swapped_online_are_named(duckdb_store: FeatureStore, tmp_path: Path) -> None:
    names = ("user_poster_red_mean_std", "user_poster_blue_mean_std")

    def swapped(table: Table, ratings: Sequence[Rating]) -> pa.Table:
        rows = feature_rows(table, ratings)
        if table is not TABLES["user_poster_taste"]:
            return rows
        first, second = (rows.column_names.index(name) for name in names)
        return rows.set_column(first, names[0], rows[names[1]]).set_column(second, names[1], rows[names[0]])

    report = audit_consistency(duckdb_store, replay_in(tmp_path, rows=swapped), **ASKED)
    assert failed(report) == set(names)
    assert all(feature.stale == 0 for feature in report.failures), "the rows are the newest, but wrong"


def test_push_and_materialise_keep_up(home: Path, spark: SparkSession, tmp_path: Path) -> None:
    from app.replay import replay_into
    from feature_repo.define.table import QUARANTINE_COLUMNS
    from feature_repo.domains.movies import DOMAIN
    from feature_repo.spark import spark_schema_of
    from lake.spark_tables import overwrite

    quarantine = spark_schema_of(QUARANTINE_COLUMNS)
    overwrite(spark.createDataFrame([], quarantine), home / "lake", "quarantine", quarantine)
    versions = {entry.name: sorted(entry.rglob("*.parquet")) for entry in (home / "lake").iterdir()}
    replay = replay_into(spark, Settings(home=home), Settings(home=tmp_path / "scratch"), DOMAIN)
    report = audit_consistency(open_with(home, ENGINES["duckdb"]), replay, **ASKED)
    # The audited tables are made in SQL here, the replayed ones by Spark: means and deviations may differ in
    # their last bits. Counts, ids, genres and instants are the same.
    fractions = {c.name for t in FEATURE_TABLES for c in t.feature_columns if c.type is Type.FLOAT64}
    assert failed(report) <= fractions
    assert all((f.largest or 0) <= TOLERANCE and not f.stale for f in report.features)
    assert (report.pushes, report.runs) == (2, 1) and report.late > 0
    assert versions == {entry.name: sorted(entry.rglob("*.parquet")) for entry in (home / "lake").iterdir()}
