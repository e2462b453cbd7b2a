"""Incremental equals full: any cut of the events into batches, late ones included, ends in equal tables."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from feature_repo.schema import CREATED_TIMESTAMP, EVENT_TIMESTAMP, RATINGS
from pipelines import lake
from pipelines.incremental import current
from pipelines.jobs import JOBS, run_job
from tests.feature_oracle import Rating
from tests.test_feature_jobs import START, frames, histories, side_by_side

RUNNING = ("movie_rating_stats", "user_rating_stats", "user_recent_likes", "user_poster_taste")
NOW = START + timedelta(days=9000)


def add(spark: SparkSession, folder: Path, ratings: Sequence[Rating]) -> None:
    """Append ratings, the catalogue being there."""
    lake.append(frames(spark, ratings)["ratings"], folder, RATINGS.name)


def content(spark: SparkSession, folder: Path, name: str) -> list[dict[str, Any]]:
    """What readers see of a table, in order."""
    rows = [row.asDict() for row in current(lake.read(spark, folder, name), name).collect()]
    for row in rows:
        del row[CREATED_TIMESTAMP]
    return sorted(rows, key=lambda row: (row[JOBS[name].key], row[EVENT_TIMESTAMP]))


@contextmanager
def catalogue(spark: SparkSession, generated: Sequence[Sequence[Rating]]) -> Iterator[Path]:
    """A lake with movies and posters for generated histories, and no ratings yet."""
    _, movies, posters = side_by_side(generated)
    with TemporaryDirectory() as folder:
        for name, frame in frames(spark, [], movies, posters).items():
            lake.overwrite(frame, Path(folder), name)
        yield Path(folder)


@settings(
    max_examples=1,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(generated=st.lists(histories, min_size=8, max_size=12), data=st.data())
def test_any_cut_into_batches_ends_in_the_tables_of_one_full_run(
    spark: SparkSession, generated: list[list[Rating]], data: st.DataObject
) -> None:
    ratings, _, _ = side_by_side(generated)
    batch_of = data.draw(st.lists(st.integers(0, 2), min_size=len(ratings), max_size=len(ratings)))
    batches = [
        [r for r, batch in zip(ratings, batch_of, strict=True) if batch == place] for place in range(3)
    ]
    with catalogue(spark, generated) as folder:
        for place, batch in enumerate(batches):
            add(spark, folder, batch)
            for name in RUNNING:
                run_job(spark, folder, name, created=NOW + timedelta(hours=place))
        incremental = {name: content(spark, folder, name) for name in RUNNING}
        for name in RUNNING:
            assert run_job(spark, folder, name, full=True, created=NOW).how == "rebuilt"
            assert incremental[name] == content(spark, folder, name), name


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
    stored = lake.read(spark, one_user, "user_rating_stats")
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
    lake.overwrite(frames(spark, [Rating(1, 1, 2.0, 10)])["ratings"], one_user, RATINGS.name)
    assert run_job(spark, one_user, "user_rating_stats").how == "rebuilt"
    (row,) = content(spark, one_user, "user_rating_stats")
    assert row["user_rating_mean"] == 2.0


def test_table_of_another_declaration_is_computed_in_full(spark: SparkSession, one_user: Path) -> None:
    stored = lake.read_stored(spark, one_user, "user_rating_stats").drop("user_rating_first_at")
    write = stored.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
    write.save(str(one_user / "user_rating_stats"))
    assert run_job(spark, one_user, "user_rating_stats").how == "rebuilt"
    (row,) = content(spark, one_user, "user_rating_stats")
    assert row["user_rating_first_at"].astimezone(UTC) == START + timedelta(seconds=10)


def test_changed_catalogue_corrects_what_depends_on_it(spark: SparkSession, one_user: Path) -> None:
    added = spark.createDataFrame([(99, "Film 99", ["War"], 1999)], lake.spark_schema("movies"))
    lake.append(added, one_user, "movies")
    done = run_job(spark, one_user, "user_rating_stats", created=NOW + timedelta(hours=1))
    assert (done.how, done.rows) == ("updated", 0), "a movie that nobody rated changes no user"
