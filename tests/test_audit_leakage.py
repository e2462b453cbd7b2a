"""The leakage audit passes tables that hold the past only, and names the feature of each planted fault."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from feast import FeatureStore
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from common.errors import MarqueeError
from common.page import external_resources
from common.settings import Settings
from feature_repo.offline.duckdb_asof import AsOfDuckDBOfflineStore
from feature_repo.schema import EVENT_TIMESTAMP, FEATURE_TABLES, KNOWN_AFTER, TABLES
from tests.audit_lake import CATALOGUE, COLOURS, build_home, events, feature_rows, open_with, replace
from tests.feature_oracle import features_at_labels
from tests.test_feature_jobs import instant
from validation.audit.leakage import audit_leakage
from validation.audit.leakage_report import FeatureFinding, LeakageReport
from validation.audit.movie_oracle import Rating, features_at, same
from validation.audit.page import write_audit
from validation.audit.verdict import failure, require_passed

EVENTS = events()
ENGINES = {
    "duckdb": "feature_repo.offline.duckdb_asof.AsOfDuckDBOfflineStore",
    "spark": "feature_repo.offline.spark_asof.AsOfSparkOfflineStore",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("audit")
    build_home(home, EVENTS)
    return home


@pytest.fixture(params=ENGINES)
def store(home: Path, request: pytest.FixtureRequest) -> FeatureStore:
    if request.param == "spark":
        request.getfixturevalue("spark")
    return open_with(home, ENGINES[request.param])


@pytest.fixture
def duckdb_store(home: Path) -> FeatureStore:
    return open_with(home, ENGINES["duckdb"])


@pytest.fixture(autouse=True)
def _mended(home: Path) -> Iterator[None]:
    """After each test, what it broke is as it was."""
    versions = {table.name: table for table in FEATURE_TABLES}
    yield
    for name in BROKEN:
        replace(home, name, feature_rows(versions[name], EVENTS))
    BROKEN.clear()


BROKEN: set[str] = set()


def plant(home: Path, name: str, rows: pa.Table) -> None:
    BROKEN.add(name)
    replace(home, name, rows)


def failed(report: LeakageReport) -> set[str]:
    return {finding.feature for finding in report.failures}


def features_of(*names: str) -> set[str]:
    return {column.name for name in names for column in TABLES[name].feature_columns}


histories = st.lists(
    st.builds(
        Rating,
        user=st.integers(1, 2),
        movie=st.sampled_from(sorted(CATALOGUE)),
        stars=st.integers(1, 10).map(lambda halves: halves / 2),
        instant=st.integers(0, 6),
    ),
    min_size=20,
    max_size=60,
    unique_by=lambda rating: (rating.user, rating.movie, rating.instant),
)


@settings(max_examples=3, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(ratings=histories)
def test_restated_rows_and_the_loop_agree_at_every_label(ratings: list[Rating]) -> None:
    rows = {table: feature_rows(table, ratings).to_pylist() for table in FEATURE_TABLES}
    truth = features_at_labels(ratings, CATALOGUE, COLOURS, instant)
    for label in ratings:
        expected = truth[label.user, label.movie, label.instant]
        assert (
            features_at(label.user, label.movie, label.instant, ratings, CATALOGUE, COLOURS, instant)
            == expected
        )
        for table, found in rows.items():
            key = table.key[0].name
            mine = getattr(label, key.removesuffix("_id"))
            known = [r for r in found if r[key] == mine and r[EVENT_TIMESTAMP] <= instant(label.instant)]
            row: dict[str, Any] = max(known, key=lambda r: r[EVENT_TIMESTAMP], default={})
            for column in table.feature_columns:
                assert same(row.get(column.name), expected.get(column.name)), column.name


def test_tables_of_the_past_pass_and_the_page_says_so(store: FeatureStore, tmp_path: Path) -> None:
    # What the protocol costs is measured by the same join: once is enough.
    costs = store.config.offline_store.type == ENGINES["duckdb"]
    report = audit_leakage(store, sample=10_000, costs=costs)
    assert report.failures == ()
    assert report.engine == store.config.offline_store.type.rsplit(".", 1)[1]
    assert (report.labels, report.sample) == (len(EVENTS), len(EVENTS))
    assert {view.view: view.nearest for view in report.views} == {
        "movie_rating_stats": 1.0,
        "user_rating_stats": 1.0,
        "user_recent_likes": 1.0,
        "user_poster_taste": 1.0,
        "movie_content": None,
        "movie_poster_colour": None,
    }
    page = write_audit(tmp_path, "leakage", report)
    require_passed(report, page)
    text = page.read_text()
    assert external_resources(text) == []
    assert all(finding.feature in text for finding in report.features)
    told = json.loads(page.with_suffix(".json").read_text())
    assert told["passed"] is True
    # Whatever the papers' protocol shows is marked wherever it stands.
    marked = {"movie_rating_stats", "all views"} if costs else set()
    assert {cost["view"] for cost in told["costs"]} >= marked
    assert ("whole data (leaks)" in text) == costs


def test_feature_stamped_at_its_events_own_instant_is_named(home: Path, store: FeatureStore) -> None:
    rows = feature_rows(TABLES["user_rating_stats"], EVENTS)
    place = rows.column_names.index(EVENT_TIMESTAMP)
    early = pc.subtract(rows[EVENT_TIMESTAMP], pa.scalar(KNOWN_AFTER, pa.duration("us")))
    plant(home, "user_rating_stats", rows.set_column(place, EVENT_TIMESTAMP, early))
    report = audit_leakage(store, sample=20, costs=False)
    assert "user_rating_count" in failed(report) <= features_of("user_rating_stats")
    finding = next(finding for finding in report.failures if finding.feature == "user_rating_count")
    assert finding.rows_wrong == rows.num_rows, "every row, not only the sample's"
    with pytest.raises(MarqueeError, match=r"^The leakage audit failed: user_rating_count of user_rating_st"):
        require_passed(report, Path("page.html"))


def test_rows_window_is_named(home: Path, duckdb_store: FeatureStore) -> None:
    rows = feature_rows(TABLES["movie_rating_stats"], EVENTS).to_pylist()
    counted = []
    for row in rows:
        together = [r for r in EVENTS if r.movie == row["movie_id"]]
        together = [r for r in together if instant(r.instant) + KNOWN_AFTER == row[EVENT_TIMESTAMP]]
        last = row["movie_rating_count"]
        # One row an event: of those of one instant, each counts those before it in some order.
        counted += [row | {"movie_rating_count": last - back} for back in range(len(together))]
    assert len(counted) > len(rows), "some ratings share movie and instant"
    schema = feature_rows(TABLES["movie_rating_stats"], EVENTS).schema
    plant(home, "movie_rating_stats", pa.Table.from_pylist(counted, schema))
    report = audit_leakage(duckdb_store, sample=20, costs=False)
    assert failed(report) == {"movie_rating_count"}
    assert report.failures[0].rows_wrong == len(counted) - len(rows)


def test_dropped_late_event_is_named(home: Path, duckdb_store: FeatureStore) -> None:
    late = next(rating for rating in EVENTS[20:] if rating.stars >= 3.5)
    without = [rating for rating in EVENTS if rating != late]
    plant(home, "user_recent_likes", feature_rows(TABLES["user_recent_likes"], without))
    plant(home, "movie_rating_stats", feature_rows(TABLES["movie_rating_stats"], without))
    report = audit_leakage(duckdb_store, sample=20, costs=False)
    assert {"user_recent_liked_movie_ids", "movie_rating_count"} <= failed(report)
    assert failed(report) <= features_of("user_recent_likes", "movie_rating_stats")


def test_missing_row_is_named(home: Path, duckdb_store: FeatureStore) -> None:
    rows = feature_rows(TABLES["user_poster_taste"], EVENTS)
    plant(home, "user_poster_taste", rows.slice(1))
    report = audit_leakage(duckdb_store, sample=1, costs=False)
    assert failed(report) == features_of("user_poster_taste")
    assert report.failures[0].rows_missing == 1
    assert "has no row known from" in report.failures[0].example


def test_command_fails_in_one_sentence_and_leaves_its_page(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cli.audit import leakage

    monkeypatch.setenv("MARQUEE_HOME", str(home))
    rows = feature_rows(TABLES["movie_content"], EVENTS)
    plant(home, "movie_content", rows.slice(1))
    with pytest.raises(MarqueeError, match=r"movie_genres of movie_content .*; so does movie_r.*See"):
        leakage(sample=1, seed=0, costs=False, home=home)
    assert json.loads((home / "audits" / "leakage.json").read_text())["passed"] is False
    assert "movie_genres" in (home / "audits" / "leakage.html").read_text()


def test_swapped_columns_are_named(home: Path, duckdb_store: FeatureStore) -> None:
    rows = feature_rows(TABLES["user_poster_taste"], EVENTS)
    names = ("user_poster_red_mean_mean", "user_poster_blue_mean_mean")
    red, blue = (rows.column_names.index(name) for name in names)
    swapped = rows.set_column(red, names[0], rows[names[1]]).set_column(blue, names[1], rows[names[0]])
    plant(home, "user_poster_taste", swapped)
    report = audit_leakage(duckdb_store, sample=20, costs=False)
    assert failed(report) == set(names)
    assert all(finding.rows_wrong and finding.sample_wrong for finding in report.failures)


def test_a_join_that_lets_later_rows_through_is_caught_by_the_bounds(
    duckdb_store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    join = AsOfDuckDBOfflineStore.get_historical_features

    def generous(*, entity_df: pa.Table, **others: Any) -> Any:
        place = entity_df.column_names.index(EVENT_TIMESTAMP)
        later = pc.add(entity_df[EVENT_TIMESTAMP], pa.scalar(timedelta(seconds=1), pa.duration("us")))
        return join(entity_df=entity_df.set_column(place, EVENT_TIMESTAMP, later), **others)

    monkeypatch.setattr(AsOfDuckDBOfflineStore, "get_historical_features", staticmethod(generous))
    report = audit_leakage(duckdb_store, sample=1, costs=False)
    assert features_of("user_rating_stats", "movie_rating_stats") <= failed(report)
    assert all(finding.labels_late and not finding.rows_wrong for finding in report.failures)


def test_corrected_rows_are_judged_by_their_newest_version(home: Path, duckdb_store: FeatureStore) -> None:
    rows = feature_rows(TABLES["movie_rating_stats"], EVENTS).to_pylist()
    wrong = [row | {"movie_rating_count": row["movie_rating_count"] + 1} for row in rows[:3]]
    older = [row | {"created_timestamp": row["created_timestamp"] - timedelta(days=1)} for row in wrong]
    schema = feature_rows(TABLES["movie_rating_stats"], EVENTS).schema
    plant(home, "movie_rating_stats", pa.Table.from_pylist(older + rows, schema))
    report = audit_leakage(duckdb_store, sample=20, costs=False)
    assert report.passed, report.sentence
    assert next(v for v in report.views if v.view == "movie_rating_stats").superseded == 3


def test_a_lake_without_tables_is_one_sentence(tmp_path: Path) -> None:
    from feature_repo.domains.movies import DOMAIN
    from feature_repo.store import apply, open_store

    settings = Settings(home=tmp_path)
    apply(settings, DOMAIN)
    with pytest.raises(MarqueeError, match=r"The lake lacks ratings, .*run marquee pipeline"):
        audit_leakage(open_store(settings))


def test_the_sentence_names_three_others_and_counts_the_rest() -> None:
    findings = [FeatureFinding("view", f"f{i}", rows_missing=1) for i in range(6)]
    assert failure("leakage", findings[0], findings) == (
        "The leakage audit failed: f0 of view breaks it (1 row missing); so do f1, f2, f3, …, 2 more."
    )
    assert failure("leakage", findings[0], findings[:2]).endswith("; so does f1.")
    assert failure("leakage", findings[0], findings[:1]).endswith("breaks it (1 row missing).")
