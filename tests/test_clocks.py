"""No wall clock decides which row counts: stamps of writing grow within a table, whoever writes it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from feature_repo.define.column import CREATED_TIMESTAMP
from feature_repo.domains.movies import DOMAIN
from lake import tables as lake
from lake.session import StartSpark
from lake.stamps import later_than
from pipelines.features.jobs import job_names, run_job
from tests.feature_oracle import Movie, Rating
from tests.raw_rows import no_spark
from tests.test_feature_jobs import MOVIES, START, tables
from tests.test_incremental import content

NOW = START + timedelta(days=9000)
CLOCKS = st.integers(-6 * 3600, 6 * 3600).map(lambda seconds: timedelta(seconds=seconds))


def write(folder: Path, ratings: list[Rating]) -> None:
    for name, rows in tables(ratings).items():
        lake.overwrite(rows, folder, name)


@pytest.mark.parametrize(
    ("start", "behind"),
    [
        ("arrow", timedelta(0)),
        ("arrow", timedelta(microseconds=1)),
        ("arrow", timedelta(hours=3)),
        ("spark", timedelta(hours=3)),
    ],
    ids=str,
)
def test_a_correction_counts_although_the_clock_was_set_back(
    start: str,
    behind: timedelta,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starts: StartSpark = no_spark
    if start == "spark":
        spark: SparkSession = request.getfixturevalue("spark")
        monkeypatch.setattr("lake.session.FEW", -1)
        starts = lambda: spark  # noqa: E731
    write(tmp_path, [Rating(1, 1, 4.0, 10)])
    run_job(starts, tmp_path, DOMAIN, "user_rating_stats", created=NOW)
    run_job(starts, tmp_path, DOMAIN, "movie_content", created=NOW)
    lake.append(tables([Rating(1, 2, 5.0, 5)])["ratings"], tmp_path, "ratings")
    lake.overwrite(tables([], {**MOVIES, 1: Movie(["War"], 1964)})["movies"], tmp_path, "movies")
    for name in ("user_rating_stats", "movie_content"):
        run_job(starts, tmp_path, DOMAIN, name, created=NOW - behind)
    assert [row["user_rating_count"] for row in content(tmp_path, "user_rating_stats")] == [1, 2]
    assert content(tmp_path, "movie_content")[0]["movie_release_year"] == 1964


@settings(deadline=None, max_examples=12)
@given(data=st.data())
def test_any_clocks_end_in_the_tables_of_one_run(data: st.DataObject) -> None:
    """Four deliveries, late and repeated ratings among them, each by a machine with a clock of its own."""
    rating = st.builds(
        Rating,
        st.integers(1, 2),
        st.sampled_from(sorted(MOVIES)),
        st.sampled_from([2.0, 4.5]),
        st.integers(1, 9),
    )
    deliveries = data.draw(st.lists(st.lists(rating, max_size=4), min_size=4, max_size=4))
    clocks = data.draw(st.lists(CLOCKS, min_size=4, max_size=4))
    with TemporaryDirectory() as folder:
        cut, whole = Path(folder) / "cut", Path(folder) / "whole"
        write(cut, deliveries[0])
        for place, clock in enumerate(clocks):
            if place:
                lake.append(tables(deliveries[place])["ratings"], cut, "ratings")
            for name in job_names(DOMAIN):
                run_job(no_spark, cut, DOMAIN, name, created=NOW + clock)
        write(whole, [rating for delivery in deliveries for rating in delivery])
        for name in job_names(DOMAIN):
            run_job(no_spark, whole, DOMAIN, name, created=NOW)
            assert content(cut, name) == content(whole, name), name


def test_what_was_known_before_a_correction_can_still_be_told(tmp_path: Path) -> None:
    write(tmp_path, [Rating(1, 1, 4.0, 10)])
    run_job(no_spark, tmp_path, DOMAIN, "user_rating_stats", created=NOW)
    for place in range(3):
        lake.append(tables([Rating(1, 2, 5.0, 5 - place)])["ratings"], tmp_path, "ratings")
        run_job(no_spark, tmp_path, DOMAIN, "user_rating_stats", created=NOW - timedelta(hours=place))
    rows = lake.open_table(tmp_path, "user_rating_stats").to_pyarrow_table().to_pylist()
    counts: dict[datetime, int] = {}
    for row in sorted(rows, key=lambda row: row[CREATED_TIMESTAMP]):
        counts[row[CREATED_TIMESTAMP]] = max(counts.get(row[CREATED_TIMESTAMP], 0), row["user_rating_count"])
    assert list(counts.values()) == [1, 2, 3, 4], "each state of knowledge has a stamp of its own, in order"


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", None])
@pytest.mark.parametrize("columns_told", [0, 32], ids=["the log tells none", "the log tells"])
def test_stamps_of_any_resolution_and_zone_are_understood(
    unit: str, zone: str | None, columns_told: int, tmp_path: Path
) -> None:
    newest = datetime(2024, 5, 1, 12, 0, 0, 1000, tzinfo=UTC)
    for stamps in ([newest - timedelta(days=1)], [None, newest]):
        rows = pa.table({"at": pa.array(stamps, pa.timestamp(unit, zone))})
        told = {"delta.dataSkippingNumIndexedCols": str(columns_told)}
        write_deltalake(tmp_path, rows, mode="append", configuration=told)
    held = DeltaTable(tmp_path)
    told_of = [value.is_valid for value in held.get_add_actions(flatten=True)["max.at"]]
    assert told_of == [columns_told > 0] * 2
    assert later_than(held, "at", newest - timedelta(hours=9)) == newest + timedelta(microseconds=1)
    assert later_than(held, "at", newest) == newest + timedelta(microseconds=1)
    close = newest + timedelta(microseconds=7)
    assert later_than(held, "at", close) == close
    assert later_than(held, "at", newest + timedelta(hours=1)) == newest + timedelta(hours=1)


def test_a_log_that_knows_stamps_by_the_millisecond_is_not_taken_at_its_word(tmp_path: Path) -> None:
    newest = datetime(2024, 5, 1, 12, 0, 0, 1999, tzinfo=UTC)
    write_deltalake(tmp_path, pa.table({"at": pa.array([newest], pa.timestamp("us", "UTC"))}))
    (commit,) = (tmp_path / "_delta_log").glob("*.json")
    told = commit.read_text()
    assert "00.001999Z" in told
    commit.write_text(told.replace("00.001999Z", "00.001Z"))  # as Spark writes it
    between = newest - timedelta(microseconds=500)
    assert later_than(DeltaTable(tmp_path), "at", between) == newest + timedelta(microseconds=1)


def test_a_table_without_stamps_or_rows_leaves_the_clock_as_it_is(tmp_path: Path) -> None:
    for column in ("at", "other"):
        write_deltalake(tmp_path / column, pa.table({column: pa.array([], pa.timestamp("us", "UTC"))}))
        assert later_than(DeltaTable(tmp_path / column), "at", NOW) == NOW
