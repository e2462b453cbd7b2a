"""The gate passes clean tables, names what is wrong with others, and shows it on one offline page."""

import io
import json
import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from common.errors import MarqueeError
from common.page import external_resources
from feature_repo.define.column import BEGINNING
from feature_repo.define.table import QUARANTINE
from feature_repo.domains.movies import DOMAIN
from tests.gate_tables import good_rows, opened, quarantine_of, result, rows_of
from validation.gate.checks import checks
from validation.gate.gate import open_project, validate
from validation.gate.page import page
from validation.gate.report import ValidationReport, render_table, require_passed, to_json

TABLES = DOMAIN.tables


ENGINES = ["duckdb", "spark"]


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# --- clean tables pass ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def passed(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ValidationReport, Path]:
    out = tmp_path_factory.mktemp("passed")
    clean = {name: rows_of(table, good_rows(table)) for name, table in TABLES.items()}
    told: list[tuple[str, int, int]] = []
    with opened(engine, clean, request) as tables:
        sources = [table.name for table in DOMAIN.sources]
        first = validate(tables, sources, out, DOMAIN, on_progress=lambda *step: told.append(step))
        assert told == [("ratings", 0, 4), ("movies", 1, 4), ("posters", 2, 4), ("users", 3, 4)]
        views = [view.name for view in DOMAIN.views]
        return validate(tables, views, out, DOMAIN, before=first), out


def test_clean_tables_pass(passed: tuple[ValidationReport, Path]) -> None:
    report, out = passed
    assert report.passed, report.failures
    require_passed(report, out / "validation.html")


def test_two_calls_make_one_report(passed: tuple[ValidationReport, Path]) -> None:
    report, out = passed
    assert [table.name for table in report.tables] == list(TABLES)
    assert all(table.rows == 4 for table in report.tables)
    html = (out / "validation.html").read_text()
    for table in report.tables:
        assert f'id="table-{table.name}"' in html
        assert len(list((out / "data_docs" / "validations" / table.name).rglob("*.html"))) == 1
    assert (out / "data_docs" / "index.html").is_file()


def test_nothing_is_left_in_the_session(spark: SparkSession, passed: tuple[ValidationReport, Path]) -> None:
    assert passed
    assert [table.name for table in spark.catalog.listTables() if table.isTemporary] == []


def test_the_project_opens_again_with_its_suites(passed: tuple[ValidationReport, Path]) -> None:
    context = open_project(passed[1], fresh=False)
    assert {s.name for s in context.suites.all()} == set(TABLES)
    for stored in context.suites.all():
        assert [e.meta["check"] for e in stored.expectations] == [
            c.name for c in checks(TABLES[stored.name], TABLES)
        ]


# --- planted faults -------------------------------------------------------------------------------------

NAUGHTY = "<script>alert('a')</script>,<img src=x.png>,7"


@pytest.fixture(scope="module")
def failed(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ValidationReport, Path]:
    """Faults of every kind, in eleven tables at once."""
    rows = {name: good_rows(table, 6) for name, table in TABLES.items()}
    ratings = rows["ratings"]
    ratings[0]["rating"] = 7.0
    ratings[1]["rating"] = 0.0
    ratings[2]["rating"] = math.nan
    ratings[3]["user_id"] = None
    ratings[4]["event_timestamp"] = datetime.now(UTC) + timedelta(days=2)
    ratings[5]["event_timestamp"] = BEGINNING - timedelta(microseconds=1)
    ratings += [{**ratings[0], "rating": 3.3}, {**good_rows(TABLES["ratings"])[0], "movie_id": 77}]
    rows["movies"][5]["movie_id"] = 5
    rows["users"][1]["age"] = 121
    rows["users"][2]["occupation"] = ""
    rows["users"][5]["user_id"] = 5
    rows["user_profile"][0]["user_age"] = 0
    rows["movie_rating_stats"][2]["movie_rating_mean"] = math.nan
    rows["movie_rating_stats"][3]["movie_rating_std"] = None
    rows["user_rating_stats"][1]["user_top_genres"] = ["Drama"]
    rows["user_rating_stats"][2] = {**rows["user_rating_stats"][3], "user_rating_count": 9}
    rows["user_recent_likes"][0]["user_recent_liked_movie_ids"] = [1, 2, -3, 0, 0]
    rows["user_recent_likes"][1]["user_recent_liked_movie_ids"] = [1, 2, None, 0, 0]
    rows["movie_content"] = []
    made = {name: rows_of(TABLES[name], rows[name]) for name in TABLES}
    made["movie_rating_stats"] = made["movie_rating_stats"].append_column("extra", pa.array([1] * 6))
    made["movie_poster_colour"] = made["movie_poster_colour"].drop_columns("movie_poster_red_mean")
    place = made["user_poster_taste"].column_names.index("user_poster_count")
    words = pa.array(["many"] * 6)
    made["user_poster_taste"] = made["user_poster_taste"].set_column(place, "user_poster_count", words)
    out_of_range = [
        ("ratings", "rating_in_range", f"rating is outside [0.5, 5]: {n}", "ratings.csv", n, f"1,{n},7,99")
        for n in range(7, 16)
    ]
    unknown = ("ratings", "movie_id_in_movies", "movie 4 is not in the catalogue", "ratings.csv", 3, NAUGHTY)
    unreadable = (
        *("posters", "poster_is_readable", "the file is no picture"),
        *("posters/9.jpg", None, "posters/9.jpg"),
    )
    made[QUARANTINE] = quarantine_of([*out_of_range, unknown, unreadable])
    out = tmp_path_factory.mktemp("failed")
    with opened(engine, made, request) as tables:
        return validate(tables, TABLES, out, DOMAIN), out


@pytest.mark.parametrize(
    ("table", "check", "unexpected"),
    [
        ("ratings", "rating_in_range", 3),
        ("ratings", "rating_is_half_star", 2),
        ("ratings", "user_id_is_present", 1),
        ("ratings", "event_timestamp_in_range", 2),
        ("ratings", "ratings_are_unique", 1),
        ("ratings", "movie_id_in_movies", 2),
        ("movies", "movies_are_unique", 1),
        ("posters", "movie_id_in_movies", 1),
        ("users", "age_in_range", 1),
        ("users", "occupation_is_not_empty", 1),
        ("users", "users_are_unique", 1),
        ("user_profile", "user_age_in_range", 1),
        ("user_profile", "user_id_in_users", 1),
        ("movie_rating_stats", "movie_rating_mean_in_range", 1),
        ("movie_rating_stats", "movie_rating_std_is_present", 1),
        ("movie_rating_stats", "movie_id_in_movies", 1),
        ("movie_rating_stats", "columns_as_declared", 1),
        ("user_rating_stats", "user_top_genres_has_length", 1),
        ("user_rating_stats", "user_rating_stats_are_unique", 1),
        ("user_recent_likes", "user_recent_liked_movie_ids_in_range", 2),
        ("movie_content", "row_count", 0),
        ("movie_poster_colour", "columns_as_declared", 1),
        ("movie_poster_colour", "movie_id_in_movies", 1),
        ("user_poster_taste", "types_as_declared", 1),
    ],
)
def test_a_fault_is_found_named_and_counted(
    failed: tuple[ValidationReport, Path], table: str, check: str, unexpected: int
) -> None:
    found = result(failed[0], table, check)
    assert found.outcome == "failed"
    assert found.unexpected == unexpected
    assert len(found.examples) == (unexpected if found.check.sql else 0)


def test_nothing_else_is_found(failed: tuple[ValidationReport, Path]) -> None:
    report = failed[0]
    names = {(table.name, r.check.name) for table, r in report.failures if r.outcome == "failed"}
    assert len(names) == 24
    assert all(not table.passed for table in report.tables)


def test_examples_show_the_key_and_the_value(failed: tuple[ValidationReport, Path]) -> None:
    examples = result(failed[0], "ratings", "rating_in_range").examples
    assert any("user_id = 1" in example and "rating = 7.0" in example for example in examples)
    assert any("rating = nan" in example for example in examples)
    assert "user_id = null" in result(failed[0], "ratings", "user_id_is_present").examples[0]
    dangling = result(failed[0], "ratings", "movie_id_in_movies").examples
    assert any("movie_id = 77" in example for example in dangling)
    assert "rows = 2" in result(failed[0], "ratings", "ratings_are_unique").examples[0]


def test_what_the_structure_lacks_is_said_and_what_needs_it_is_not_checked(
    failed: tuple[ValidationReport, Path],
) -> None:
    report = failed[0]
    assert result(report, "movie_rating_stats", "columns_as_declared").detail == "unexpected: extra"
    colour = "movie_poster_colour"
    assert result(report, colour, "columns_as_declared").detail == "missing: movie_poster_red_mean"
    for rule in ("movie_poster_red_mean_is_present", "movie_poster_red_mean_in_range"):
        assert result(report, colour, rule).outcome == "not checked"
    assert result(report, colour, "movie_poster_green_mean_in_range").outcome == "passed"
    types = result(report, "user_poster_taste", "types_as_declared")
    assert types.detail == "user_poster_count is string, not bigint"
    assert result(report, "user_poster_taste", "user_poster_count_in_range").outcome == "not checked"


def test_a_failed_gate_stops_the_run_with_one_sentence(failed: tuple[ValidationReport, Path]) -> None:
    report, out = failed
    with pytest.raises(
        MarqueeError, match=r"^The validation gate failed: ratings breaks .* \(\d+ .*See "
    ) as e:
        require_passed(report, out / "validation.html")
    assert "\n" not in str(e.value)
    assert str(out / "validation.html") in str(e.value)


# --- the page -------------------------------------------------------------------------------------------


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def test_the_page_loads_nothing(failed: tuple[ValidationReport, Path]) -> None:
    html = (failed[1] / "validation.html").read_text()
    assert external_resources(html) == []
    assert "<script" not in html
    assert "<link" not in html
    assert not re.search(r"https?://", html)


def test_the_page_shows_each_failure_with_its_examples(failed: tuple[ValidationReport, Path]) -> None:
    report, out = failed
    text = text_of((out / "validation.html").read_text())
    assert "gate failed" in text
    for table, outcome in report.failures:
        assert table.name in text
        assert outcome.check.name in text
        for example in outcome.examples:
            assert example in text


def test_the_page_shows_the_quarantine(failed: tuple[ValidationReport, Path]) -> None:
    report, out = failed
    text = text_of((out / "validation.html").read_text())
    assert report.quarantine is not None
    assert [(rule.table, rule.rule, rule.rows) for rule in report.quarantine] == [
        ("ratings", "rating_in_range", 9),
        ("posters", "poster_is_readable", 1),
        ("ratings", "movie_id_in_movies", 1),
    ]
    assert [row.row for row in report.quarantine[0].examples] == [7, 8, 9, 10, 11]
    assert report.quarantined("ratings") == 10
    assert report.quarantined_share("ratings") == 10 / (10 + 8)
    assert report.quarantined_share() == 11 / (11 + 8 + 6 + 6 + 6)
    assert "1,7,7,99" in text
    assert "posters/9.jpg" in text
    assert "movie 4 is not in the catalogue" in text


def test_quarantined_records_are_escaped(failed: tuple[ValidationReport, Path]) -> None:
    html = (failed[1] / "validation.html").read_text()
    assert NAUGHTY not in html
    assert "<img src=x.png>" not in html
    assert NAUGHTY in unescape(html)


def test_an_empty_quarantine_is_good_news(passed: tuple[ValidationReport, Path]) -> None:
    html = text_of(page(replace(passed[0], quarantine=()), DOMAIN))
    assert "every row that was read is in its table" in html
    assert "Quarantine" not in text_of(page(passed[0], DOMAIN))


def test_data_docs_name_every_check(failed: tuple[ValidationReport, Path]) -> None:
    (docs,) = (failed[1] / "data_docs" / "validations" / "ratings").rglob("*.html")
    text = text_of(docs.read_text())
    for check in checks(TABLES["ratings"], TABLES):
        assert check.name in text


def test_the_terminal_and_the_summary_say_the_same(failed: tuple[ValidationReport, Path]) -> None:
    report = failed[0]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(render_table(report))
    shown = console.export_text()
    assert "rating_in_range (3 rows)" in shown
    summary = json.loads(json.dumps(to_json(report)))
    assert summary["passed"] is False
    assert {t["name"]: t["rows"] for t in summary["tables"]} == {t.name: t.rows for t in report.tables}
    assert summary["tables"][0]["quarantined"] == 10
