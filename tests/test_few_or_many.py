# ruff: noqa: F811 (fixtures that another module has are named as arguments)
"""Where few rows end, and what becomes of many; many are given here to the executor of few."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from feature_repo.define.operation import AtLeast
from feature_repo.domains.movies import DOMAIN
from lake.tables import rows_of
from pipelines.features import in_arrow
from pipelines.features.computation import catalogue_columns
from pipelines.features.in_arrow import InArrow
from pipelines.features.incremental import oldest_seen
from pipelines.features.jobs import run_job
from pipelines.features.news import News, news_since, touched_keys
from tests.feature_oracle import Movie, Rating
from tests.raw_rows import no_spark
from tests.test_feature_jobs import MOVIES, tables
from tests.test_incremental import add, built, content, movies, run, stored, write  # noqa: F401

NAME = "user_rating_stats"
OTHERS = [Rating(2, 2, 5.0, 20), Rating(2, 3, 5.0, 20)]
FEW_OF = {
    "all events": ("lake.session.FEW", 1, [], {}),
    "new events": ("lake.session.FEW", 2, OTHERS, {}),
    "of a changed movie": ("lake.session.FEW", 1, [], {1: Movie(["War"], 1964)}),
    "new and changed": ("lake.session.FEW", 2, OTHERS, {1: Movie(["War"], 1964)}),
    "of late keys": ("pipelines.features.incremental.FEW_AGAIN", 2, [Rating(1, 2, 5.0, 5), *OTHERS], {}),
}


@pytest.mark.parametrize("what", FEW_OF)
def test_exactly_as_many_as_are_few_are_taken_in_without_spark(
    built: Path, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, few, ratings, told = FEW_OF[what]
    for most, raises in ((few, nullcontext()), (few - 1, pytest.raises(AssertionError, match="Spark"))):
        folder = Path(shutil.copytree(built, tmp_path / str(most)))
        if what == "all events":
            shutil.rmtree(folder / NAME)
        add(folder, ratings)
        if told:
            write(folder, {"movies": movies({**MOVIES, **told})})
        with monkeypatch.context() as patch, raises:
            patch.setattr(limit, most)
            run(no_spark, folder, NAME)


@contextmanager
def for_spark(
    _: Any, folder: Path, news: News, seen: Mapping[str, int], now: Mapping[str, int]
) -> Iterator[Any]:
    """The executor of few rows, as if it were Spark's."""
    events = rows_of(folder, "ratings", now["ratings"])
    yield InArrow(news, events, rows_of(folder, NAME) if seen else None, 10**9, 10**9)


def test_many_rows_are_appended_to_a_table_or_replace_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lake.session.FEW", -1)
    monkeypatch.setattr("pipelines.features.in_spark.in_spark", for_spark)
    monkeypatch.setattr("pipelines.features.in_spark.write", in_arrow.write)
    write(tmp_path, tables([Rating(1, 1, 4.0, 10)]))

    def start() -> Any:
        return None

    assert run(start, tmp_path, NAME, 1).how == "rebuilt"
    add(tmp_path, [Rating(1, 2, 5.0, 5)])
    done = run(start, tmp_path, NAME, 2)
    assert (done.how, done.rows, done.new_events, done.late_keys) == ("updated", 2, 1, 1)
    assert [row["user_rating_count"] for row in content(tmp_path, NAME)] == [1, 2]
    assert stored(tmp_path, NAME).num_rows == 3
    assert run_job(start, tmp_path, DOMAIN, NAME, full=True).rows == 2
    assert stored(tmp_path, NAME).num_rows == 2


def test_the_table_furthest_behind_tells_what_was_seen(built: Path, tmp_path: Path) -> None:
    assert oldest_seen(tmp_path, DOMAIN, "ratings") is None
    folder = Path(shutil.copytree(built, tmp_path / "lake"))
    assert oldest_seen(folder, DOMAIN, "ratings") == 0
    add(folder, [Rating(1, 2, 5.0, 20)])
    run(no_spark, folder, NAME)
    assert oldest_seen(folder, DOMAIN, "ratings") == 0
    shutil.rmtree(folder / "movie_rating_stats")
    for view in DOMAIN.views_over("ratings"):
        run(no_spark, folder, view.name)
    assert oldest_seen(folder, DOMAIN, "ratings") == 1


def test_a_catalogue_rewritten_without_a_change_is_no_news(built: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(built, tmp_path / "lake"))
    write(folder, {"movies": movies(dict(reversed(MOVIES.items())))})
    view = DOMAIN.view(NAME)
    news = news_since(folder, view, {"ratings": 0, "movies": 0}, {"ratings": 0, "movies": 1})
    assert news is not None
    assert news.touched is None


def test_a_changed_row_that_decides_what_counts_is_found_wherever_it_stands() -> None:
    view = DOMAIN.view(NAME)
    view = replace(view, over=replace(view.over, where=AtLeast("release_year", 1990)))
    columns = catalogue_columns(view)
    before = movies(MOVIES).select(columns)
    for movie in MOVIES:
        after = movies({**MOVIES, movie: Movie(["War"], 1964)}).select(columns)
        assert touched_keys(view, before, after) is None
    new = movies({99: Movie(["War"], 1964), **MOVIES}).select(columns)
    touched = touched_keys(view, before, new)
    assert touched is not None
    assert touched.to_pylist() == [99]
    assert touched_keys(view, new, before) is None
