"""What feature jobs do with what is new in a lake: in time or late, catalogues, damage, much to do."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from common.errors import MarqueeError
from feature_repo.define.column import CREATED_TIMESTAMP, EVENT_TIMESTAMP
from feature_repo.define.domain import Domain
from feature_repo.define.operation import AtLeast
from feature_repo.define.view import View
from feature_repo.domains.movies import DOMAIN
from lake import tables as lake
from lake.session import StartSpark
from pipelines.features.jobs import job_names, run_job
from pipelines.features.pieces import STATE
from pipelines.features.update import Update
from tests.feature_oracle import Movie, Rating
from tests.marquee import ROOT
from tests.raw_rows import no_spark
from tests.test_feature_jobs import MOVIES, START, instant, tables
from tests.toy_domain import PRESS
from tests.view_rows import seen_by_readers

NOW = START + timedelta(days=9000)


@pytest.fixture(params=["arrow", "spark"])
def start(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> StartSpark:
    """Starts Spark: never for few rows, always where none are few."""
    if request.param == "arrow":
        return no_spark
    spark = request.getfixturevalue("spark")
    monkeypatch.setattr("lake.session.FEW", -1)
    return lambda: spark


def content(folder: Path, name: str, domain: Domain = DOMAIN) -> list[dict[str, Any]]:
    """What readers see of a feature table, in order."""
    view = domain.view(name)
    return seen_by_readers(view, stored(folder, name).select(view.table.column_names))


def stored(folder: Path, name: str) -> pa.Table:
    return lake.open_table(folder, name).to_pyarrow_table()


def add(folder: Path, ratings: Sequence[Rating]) -> None:
    """Append ratings to a lake."""
    lake.append(tables(ratings)["ratings"], folder, "ratings")


def write(folder: Path, sources: Mapping[str, pa.Table]) -> None:
    for name, rows in sources.items():
        lake.overwrite(rows, folder, name)


def run(start: StartSpark, folder: Path, name: str, hours: int = 1, domain: Domain = DOMAIN) -> Update:
    return run_job(start, folder, domain, name, created=NOW + timedelta(hours=hours))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake in which user 1 liked movie 1 at second 10, its tables built."""
    folder = tmp_path_factory.mktemp("built")
    write(folder, tables([Rating(1, 1, 4.0, 10)]))
    for name in job_names(DOMAIN):
        assert run(no_spark, folder, name, 0).how == "rebuilt"
    return folder


@pytest.fixture
def one_user(built: Path, tmp_path: Path) -> Path:
    """That lake, to be changed."""
    return Path(shutil.copytree(built, tmp_path / "lake"))


def test_events_in_time_go_on_from_the_state(start: StartSpark, one_user: Path) -> None:
    add(one_user, [Rating(1, 2, 5.0, 20)])
    done = run(start, one_user, "user_rating_stats")
    assert done == Update("user_rating_stats", "updated", rows=1, new_events=1, late_keys=0)
    assert [row["user_rating_count"] for row in content(one_user, "user_rating_stats")] == [1, 2]


def test_a_row_that_others_wrote_is_not_gone_on_from(one_user: Path) -> None:
    name, said = "user_rating_stats", lake.said_of(one_user, "user_rating_stats")
    (row,) = stored(one_user, name).to_pylist()
    others = row | {STATE: None, EVENT_TIMESTAMP: instant(15), "user_rating_count": 99}
    lake.append(pa.Table.from_pylist([others], stored(one_user, name).schema), one_user, name, said)
    add(one_user, [Rating(1, 2, 5.0, 20)])
    assert run(no_spark, one_user, name).late_keys == 0
    assert [row["user_rating_count"] for row in content(one_user, name)] == [1, 99, 2]


def test_nothing_new_writes_nothing(start: StartSpark, one_user: Path) -> None:
    for name in job_names(DOMAIN):
        assert run(start, one_user, name) == Update(name, "nothing new", 0)
        assert lake.newest_version(one_user, name) == 0


def test_late_event_corrects_the_instants_after_it_and_keeps_what_was_known(
    start: StartSpark, one_user: Path
) -> None:
    add(one_user, [Rating(1, 2, 5.0, 5)])
    done = run(start, one_user, "user_rating_stats")
    assert (done.how, done.rows, done.late_keys) == ("updated", 2, 1)
    now = content(one_user, "user_rating_stats")
    assert [row["user_rating_count"] for row in now] == [1, 2]
    assert [row["user_rating_first_at"] for row in now] == [instant(5)] * 2
    (before,) = [
        row for row in stored(one_user, "user_rating_stats").to_pylist() if row[CREATED_TIMESTAMP] <= NOW
    ]
    assert before["user_rating_first_at"] == instant(10)
    assert before["user_rating_count"] == 1


def test_late_event_that_changes_nothing_later_adds_only_its_own_row(
    start: StartSpark, one_user: Path
) -> None:
    add(one_user, [Rating(1, movie, 4.0, 10 + movie) for movie in (2, 3, 4, 5)])
    add(one_user, [Rating(1, 1, 4.5, 30)])
    run(start, one_user, "user_recent_likes", 1)
    add(one_user, [Rating(1, 2, 5.0, 1)])
    done = run(start, one_user, "user_recent_likes", 2)
    # Its own, and those that list fewer than five likes or reach back to it: at seconds 10, 12, 13 and 14.
    assert done.rows == 5
    add(one_user, [Rating(1, 3, 1.0, 2)])
    done = run(start, one_user, "user_recent_likes", 3)
    assert (done.how, done.rows) == ("updated", 0), "a dislike changes no list"


def test_rewritten_events_are_computed_in_full(start: StartSpark, one_user: Path) -> None:
    write(one_user, {"ratings": tables([Rating(1, 1, 2.0, 10)])["ratings"]})
    assert run(start, one_user, "user_rating_stats").how == "rebuilt"
    (row,) = content(one_user, "user_rating_stats")
    assert row["user_rating_mean"] == 2.0


def test_table_of_other_columns_is_computed_in_full(start: StartSpark, one_user: Path) -> None:
    before, said = stored(one_user, "user_rating_stats"), lake.said_of(one_user, "user_rating_stats")
    lake.overwrite(before.drop_columns(["user_rating_first_at"]), one_user, "user_rating_stats", said)
    assert run(start, one_user, "user_rating_stats").how == "rebuilt"
    (row,) = content(one_user, "user_rating_stats")
    assert row["user_rating_first_at"] == instant(10)


def otherwise(view: View) -> View:
    """A view of the same columns that are computed otherwise."""
    return replace(view, over=replace(view.over, where=AtLeast("rating", 4.5)))


def test_table_that_was_computed_otherwise_is_computed_in_full(start: StartSpark, one_user: Path) -> None:
    name = "user_rating_stats"
    views = tuple(otherwise(view) if view.name == name else view for view in DOMAIN.views)
    domain = replace(DOMAIN, views=views, services={})
    assert run(start, one_user, name, domain=domain).how == "rebuilt"
    assert content(one_user, name, domain) == [], "no rating is as high"
    of_others = stored(one_user, name)
    assert run(start, one_user, name).how == "rebuilt"
    lake.overwrite(of_others, one_user, name, json.dumps({"seen": {"ratings": 0, "movies": 0}}))
    assert run(start, one_user, name).how == "rebuilt", "a table that says not how it was computed"
    assert len(content(one_user, name)) == 1


def test_what_only_people_read_makes_no_table_anew(start: StartSpark, one_user: Path) -> None:
    views = tuple(replace(view, description="Told otherwise.") for view in DOMAIN.views)
    domain = replace(DOMAIN, views=views, services={})
    for name in job_names(domain):
        assert run(start, one_user, name, domain=domain).how == "nothing new"


# --- a catalogue that changes -----------------------------------------------------------------------------


def movies(told: Mapping[int, Movie]) -> pa.Table:
    return tables([], told)["movies"]


def test_a_movie_that_nobody_rated_changes_no_user(start: StartSpark, one_user: Path) -> None:
    lake.append(movies({99: Movie(["War"], 1999)}), one_user, "movies")
    done = run(start, one_user, "user_rating_stats")
    assert done == Update("user_rating_stats", "updated", rows=0)
    done = run(start, one_user, "movie_content")
    assert done == Update("movie_content", "updated", rows=1)


def test_events_count_once_their_catalogue_row_is_there(start: StartSpark, one_user: Path) -> None:
    add(one_user, [Rating(1, 99, 4.0, 5), Rating(1, 1, 4.0, 20)])
    assert run(start, one_user, "user_rating_stats", 1).rows == 1
    lake.append(movies({99: Movie(["War"], 1999)}), one_user, "movies")
    done = run(start, one_user, "user_rating_stats", 2)
    assert (done.how, done.rows, done.new_events, done.late_keys) == ("updated", 3, 0, 1)
    assert [row["user_rating_count"] for row in content(one_user, "user_rating_stats")] == [1, 2, 3]


def test_a_changed_catalogue_row_corrects_what_depends_on_it(start: StartSpark, one_user: Path) -> None:
    add(one_user, [Rating(2, 2, 4.0, 20)])
    run(start, one_user, "user_rating_stats", 1)
    write(one_user, {"movies": movies({**MOVIES, 1: Movie(["War"], 1964)})})
    done = run(start, one_user, "user_rating_stats", 2)
    assert done == Update("user_rating_stats", "updated", rows=1, late_keys=1), "of user 1 only"
    one, other = content(one_user, "user_rating_stats")
    assert (one["user_release_year_mean"], one["user_top_genres"]) == (1964.0, ["War", "", ""])
    assert other["user_top_genres"] == ["Drama", "", ""]
    done = run(start, one_user, "movie_content", 2)
    assert done == Update("movie_content", "updated", rows=1)
    facts_of_one = [row for row in stored(one_user, "movie_content").to_pylist() if row["movie_id"] == 1]
    assert sorted(row["movie_release_year"] for row in facts_of_one) == [1964, 1994], "what was known stays"
    assert content(one_user, "movie_content")[0]["movie_release_year"] == 1964


def test_a_changed_catalogue_row_corrects_totals_that_no_feature_shows(
    start: StartSpark, one_user: Path
) -> None:
    both, dramas, war = (Movie(genres, 1990) for genres in (["Comedy", "Drama"], ["Drama"], ["War"]))
    told = {1: both, 2: both, 3: dramas, 4: war, 5: war}
    write(one_user, tables([Rating(1, movie, 4.0, 10 * movie) for movie in (1, 2, 3)], told))
    run(start, one_user, "user_rating_stats", 1)
    write(one_user, {"movies": movies({**told, 2: dramas})})
    run(start, one_user, "user_rating_stats", 2)
    assert content(one_user, "user_rating_stats")[-1]["user_top_genres"] == ["Drama", "Comedy", ""], (
        "as before"
    )
    add(one_user, [Rating(1, 4, 4.0, 40), Rating(1, 5, 4.0, 50)])
    assert run(start, one_user, "user_rating_stats", 3).late_keys == 0
    assert content(one_user, "user_rating_stats")[-1]["user_top_genres"] == ["Drama", "War", "Comedy"]


def test_a_catalogue_rewritten_without_a_change_adds_nothing(start: StartSpark, one_user: Path) -> None:
    write(one_user, {"movies": movies(dict(reversed(MOVIES.items())))})
    for name in ("user_rating_stats", "user_recent_likes", "movie_content"):
        assert run(start, one_user, name) == Update(name, "updated", rows=0)


def test_what_a_view_does_not_read_of_a_catalogue_touches_nothing(one_user: Path) -> None:
    told = movies(MOVIES)
    titles = pa.array(["Another"] * told.num_rows)
    write(one_user, {"movies": told.set_column(told.column_names.index("title"), "title", titles)})
    assert run(no_spark, one_user, "user_rating_stats") == Update("user_rating_stats", "updated", rows=0)


def test_a_catalogue_row_that_left_makes_the_table_anew(start: StartSpark, one_user: Path) -> None:
    write(one_user, {"movies": movies({movie: told for movie, told in MOVIES.items() if movie != 1})})
    for name in ("user_rating_stats", "movie_content"):
        assert run(start, one_user, name).how == "rebuilt"
    assert content(one_user, "user_rating_stats") == []
    assert [row["movie_id"] for row in content(one_user, "movie_content")] == [2, 3, 4, 5]


def test_an_old_catalogue_that_cannot_be_read_any_more_makes_the_table_anew(
    start: StartSpark, one_user: Path
) -> None:
    old = lake.open_table(one_user, "movies").files()
    write(one_user, {"movies": movies({**MOVIES, 1: Movie(["War"], 1964)})})
    for file in old:
        (one_user / "movies" / file).unlink()
    assert run(start, one_user, "user_rating_stats").how == "rebuilt"


def test_a_condition_on_a_changed_catalogue_row_makes_the_table_anew(
    start: StartSpark, one_user: Path
) -> None:
    view = DOMAIN.view("user_rating_stats")
    modern = replace(view, name="modern", over=replace(view.over, where=AtLeast("release_year", 1990)))
    domain = replace(DOMAIN, views=(modern,), services={})
    run(start, one_user, "modern", domain=domain)
    assert len(content(one_user, "modern", domain)) == 1
    lake.append(movies({99: Movie(["War"], 1999)}), one_user, "movies")
    assert run(start, one_user, "modern", domain=domain).how == "updated"
    write(one_user, {"movies": movies({**MOVIES, 1: Movie(["War"], 1964), 99: Movie(["War"], 1999)})})
    assert run(start, one_user, "modern", domain=domain).how == "rebuilt"
    assert content(one_user, "modern", domain) == []


# --- data that are gone, and much to do -------------------------------------------------------------------


def lose(folder: Path, name: str) -> None:
    for file in lake.open_table(folder, name).files():
        (folder / name / file).unlink()


@pytest.mark.parametrize("name", ["user_rating_stats", "movie_content"])
def test_a_table_whose_files_are_gone_is_named_with_what_mends_it(
    start: StartSpark, one_user: Path, name: str
) -> None:
    lose(one_user, name)
    with pytest.raises(MarqueeError, match=rf"Table {name} in .* is gone\): .*pipeline run --full {name}"):
        run(start, one_user, name)
    assert run_job(start, one_user, DOMAIN, name, full=True).how == "rebuilt"
    assert run(start, one_user, name).how == "nothing new"


def test_a_source_whose_files_are_gone_is_named(start: StartSpark, one_user: Path) -> None:
    lose(one_user, "ratings")
    for full in (False, True):
        with pytest.raises(MarqueeError, match=r"Table ratings in .* is gone\): .*pipeline ingest"):
            run_job(start, one_user, DOMAIN, "user_rating_stats", full)


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match="There is no table ratings"):
        run(no_spark, tmp_path, "user_rating_stats")


def test_an_unknown_job_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(MarqueeError, match="did you mean user_rating_stats"):
        job_names(DOMAIN, ["user_rating_stat"])
    assert job_names(PRESS) == [view.name for view in PRESS.views]
    assert job_names(DOMAIN, ["user_rating_stats", "movie_content"]) == ["user_rating_stats", "movie_content"]


@pytest.mark.parametrize(
    ("limit", "ratings"),
    [
        ("lake.session.FEW", [Rating(1, 2, 5.0, 20), Rating(2, 2, 5.0, 20), Rating(2, 3, 5.0, 21)]),
        ("pipelines.features.incremental.FEW_AGAIN", [Rating(1, 2, 5.0, 5), Rating(1, 3, 5.0, 6)]),
    ],
)
def test_much_to_do_is_done_by_spark(
    spark: SparkSession,
    tmp_path: Path,
    limit: str,
    ratings: list[Rating],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More new events, or more events of late keys, than may be taken in without."""
    write(tmp_path, tables([Rating(1, 1, 4.0, 10)]))
    run(no_spark, tmp_path, "user_rating_stats")
    monkeypatch.setattr(limit, 2)
    add(tmp_path, ratings)
    started = []

    def start() -> SparkSession:
        started.append(limit)
        return spark

    assert run(start, tmp_path, "user_rating_stats", 2).how == "updated"
    assert started == [limit]
    updated = content(tmp_path, "user_rating_stats")
    run_job(start, tmp_path, DOMAIN, "user_rating_stats", full=True)
    assert content(tmp_path, "user_rating_stats") == updated


@pytest.mark.process
def test_few_rows_need_neither_spark_nor_its_modules(tmp_path: Path) -> None:
    write(tmp_path, tables([Rating(1, 1, 4.0, 10)]))
    check = (
        "import sys\nfrom pathlib import Path\nfrom feature_repo.domains.movies import DOMAIN\n"
        "from pipelines.features.jobs import job_names, run_job\n"
        "def no_spark(): raise AssertionError('Spark was started')\n"
        "done = [run_job(no_spark, Path(sys.argv[1]), DOMAIN, name).how for name in job_names(DOMAIN)]\n"
        'sys.exit(f\'{done} {sorted({"pyspark", "feast", "keras"} & set(sys.modules))}\')'
    )
    done = subprocess.run(
        [sys.executable, "-c", check, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == f"{['rebuilt'] * len(DOMAIN.views)} []"
