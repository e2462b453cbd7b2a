"""The feature jobs against the oracle, on generated events with ties, re-ratings and movies of every kind."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from feature_repo.arrow import arrow_schema
from feature_repo.schema import EVENT_TIMESTAMP, KNOWN_AFTER, POSTER_STATISTICS, TABLES
from feature_repo.spark import spark_schema
from pipelines.features.jobs import JOBS
from pipelines.features.stored import RUNNING
from tests.feature_oracle import Movie, Rating, features_at_labels
from tests.test_real_road import differences

START = datetime(2000, 1, 1, tzinfo=UTC)
MOVIES = {
    1: Movie(["Action", "Comedy"], 1994),
    2: Movie(["Drama"], None),
    3: Movie([], 2001),
    4: Movie(["Comedy", "Drama", "Thriller", "War"], 1950),
    5: Movie(["Action"], 1994),
}
POSTERS = {
    movie: {
        name: (movie * 37 + position * 11) % 128 + position / 256
        for position, name in enumerate(POSTER_STATISTICS)
    }
    for movie in (1, 2, 4)
}

events = st.builds(
    Rating,
    user=st.integers(1, 3),
    movie=st.sampled_from(sorted(MOVIES)),
    stars=st.integers(1, 10).map(lambda halves: halves / 2),
    instant=st.integers(0, 12),
)
histories = st.lists(
    events, max_size=40, unique_by=lambda rating: (rating.user, rating.movie, rating.instant)
)


def instant(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def side_by_side(
    histories: Sequence[Sequence[Rating]],
) -> tuple[list[Rating], dict[int, Movie], dict[int, dict[str, float]]]:
    """Several histories as one, each with users and movies of its own."""
    ratings, movies, posters = [], {}, {}
    for place, history in enumerate(histories):
        shift = 10 * place
        ratings += [r._replace(user=r.user + shift, movie=r.movie + shift) for r in history]
        movies |= {movie + shift: facts for movie, facts in MOVIES.items()}
        posters |= {movie + shift: values for movie, values in POSTERS.items()}
    return ratings, movies, posters


def tables(
    ratings: Sequence[Rating],
    movies: Mapping[int, Movie] = MOVIES,
    posters: Mapping[int, Mapping[str, float]] = POSTERS,
) -> dict[str, pa.Table]:
    """The source tables of generated events."""
    rows: dict[str, list[tuple[Any, ...]]] = {
        "ratings": [(r.user, r.movie, r.stars, instant(r.instant)) for r in ratings],
        "movies": [(movie, f"Film {movie}", list(m.genres), m.year) for movie, m in movies.items()],
        "posters": [
            (movie, f"{movie}.jpg", "", 2, 3, *(values[name] for name in POSTER_STATISTICS))
            for movie, values in posters.items()
        ],
    }
    found = {}
    for name, of_table in rows.items():
        schema = arrow_schema(TABLES[name])
        found[name] = pa.Table.from_pylist(
            [dict(zip(schema.names, row, strict=True)) for row in of_table], schema
        )
    return found


def frames(
    spark: SparkSession,
    ratings: Sequence[Rating],
    movies: Mapping[int, Movie] = MOVIES,
    posters: Mapping[int, Mapping[str, float]] = POSTERS,
) -> dict[str, DataFrame]:
    """The same in Spark."""
    found = tables(ratings, movies, posters)
    return {name: spark.createDataFrame(table, spark_schema(TABLES[name])) for name, table in found.items()}


def as_of(rows: list[dict[str, Any]], key: str, value: int, at: datetime) -> dict[str, Any]:
    """The newest row of a key that is known at an instant, Feast's way: not later than it."""
    known = [row for row in rows if row[key] == value and row[EVENT_TIMESTAMP] <= at]
    return max(known, key=lambda row: row[EVENT_TIMESTAMP], default={})


# Many histories an example, few examples, no shrinking: each example costs several Spark jobs.
@settings(
    max_examples=2,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(generated=st.lists(histories, min_size=8, max_size=12))
def test_jobs_equal_the_oracle_at_every_label(spark: SparkSession, generated: list[list[Rating]]) -> None:
    history, movies, posters = side_by_side(generated)
    sources, in_memory = frames(spark, history, movies, posters), tables(history, movies, posters)
    made = {}
    for name, job in JOBS.items():
        computed = job.compute(*(sources[table] for table in job.inputs)).collect()
        made[name] = [row.asDict() for row in computed]
        for row in made[name]:
            row |= {key: value.astimezone(UTC) for key, value in row.items() if isinstance(value, datetime)}
        rows = {(row[TABLES[name].key[0].name], row[EVENT_TIMESTAMP]): row for row in made[name]}
        assert len(rows) == len(made[name]), f"{name}: key and instant are not unique"
        if name in RUNNING:
            same = job.compute(*(in_memory[table] for table in job.inputs)).to_pylist(
                maps_as_pydicts="strict"
            )
            assert {(row[TABLES[name].key[0].name], row[EVENT_TIMESTAMP]): row for row in same} == rows
    expected = features_at_labels(history, movies, posters, instant)
    for rating in history:
        row: dict[str, Any] = {}
        for name in JOBS:
            declared = TABLES[name]
            key = declared.key[0].name
            found = as_of(made[name], key, getattr(rating, key.removesuffix("_id")), instant(rating.instant))
            row |= {column.name: found.get(column.name) for column in declared.feature_columns}
        assert differences(row, expected[rating.user, rating.movie, rating.instant]) == []


def test_feature_row_is_known_one_microsecond_after_its_last_event(spark: SparkSession) -> None:
    sources = frames(spark, [Rating(1, 1, 4.0, 7)])
    for name in ("movie_rating_stats", "user_rating_stats", "user_recent_likes", "user_poster_taste"):
        job = JOBS[name]
        (row,) = job.compute(*(sources[table] for table in job.inputs)).collect()
        assert row[EVENT_TIMESTAMP].astimezone(UTC) == instant(7) + KNOWN_AFTER


def test_ratings_of_one_instant_count_together(spark: SparkSession) -> None:
    sources = frames(spark, [Rating(1, 1, 4.0, 7), Rating(1, 2, 5.0, 7), Rating(1, 3, 1.0, 7)])
    (row,) = JOBS["user_rating_stats"].compute(sources["ratings"], sources["movies"]).collect()
    assert row["user_rating_count"] == 3
    assert row["user_rating_mean"] == (4.0 + 5.0 + 1.0) / 3
    (likes,) = JOBS["user_recent_likes"].compute(sources["ratings"], sources["movies"]).collect()
    assert likes["user_recent_liked_movie_ids"] == [2, 1, 0, 0, 0]
    assert likes["user_recent_liked_genres"] == ["Drama", "Action|Comedy", "", "", ""]


def test_deviation_of_one_event_is_zero(spark: SparkSession) -> None:
    sources = frames(spark, [Rating(1, 1, 4.5, 7)])
    (row,) = JOBS["user_poster_taste"].compute(sources["ratings"], sources["posters"]).collect()
    assert row["user_poster_count"] == 1
    assert all(row[f"user_poster_{name}_mean"] == POSTERS[1][name] for name in POSTER_STATISTICS)
    assert all(row[f"user_poster_{name}_std"] == 0 for name in POSTER_STATISTICS)
