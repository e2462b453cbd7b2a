"""The leakage audit passes tables that hold the past only, and names the feature of each planted fault."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from common.errors import MarqueeError
from common.page import external_resources
from common.settings import Settings
from feature_repo.define.column import EVENT_TIMESTAMP, KNOWN_AFTER
from feature_repo.define.domain import Domain
from feature_repo.define.task import Binary, Regression
from feature_repo.domains.movies import DOMAIN
from feature_repo.offline.duckdb_asof import AsOfDuckDBOfflineStore
from tests.audit_lake import Row, World, build_home, feature_rows, movies, open_with, overwrite, press
from validation.audit.leakage import audit_leakage
from validation.audit.leakage_cost import auc_by_trees, leak_costs
from validation.audit.leakage_report import FeatureFinding, LeakageReport
from validation.audit.page import write_audit
from validation.audit.reading import lake, read_labels
from validation.audit.verdict import failure, require_passed

ENGINES = {
    "duckdb": "feature_repo.offline.duckdb_asof.AsOfDuckDBOfflineStore",
    "spark": "feature_repo.offline.spark_asof.AsOfSparkOfflineStore",
}
WORLD = movies()
WORLDS = {"movies": WORLD, "press": press()}


class Home:
    """A home whose lake is broken by a test, and mended after it."""

    def __init__(self, folder: Path, world: World) -> None:
        self.folder, self.world = folder, world
        self.broken: set[str] = set()
        build_home(folder, world)

    @property
    def domain(self) -> Domain:
        return self.world.domain

    def rows(self, name: str) -> pa.Table:
        """What a table should hold."""
        return feature_rows(self.domain.view(name), self.world)

    def plant(self, name: str, rows: pa.Table | list[Row]) -> None:
        """Other rows in place of a table's."""
        self.broken.add(name)
        if isinstance(rows, list):
            rows = pa.Table.from_pylist(rows, self.rows(name).schema)
        overwrite(self.folder, name, rows)

    def mend(self) -> None:
        for name in self.broken:
            overwrite(self.folder, name, self.rows(name))
        self.broken.clear()

    def audit(self, engine: str = "duckdb", sample: int = 20, costs: bool = False) -> LeakageReport:
        return audit_leakage(open_with(self.folder, ENGINES[engine]), self.domain, sample=sample, costs=costs)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Home]:
    return {name: Home(tmp_path_factory.mktemp(name), world) for name, world in WORLDS.items()}


@pytest.fixture(autouse=True)
def _mended(homes: dict[str, Home]) -> Iterator[None]:
    """After each test, what it broke is as it was."""
    yield
    for home in homes.values():
        home.mend()


@pytest.fixture
def home(homes: dict[str, Home]) -> Home:
    """A home of movies."""
    return homes["movies"]


@pytest.fixture
def press_home(homes: dict[str, Home]) -> Home:
    """A home of articles and their readers."""
    return homes["press"]


@pytest.fixture(params=WORLDS)
def any_home(homes: dict[str, Home], request: pytest.FixtureRequest) -> Home:
    return homes[request.param]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "spark":
        request.getfixturevalue("spark")
    return str(request.param)


def failed(report: LeakageReport) -> set[str]:
    return {finding.feature for finding in report.failures}


def features_of(domain: Domain, *names: str) -> set[str]:
    return {column.name for name in names for column in domain.view(name).columns}


def together_with(world: World, key: str, row: Row) -> list[Row]:
    """The events of a row's key at the row's last instant."""
    at = row[EVENT_TIMESTAMP] - KNOWN_AFTER
    return [event for event in world.events if event[key] == row[key] and event[EVENT_TIMESTAMP] == at]


def test_tables_of_the_past_pass_and_the_page_says_so(any_home: Home, engine: str, tmp_path: Path) -> None:
    # What the protocol costs is measured by the same join: once is enough.
    costs = engine == "duckdb"
    report = any_home.audit(engine, sample=10_000, costs=costs)
    events = any_home.world.events
    assert report.failures == ()
    assert report.engine == ENGINES[engine].rsplit(".", 1)[1]
    assert (report.labels, report.sample) == (len(events), len(events))
    assert {view.view: view.nearest for view in report.views} == {
        view.name: None if view.is_timeless else 1.0 for view in any_home.domain.views
    }
    page = write_audit(tmp_path, "leakage", report, any_home.domain)
    require_passed(report, page)
    text = page.read_text()
    assert external_resources(text) == []
    assert all(finding.feature in text for finding in report.features)
    assert all(view.description in unescape(text) for view in any_home.domain.views)
    told = json.loads(page.with_suffix(".json").read_text())
    assert told["passed"] is True
    # Whatever the papers' protocol shows is marked wherever it stands.
    growing = {view.name for view in any_home.domain.views if not view.is_timeless}
    assert {cost["view"] for cost in told["costs"]} == (growing | {"all views"} if costs else set())
    assert ("whole data (leaks)" in text) == costs


@pytest.mark.parametrize(
    ("name", "view", "feature"),
    [
        ("movies", "user_rating_stats", "user_rating_count"),
        ("press", "reader_stats", "reader_read_count"),
        ("press", "article_stats", "article_read_count"),
    ],
)
def test_feature_stamped_at_its_events_own_instant_is_named(
    homes: dict[str, Home], name: str, view: str, feature: str, engine: str
) -> None:
    home = homes[name]
    rows = home.rows(view)
    place = rows.column_names.index(EVENT_TIMESTAMP)
    early = pc.subtract(rows[EVENT_TIMESTAMP], pa.scalar(KNOWN_AFTER, pa.duration("us")))
    home.plant(view, rows.set_column(place, EVENT_TIMESTAMP, early))
    report = home.audit(engine)
    assert feature in failed(report) <= features_of(home.domain, view)
    finding = next(finding for finding in report.failures if finding.feature == feature)
    assert finding.rows_wrong == rows.num_rows, "every row, not only the sample's"
    with pytest.raises(MarqueeError, match=rf"^The leakage audit failed: {feature} of {view} "):
        require_passed(report, Path("page.html"))


@pytest.mark.parametrize(
    ("name", "view", "feature"),
    [
        ("movies", "movie_rating_stats", "movie_rating_count"),
        ("press", "article_stats", "article_read_count"),
    ],
)
def test_rows_window_is_named(homes: dict[str, Home], name: str, view: str, feature: str) -> None:
    home = homes[name]
    rows, key = home.rows(view).to_pylist(), home.domain.view(view).by.name
    # One row an event: of those of one instant, each counts those before it in some order.
    counted = [
        row | {feature: row[feature] - back}
        for row in rows
        for back in range(len(together_with(home.world, key, row)))
    ]
    assert len(counted) > len(rows), "some events share key and instant"
    home.plant(view, counted)
    report = home.audit()
    assert failed(report) == {feature}
    assert report.failures[0].rows_wrong == len(counted) - len(rows)


def test_dropped_late_event_is_named(home: Home) -> None:
    late = next(event for event in WORLD.events[20:] if event["rating"] >= 3.5)
    without = WORLD.of([event for event in WORLD.events if event != late])
    for name in ("user_recent_likes", "movie_rating_stats"):
        home.plant(name, feature_rows(DOMAIN.view(name), without))
    report = home.audit()
    assert {"user_recent_liked_movie_ids", "movie_rating_count"} <= failed(report)
    assert failed(report) <= features_of(DOMAIN, "user_recent_likes", "movie_rating_stats")


@pytest.mark.parametrize(
    ("name", "view"),
    [("movies", "user_poster_taste"), ("press", "reader_recent"), ("press", "article_stats")],
)
def test_missing_row_is_named(homes: dict[str, Home], name: str, view: str) -> None:
    home = homes[name]
    home.plant(view, home.rows(view).slice(1))
    report = home.audit(sample=1)
    assert failed(report) == features_of(home.domain, view)
    assert report.failures[0].rows_missing == 1
    assert "has no row known from" in report.failures[0].example


def test_a_wrong_value_is_named(press_home: Home) -> None:
    other = {"reader_country": "IS", "article_topics": ["chess"], "reader_recent_topics": ["chess", "", ""]}
    other |= {"article_section": "chess", "reader_age": 99, "reader_words_std": 7.5}
    for view in ("reader_profile", "article_facts", "reader_recent", "reader_stats"):
        rows = press_home.rows(view).to_pylist()
        press_home.plant(view, [rows[0] | {name: other[name] for name in rows[0].keys() & other}, *rows[1:]])
    report = press_home.audit(sample=10_000)
    assert failed(report) == set(other)
    assert all(finding.rows_wrong == 1 for finding in report.failures)


def test_command_fails_in_one_sentence_and_leaves_its_page(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cli.audit import leakage

    monkeypatch.setenv("MARQUEE_HOME", str(home.folder))
    home.plant("movie_content", home.rows("movie_content").slice(1))
    with pytest.raises(MarqueeError, match=r"movie_genres of movie_content .*; so does movie_r.*See"):
        leakage(sample=1, seed=0, costs=False, home=home.folder)
    audits = home.folder / "audits"
    assert json.loads((audits / "leakage.json").read_text())["passed"] is False
    assert "movie_genres" in (audits / "leakage.html").read_text()


def test_swapped_columns_are_named(home: Home) -> None:
    rows = home.rows("user_poster_taste")
    names = ("user_poster_red_mean_mean", "user_poster_blue_mean_mean")
    red, blue = (rows.column_names.index(name) for name in names)
    swapped = rows.set_column(red, names[0], rows[names[1]]).set_column(blue, names[1], rows[names[0]])
    home.plant("user_poster_taste", swapped)
    report = home.audit()
    assert failed(report) == set(names)
    assert all(finding.rows_wrong and finding.sample_wrong for finding in report.failures)


def test_a_join_that_lets_later_rows_through_is_caught_by_the_bounds(
    any_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    join = AsOfDuckDBOfflineStore.get_historical_features

    def generous(*, entity_df: pa.Table, **others: Any) -> Any:
        place = entity_df.column_names.index(EVENT_TIMESTAMP)
        later = pc.add(entity_df[EVENT_TIMESTAMP], pa.scalar(timedelta(seconds=1), pa.duration("us")))
        return join(entity_df=entity_df.set_column(place, EVENT_TIMESTAMP, later), **others)

    monkeypatch.setattr(AsOfDuckDBOfflineStore, "get_historical_features", staticmethod(generous))
    report = any_home.audit(sample=1)
    late = {finding.feature for finding in report.failures if finding.labels_late}
    assert late == {c.name for view in any_home.domain.views if not view.is_timeless for c in view.columns}
    assert not any(finding.rows_wrong for finding in report.failures)


def test_corrected_rows_are_judged_by_their_newest_version(home: Home) -> None:
    rows = home.rows("movie_rating_stats").to_pylist()
    wrong = [row | {"movie_rating_count": row["movie_rating_count"] + 1} for row in rows[:3]]
    older = [row | {"created_timestamp": row["created_timestamp"] - timedelta(days=1)} for row in wrong]
    home.plant("movie_rating_stats", older + rows)
    report = home.audit()
    assert report.passed, report.sentence
    assert next(v for v in report.views if v.view == "movie_rating_stats").superseded == 3


def test_a_correction_stamped_before_what_it_corrects_is_found_with_what_mends_it(home: Home) -> None:
    """As a version without growing stamps wrote it where its clock was behind."""
    rows = home.rows("movie_rating_stats").to_pylist()
    wrong = [row | {"movie_rating_count": row["movie_rating_count"] + 1} for row in rows[:3]]
    later = [row | {"created_timestamp": row["created_timestamp"] + timedelta(hours=3)} for row in wrong]
    home.plant("movie_rating_stats", later + rows)
    report = home.audit()
    assert failed(report) == {"movie_rating_count"}
    assert "`marquee pipeline run --full movie_rating_stats`" in report.sentence


def test_what_the_protocol_leaks_is_measured_on_the_labels_of_the_first_task(press_home: Home) -> None:
    store, domain = open_with(press_home.folder, ENGINES["duckdb"]), press_home.domain
    with lake(store, domain) as con:
        labels = read_labels(con, domain)
    minutes = [event["minutes"] for event in press_home.world.events]
    gap = replace(domain, tasks=(Binary("long", "minutes", 4.0, below=2.0), *domain.tasks))
    wanted = len([value for value in minutes if value >= 4 or value < 2])
    assert wanted < len(minutes)
    assert {cost.labels for cost in leak_costs(store, gap, labels)} == {wanted}
    assert leak_costs(store, replace(domain, tasks=(Regression("long", "minutes"),)), labels) == ()
    assert leak_costs(store, replace(domain, tasks=(Binary("none", "minutes", 1000.0),)), labels) == ()


def test_a_lake_without_tables_is_one_sentence(tmp_path: Path) -> None:
    from feature_repo.store import apply, open_store

    settings = Settings(home=tmp_path)
    apply(settings, DOMAIN)
    with pytest.raises(MarqueeError, match=r"The lake lacks ratings, .*run marquee pipeline"):
        audit_leakage(open_store(settings), DOMAIN)


def test_the_sentence_names_three_others_and_counts_the_rest() -> None:
    findings = [FeatureFinding("view", f"f{i}", rows_missing=1) for i in range(6)]
    assert failure("leakage", findings[0], findings) == (
        "The leakage audit failed: f0 of view breaks it (1 row missing); so do f1, f2, f3, …, 2 more."
    )
    assert failure("leakage", findings[0], findings[:2]).endswith("; so does f1.")
    assert failure("leakage", findings[0], findings[:1]).endswith("breaks it (1 row missing).")


def test_cost_is_measured_without_the_columns_that_have_no_value_yet() -> None:
    numbers = np.arange(200.0)
    positive = numbers % 100 >= 50
    inputs = np.column_stack([numbers % 100, np.where(numbers < 100, np.nan, numbers), np.full(200, np.nan)])
    assert auc_by_trees(inputs, positive, train=100, seed=0) == 1.0
    assert auc_by_trees(inputs[:, 2:], positive, train=100, seed=0) == 0.5
