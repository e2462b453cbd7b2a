"""The gate judges any domain in either engine, lets be empty what may be, and says what it cannot do."""

from html import unescape
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from common.errors import MarqueeError
from feature_repo.define.table import QUARANTINE
from feature_repo.domains.movies import DOMAIN
from lake.tables import overwrite
from tests.gate_tables import good_rows, opened, quarantine_of, result, rows_of
from tests.toy_domain import PRESS
from validation.gate.duckdb_tables import in_process
from validation.gate.gate import validate
from validation.gate.opening import open_tables
from validation.gate.spark_tables import on_spark

TABLES = DOMAIN.tables


def test_what_follows_from_some_events_or_an_empty_catalogue_may_be_empty(tmp_path: Path) -> None:
    empty = ("posters", "user_recent_likes", "movie_poster_colour", "user_poster_taste")
    rows = {"movies": rows_of(TABLES["movies"], good_rows(TABLES["movies"]))}
    rows |= {name: rows_of(TABLES[name], []) for name in empty}
    with in_process(rows) as tables:
        report = validate(tables, rows, tmp_path, DOMAIN)
    assert report.passed, report.failures
    assert [table.rows for table in report.tables] == [4, 0, 0, 0, 0]


@pytest.mark.parametrize("engine", ["duckdb", "spark"])
def test_tables_of_another_domain_are_judged_by_their_own_declarations(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    rows = {name: good_rows(table) for name, table in PRESS.tables.items()}
    rows["reader_recent"], rows["article_stats"] = [], []
    rows["reads"][1]["article_id"] = "gone"
    made = {name: rows_of(table, rows[name]) for name, table in PRESS.tables.items()}
    with opened(engine, made, request) as tables:
        report = validate(tables, made, tmp_path, PRESS)
    found = {(table.name, each.check.name, each.unexpected) for table, each in report.failures}
    assert found == {("reads", "article_id_in_articles", 1), ("article_stats", "row_count", 0)}
    assert "article_id = gone" in result(report, "reads", "article_id_in_articles").examples[0]
    html = (tmp_path / "validation.html").read_text()
    assert all(table.description in unescape(html) for table in PRESS.tables.values())


def test_a_table_that_cannot_be_computed_fails_without_breaking_the_gate(
    spark: SparkSession, tmp_path: Path
) -> None:
    movies = spark.createDataFrame(rows_of(TABLES["movies"], good_rows(TABLES["movies"])))
    bad = movies.withColumn("movie_id", F.expr("CAST(concat('x', title) AS BIGINT)"))
    with on_spark({"movies": bad}) as tables:
        report = validate(tables, ["movies"], tmp_path, DOMAIN)
    assert not report.passed
    outcomes = {r.check.name: r.outcome for r in report.tables[0].results}
    assert outcomes["columns_as_declared"] == "passed"
    assert outcomes["movie_id_in_range"] == outcomes["row_count"] == "not checked"
    assert "CAST_INVALID_INPUT" in result(report, "movies", "movie_id_in_range").detail


def test_a_table_whose_file_is_gone_fails_without_breaking_the_gate(tmp_path: Path) -> None:
    file = tmp_path / "movies.parquet"
    pq.write_table(rows_of(TABLES["movies"], good_rows(TABLES["movies"])), file)
    dataset = pads.dataset(file)
    file.unlink()
    with in_process({"movies": dataset}) as tables:
        report = validate(tables, ["movies"], tmp_path / "out", DOMAIN)
    outcomes = {r.check.name: r.outcome for r in report.tables[0].results}
    assert outcomes["columns_as_declared"] == "passed"
    assert outcomes["movie_id_in_range"] == outcomes["movies_are_unique"] == "not checked"
    assert "movies.parquet" in result(report, "movies", "movie_id_in_range").detail


def test_what_the_gate_cannot_do_is_said(tmp_path: Path) -> None:
    rows = {name: rows_of(TABLES[name], good_rows(TABLES[name])) for name in ("ratings", "movies")}
    with in_process({"ratings": rows["ratings"]}) as tables:
        with pytest.raises(MarqueeError, match="give the table movies"):
            validate(tables, ["ratings"], tmp_path, DOMAIN)
        with pytest.raises(MarqueeError, match="no table reviews in marquee"):
            validate(tables, ["reviews"], tmp_path, DOMAIN)
    (tmp_path / "file").write_text("in the way")
    with in_process(rows) as tables, pytest.raises(MarqueeError, match="Cannot write"):
        validate(tables, ["movies"], tmp_path / "file" / "out", DOMAIN)


@pytest.mark.parametrize(("most", "starts"), [(4, 0), (3, 1)])
def test_spark_is_started_only_where_a_table_has_many_rows(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, starts: int
) -> None:
    started = []

    def start() -> SparkSession:
        started.append(spark)
        return spark

    monkeypatch.setattr("lake.session.FEW", most)
    movies = rows_of(TABLES["movies"], good_rows(TABLES["movies"]))
    overwrite(movies.append_column("state", pa.array([1] * 4)), tmp_path / "lake", "movies")
    with open_tables(start, tmp_path / "lake", ["movies"], hidden=["state"]) as tables:
        report = validate(tables, ["movies"], tmp_path / "out", DOMAIN)
    assert report.passed, report.failures
    assert len(started) == starts


# --- the page -------------------------------------------------------------------------------------------


def test_long_records_are_cut(tmp_path: Path) -> None:
    long = quarantine_of([("ratings", "rating_in_range", "bad", "r.csv", 1, "9" * 10_000)])
    movies = rows_of(TABLES["movies"], good_rows(TABLES["movies"]))
    with in_process({"movies": movies, QUARANTINE: long}) as tables:
        report = validate(tables, ["movies"], tmp_path, DOMAIN)
    assert report.quarantine is not None
    assert len(report.quarantine[0].examples[0].record) == 500
    assert report.passed


def test_the_gate_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with in_process({"movies": rows_of(TABLES["movies"], good_rows(TABLES["movies"]))}) as tables:
        validate(tables, ["movies"], tmp_path, DOMAIN)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "great_expectations" not in captured.err
    assert "Calculating Metrics" not in captured.err
