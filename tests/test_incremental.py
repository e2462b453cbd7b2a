"""Incremental equals full: any cut of the events into batches, late ones included, ends in equal tables."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from feature_repo.schema import CREATED_TIMESTAMP, EVENT_TIMESTAMP, RATINGS, TABLES
from feature_repo.schema import MOVIES as MOVIES_TABLE
from feature_repo.spark import spark_schema
from lake.spark_tables import append, overwrite, read
from pipelines.features import small_update
from pipelines.features.incremental import current
from pipelines.features.jobs import JOBS, run_job
from pipelines.features.stored import STATE
from tests.feature_oracle import Rating
from tests.test_feature_jobs import MOVIES, START, frames, histories, side_by_side, tables

RUNNING = ("movie_rating_stats", "user_rating_stats", "user_recent_likes", "user_poster_taste")
NOW = START + timedelta(days=9000)


def add(spark: SparkSession, folder: Path, ratings: Sequence[Rating]) -> None:
    """Append ratings, the catalogue being there."""
    append(frames(spark, ratings)["ratings"], folder, RATINGS.name, spark_schema(RATINGS))


def content(spark: SparkSession, folder: Path, name: str) -> list[dict[str, Any]]:
    """What readers see of a table, in order."""
    stored = read(spark, folder, name, TABLES[name].column_names)
    rows = [row.asDict() for row in current(stored, name).collect()]
    for row in rows:
        del row[CREATED_TIMESTAMP]
    return sorted(rows, key=lambda row: (row[JOBS[name].key], row[EVENT_TIMESTAMP]))


@contextmanager
def catalogue(spark: SparkSession, generated: Sequence[Sequence[Rating]]) -> Iterator[Path]:
    """A lake with movies and posters for generated histories, and no ratings yet."""
    _, movies, posters = side_by_side(generated)
    with TemporaryDirectory() as folder:
        for name, frame in frames(spark, [], movies, posters).items():
            overwrite(frame, Path(folder), name, spark_schema(TABLES[name]))
        yield Path(folder)


def in_batches(ratings: Sequence[Rating], batch_of: Sequence[int]) -> list[list[Rating]]:
    return [
        [rating for rating, batch in zip(ratings, batch_of, strict=True) if batch == place]
        for place in range(3)
    ]


def test_any_cut_into_batches_ends_in_the_tables_of_one_full_run(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_update, "MOST_NEW", -1)
    rng = np.random.default_rng(0)
    drawn = {
        (int(rng.integers(1, 4)), int(rng.choice(sorted(MOVIES))), int(rng.integers(0, 13)))
        for _ in range(240)
    }
    ratings = [Rating(user, movie, int(rng.integers(1, 11)) / 2, at) for user, movie, at in sorted(drawn)]
    batches = in_batches(ratings, rng.integers(0, 3, len(ratings)).tolist())
    with catalogue(spark, [ratings]) as folder:
        for place, batch in enumerate(batches):
            add(spark, folder, batch)
            for name in RUNNING:
                done = run_job(spark, folder, name, created=NOW + timedelta(hours=place))
                assert (done.how, done.late_keys > 0) == (("updated", True) if place else ("rebuilt", False))
        incremental = {name: content(spark, folder, name) for name in RUNNING}
        for name in RUNNING:
            assert run_job(spark, folder, name, full=True, created=NOW).how == "rebuilt"
            assert incremental[name] == content(spark, folder, name), name


def with_created(rows: pa.Table, created: datetime) -> pa.Table:
    return rows.append_column(
        CREATED_TIMESTAMP, pa.repeat(pa.scalar(created, small_update.INSTANT), rows.num_rows)
    )


def rows_of(table: pa.Table, name: str) -> list[dict[str, Any]]:
    """The same as `content` of a table in memory."""
    rows = {}
    written = table.column(CREATED_TIMESTAMP).to_pylist()
    for row, _ in sorted(
        zip(table.drop_columns([STATE]).to_pylist(), written, strict=True), key=itemgetter(1)
    ):
        del row[CREATED_TIMESTAMP]
        rows[row[JOBS[name].key], row[EVENT_TIMESTAMP]] = row
    return [rows[unique] for unique in sorted(rows)]


@settings(max_examples=40, deadline=None)
@given(generated=st.lists(histories, min_size=1, max_size=4), data=st.data())
def test_any_cut_taken_in_without_spark_ends_in_the_tables_of_one_full_run(
    generated: list[list[Rating]], data: st.DataObject
) -> None:
    ratings, movies, posters = side_by_side(generated)
    batch_of = data.draw(st.lists(st.integers(0, 2), min_size=len(ratings), max_size=len(ratings)))
    sources = tables(ratings, movies, posters)
    with TemporaryDirectory() as name:
        folder = Path(name)
        for place, batch in enumerate(in_batches(ratings, batch_of)):
            for source, rows in tables(batch, movies, posters).items():
                if source == RATINGS.name or not place:
                    write_deltalake(folder / source, rows, mode="append")
            for name in RUNNING:
                job, created = JOBS[name], NOW + timedelta(hours=place)
                now = {source: place if source == RATINGS.name else 0 for source in job.inputs}
                if place:
                    seen = now | {RATINGS.name: place - 1}
                    done = small_update.take_in(folder, job, created, seen, now)
                    assert done is not None and done.new_ratings == len(batch)
                else:
                    first = job.compute(*(tables(batch, movies, posters)[source] for source in job.inputs))
                    write_deltalake(folder / name, with_created(first, created))
        for name in RUNNING:
            job = JOBS[name]
            whole = job.compute(*(sources[source] for source in job.inputs))
            whole = with_created(whole, NOW)
            assert rows_of(DeltaTable(folder / name).to_pyarrow_table(), name) == rows_of(whole, name), name


@pytest.fixture
def one_user(spark: SparkSession) -> Iterator[Path]:
    """A lake in which user 1 liked movie 1 at second 10, its tables built."""
    with catalogue(spark, [[]]) as folder:
        add(spark, folder, [Rating(1, 1, 4.0, 10)])
        for name in RUNNING:
            run_job(spark, folder, name, created=NOW)
        yield folder


def test_events_in_time_go_on_from_the_state(spark: SparkSession, one_user: Path) -> None:
    add(spark, one_user, [Rating(1, 2, 5.0, 20)])
    done = run_job(spark, one_user, "user_rating_stats", created=NOW + timedelta(hours=1))
    assert (done.how, done.rows, done.new_ratings, done.late_keys) == ("updated", 1, 1, 0)
    assert [row["user_rating_count"] for row in content(spark, one_user, "user_rating_stats")] == [1, 2]


def test_nothing_new_writes_nothing(spark: SparkSession, one_user: Path) -> None:
    assert run_job(spark, one_user, "user_rating_stats").how == "nothing new"


def test_late_event_corrects_the_instants_after_it_and_keeps_what_was_known(
    spark: SparkSession, one_user: Path
) -> None:
    add(spark, one_user, [Rating(1, 2, 5.0, 5)])
    done = run_job(spark, one_user, "user_rating_stats", created=NOW + timedelta(hours=1))
    assert (done.how, done.rows, done.late_keys) == ("updated", 2, 1)
    assert [row["user_rating_count"] for row in content(spark, one_user, "user_rating_stats")] == [1, 2]
    stored = read(spark, one_user, "user_rating_stats")
    assert [
        row["user_rating_first_at"].astimezone(UTC) for row in content(spark, one_user, "user_rating_stats")
    ] == [START + timedelta(seconds=5)] * 2
    before = stored.where(stored[CREATED_TIMESTAMP] <= NOW).collect()
    assert before[0]["user_rating_first_at"].astimezone(UTC) == START + timedelta(seconds=10)
    assert [row["user_rating_count"] for row in before] == [1]


def test_late_event_that_changes_nothing_later_adds_only_its_own_row(
    spark: SparkSession, one_user: Path
) -> None:
    add(spark, one_user, [Rating(1, movie, 4.0, 10 + movie) for movie in (2, 3, 4, 5)])
    add(spark, one_user, [Rating(1, 1, 4.5, 30)])
    run_job(spark, one_user, "user_recent_likes", created=NOW + timedelta(hours=1))
    add(spark, one_user, [Rating(1, 2, 5.0, 1)])
    done = run_job(spark, one_user, "user_recent_likes", created=NOW + timedelta(hours=2))
    # Its own, and those that list fewer than five likes or reach back to it: at seconds 10, 12, 13 and 14.
    assert done.rows == 5
    add(spark, one_user, [Rating(1, 3, 1.0, 2)])
    done = run_job(spark, one_user, "user_recent_likes", created=NOW + timedelta(hours=3))
    assert done.rows == 0, "a dislike changes no list"


def test_rewritten_source_is_computed_in_full(spark: SparkSession, one_user: Path) -> None:
    rewritten = frames(spark, [Rating(1, 1, 2.0, 10)])["ratings"]
    overwrite(rewritten, one_user, RATINGS.name, spark_schema(RATINGS))
    assert run_job(spark, one_user, "user_rating_stats").how == "rebuilt"
    (row,) = content(spark, one_user, "user_rating_stats")
    assert row["user_rating_mean"] == 2.0


def test_table_of_another_declaration_is_computed_in_full(spark: SparkSession, one_user: Path) -> None:
    stored = read(spark, one_user, "user_rating_stats").drop("user_rating_first_at")
    write = stored.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
    write.save(str(one_user / "user_rating_stats"))
    assert run_job(spark, one_user, "user_rating_stats").how == "rebuilt"
    (row,) = content(spark, one_user, "user_rating_stats")
    assert row["user_rating_first_at"].astimezone(UTC) == START + timedelta(seconds=10)


def test_changed_catalogue_corrects_what_depends_on_it(spark: SparkSession, one_user: Path) -> None:
    added = spark.createDataFrame([(99, "Film 99", ["War"], 1999)], spark_schema(MOVIES_TABLE))
    append(added, one_user, "movies", spark_schema(MOVIES_TABLE))
    done = run_job(spark, one_user, "user_rating_stats", created=NOW + timedelta(hours=1))
    assert (done.how, done.rows) == ("updated", 0), "a movie that nobody rated changes no user"
