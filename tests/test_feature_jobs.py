"""What feature jobs compute, against the plain loop over rows, on generated events of two domains."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from feature_repo.arrow import arrow_schema
from feature_repo.define.column import EVENT_TIMESTAMP, KNOWN_AFTER, Type
from feature_repo.define.domain import Domain
from feature_repo.define.operation import AtLeast, Count, LastK, MeanStd, Operation, TopK
from feature_repo.define.role import Sequence as SequenceRole
from feature_repo.define.view import Over, View
from feature_repo.domains.movies import DOMAIN
from feature_repo.domains.movies.posters import STATISTICS
from feature_repo.spark import spark_schema
from pipelines.features import kernels
from pipelines.features.computation import computation, digest
from pipelines.features.pieces import STATE
from tests.feature_oracle import Movie, Rating, known_at_labels, movie_tables
from tests.generated_rows import Row, Rows, in_arrow, many_deliveries, sources_of
from tests.toy_domain import PRESS
from tests.view_rows import computed, seen_by_readers
from validation.audit.oracle import feature_rows, same

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
        name: (movie * 37 + position * 11) % 128 + position / 256 for position, name in enumerate(STATISTICS)
    }
    for movie in (1, 2, 4)
}
DOMAINS = pytest.mark.parametrize("domain", [DOMAIN, PRESS], ids=lambda domain: domain.name)


def instant(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def tables(
    ratings: Sequence[Rating],
    movies: Mapping[int, Movie] = MOVIES,
    posters: Mapping[int, Mapping[str, float]] = POSTERS,
) -> dict[str, pa.Table]:
    """The movies' source tables."""
    rows = movie_tables(ratings, movies, posters, instant)
    filled = {
        "movies": {"title": "Film"},
        "posters": {"file": "poster.jpg", "sha256": "", "width": 2, "height": 3},
    }
    return {
        table.name: pa.Table.from_pylist(
            [filled.get(table.name, {}) | row for row in rows[table.name]], arrow_schema(table)
        )
        for table in DOMAIN.sources
    }


def frames(spark: SparkSession, ratings: Sequence[Rating]) -> dict[str, DataFrame]:
    """The movies' source tables in Spark."""
    return {
        name: spark.createDataFrame(table, spark_schema(DOMAIN.tables[name]))
        for name, table in tables(ratings).items()
    }


def check(domain: Domain, sources: Mapping[str, Rows], found: Mapping[str, pa.Table]) -> None:
    """The rows of each view are those of the plain loop; key and instant are unique."""
    for view in domain.views:
        want = feature_rows(view, sources)
        assert found[view.name].num_rows == len(want), view.name
        for got, row in zip(seen_by_readers(view, found[view.name]), want, strict=True):
            got.pop(STATE, None)
            assert got.keys() == row.keys()
            for name, value in row.items():
                assert same(got[name], value), (view.name, name, got, row)


@DOMAINS
@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_jobs_equal_the_plain_loop(domain: Domain, data: st.DataObject) -> None:
    sources = data.draw(sources_of(domain))
    in_memory = in_arrow(domain, sources)
    check(domain, sources, {view.name: computed(view, in_memory) for view in domain.views})


@DOMAINS
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_the_newest_row_at_a_label_has_what_strictly_earlier_events_say(
    domain: Domain, data: st.DataObject
) -> None:
    sources = data.draw(sources_of(domain))
    in_memory = in_arrow(domain, sources)
    made = {view.name: seen_by_readers(view, computed(view, in_memory)) for view in domain.views}
    for label in known_at_labels(domain, sources):
        for view in domain.views:
            known = [
                row
                for row in made[view.name]
                if row[view.by.name] == label[view.by.name] and row[EVENT_TIMESTAMP] <= label[EVENT_TIMESTAMP]
            ]
            newest: Row = known[-1] if known else {}
            for column in view.columns:
                assert same(newest.get(column.name), label[column.name]), (view.name, column.name, label)


@DOMAINS
def test_spark_makes_the_very_rows_that_arrow_makes(spark: SparkSession, domain: Domain) -> None:
    sources = many_deliveries(domain, 7)[-1]
    found = {view.name: computed(view, sources, spark) for view in domain.views}
    check(domain, {name: table.to_pylist() for name, table in sources.items()}, found)
    for view in domain.views:
        assert seen_by_readers(view, found[view.name]) == seen_by_readers(view, computed(view, sources))


def rows(name: str, ratings: Sequence[Rating]) -> list[Row]:
    view = DOMAIN.view(name)
    return seen_by_readers(view, computed(view, tables(ratings)))


@pytest.mark.parametrize("name", [view.name for view in DOMAIN.views if not view.is_timeless])
def test_feature_row_is_known_one_microsecond_after_its_last_event(name: str) -> None:
    (row,) = rows(name, [Rating(1, 1, 4.0, 7)])
    assert row[EVENT_TIMESTAMP] == instant(7) + KNOWN_AFTER


def test_ratings_of_one_instant_count_together() -> None:
    ratings = [Rating(1, 1, 4.0, 7), Rating(1, 2, 5.0, 7), Rating(1, 3, 1.0, 7)]
    (row,) = rows("user_rating_stats", ratings)
    assert row["user_rating_count"] == 3
    assert row["user_rating_mean"] == (4.0 + 5.0 + 1.0) / 3
    (likes,) = rows("user_recent_likes", ratings)
    assert likes["user_recent_liked_movie_ids"] == [2, 1, 0, 0, 0]
    assert likes["user_recent_liked_genres"] == ["Drama", "Action|Comedy", "", "", ""]


def test_deviation_of_one_event_is_zero() -> None:
    (row,) = rows("user_poster_taste", [Rating(1, 1, 4.5, 7)])
    assert row["user_poster_count"] == 1
    assert all(row[f"user_poster_{name}_mean"] == POSTERS[1][name] for name in STATISTICS)
    assert all(row[f"user_poster_{name}_std"] == 0 for name in STATISTICS)


def read_otherwise(view: View, name: str, **how: Any) -> View:
    """A view whose events have another column of a name."""
    table = view.over.table
    columns = tuple(replace(c, **how) if c.name == name else c for c in table.columns)
    return replace(view, over=replace(view.over, table=replace(table, columns=columns)))


def test_a_view_that_is_computed_otherwise_is_told_by_another_word(monkeypatch: pytest.MonkeyPatch) -> None:
    stats, recent = PRESS.view("reader_stats"), PRESS.view("reader_recent")
    count, minutes, _, _, _, topics = stats.features
    assert isinstance(count, Count)
    assert isinstance(minutes, MeanStd)
    assert isinstance(topics, TopK)
    others = [
        stats,
        recent,
        replace(stats, features=(count, minutes)),
        replace(stats, features=(minutes, count)),
        replace(stats, features=(replace(count, column=replace(count.column, name="other")), minutes)),
        replace(stats, features=(count, replace(minutes, origin=1.0))),
        replace(stats, features=(count, replace(minutes, of="words"))),
        replace(stats, features=(replace(topics, where=None),)),
        replace(stats, features=(replace(topics, where=AtLeast("minutes", 4.0)),)),
        replace(stats, features=(replace(topics, column=replace(topics.column, length=3)),)),
        replace(stats, over=replace(stats.over, where=AtLeast("minutes", 3.0))),
        replace(stats, by=PRESS.view("article_stats").by),
        read_otherwise(stats, "minutes", step=0.5),
        read_otherwise(stats, "minutes", type=Type.INT64),
        replace(recent, features=tuple(spoken(feature, "+") for feature in recent.features)),
    ]
    words = [digest(view) for view in others]
    monkeypatch.setattr(kernels, "VERSION", kernels.VERSION + 1)
    words.append(digest(stats))
    assert len(set(words)) == len(words)
    assert {len(word) for word in words} == {16}
    monkeypatch.undo()
    assert digest(replace(stats, description="Told otherwise.")) == digest(stats)
    assert digest(read_otherwise(stats, "minutes", description="Told otherwise.")) == digest(stats)


def spoken(feature: Operation, separator: str) -> Operation:
    """The last k of something, with another separator."""
    assert isinstance(feature, LastK)
    role = SequenceRole("topic", separator)
    return replace(feature, column=replace(feature.column, role=role))


def test_lists_of_the_events_themselves_are_read() -> None:
    stats = PRESS.view("reader_stats")
    reads = replace(
        stats.over.table, columns=(*stats.over.table.columns, PRESS.tables["articles"].columns[0])
    )
    (topics,) = (feature for feature in stats.features if isinstance(feature, TopK))
    view = replace(stats, over=Over(reads), features=(replace(topics, where=None),))
    table = pa.table(
        {
            "reader_id": [1, 1],
            "article_id": ["a", "b"],
            "minutes": [1.0, 2.0],
            EVENT_TIMESTAMP: [instant(1), instant(2)],
            "topics": [["art"], ["art", "war"]],
        }
    )
    found = computed(view, {"reads": table.cast(arrow_schema(reads))})
    assert found.column("reader_top_topics").to_pylist() == [["art", ""], ["art", "war"]]


def test_facts_are_computed_from_no_events() -> None:
    with pytest.raises(ValueError, match="reader_profile: facts are not computed from events"):
        computation(PRESS.view("reader_profile"))
