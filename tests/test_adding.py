"""Adding a source to the lake: the new is appended, the known left, what contradicts refused."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from common.errors import MarqueeError
from feature_repo.arrow import arrow_schema, arrow_schema_of
from feature_repo.define.table import QUARANTINE, QUARANTINE_COLUMNS
from feature_repo.domains.movies import DOMAIN
from feature_repo.spark import spark_schema
from lake import spark_tables, tables
from lake.journal import JOURNAL, all_or_none, roll_back
from lake.session import StartSpark
from pipelines.features.jobs import run_job
from pipelines.ingest import TableReport, add, add_events, ingest
from pipelines.sources.movielens import read_movielens
from pipelines.sources.readings import instant, number, text, whole_number, words
from pipelines.sources.source import Source
from tests.raw_rows import ENGINES, engine_named, no_spark, raw, table_rows
from tests.toy_domain import PRESS

RATINGS = ["1,1,4.0,900000000", "1,2,3.0,900000060", "2,1,2.5,900000120"]


def movielens(folder: Path, ratings: list[str], movies: tuple[int, ...] = (1, 2)) -> Path:
    folder.mkdir()
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *ratings]) + "\n")
    lines = [f"{movie},Film {movie} (1999),Drama" for movie in movies]
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *lines]) + "\n")
    return folder


@pytest.fixture
def grown(tmp_path: Path) -> Path:
    """A folder with a lake, and a source to be added to it."""
    ingest(no_spark, read_movielens(movielens(tmp_path / "first", RATINGS)), tmp_path / "lake", DOMAIN)
    more = [RATINGS[0], "1,2,5.0,900000060", "1,3,4.5,900000180", "2,9,4.0,900000240"]
    movielens(tmp_path / "more", more, (1, 2, 3))
    return tmp_path


def assert_accounted(report: TableReport) -> None:
    assert report.read == report.accepted + report.quarantined + report.known + report.changed
    assert report.quarantined == sum(report.by_rule.values())


def test_added_rows_are_accepted_known_or_quarantined(grown: Path) -> None:
    for place in range(2):
        report = add(no_spark, read_movielens(grown / "more"), grown / "lake", DOMAIN)
        found = report.tables["ratings"]
        new = 1 if place == 0 else 0
        assert (found.read, found.accepted, found.known, found.quarantined) == (4, new, 2 - new, 2)
        assert found.by_rule == {"movie_id_in_movies": 1, "ratings_are_unique": 1}
        assert_accounted(found)
    assert report.tables["movies"].known == 3
    rows = sorted(table_rows(grown / "lake", "ratings"), key=lambda r: (r["user_id"], r["movie_id"]))
    assert [(row["user_id"], row["movie_id"], row["rating"]) for row in rows] == [
        (1, 1, 4.0),
        (1, 2, 3.0),
        (1, 3, 4.5),
        (2, 1, 2.5),
    ]
    quarantine = table_rows(grown / "lake", QUARANTINE)
    refused = {row["rule"]: row for row in quarantine}
    assert len(refused) == len(quarantine) == 2, "refused once each"
    contradiction = refused["ratings_are_unique"]
    assert contradiction["reason"] == "the lake has it with 3.0 stars"
    assert (contradiction["source"].endswith("more/ratings.csv"), contradiction["row"]) == (True, 3)


@pytest.mark.spark
def test_few_rows_and_many_are_added_alike(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Ratings known, contradicted, repeated, unreadable and of unknown movies, twice over."""
    drawn = np.random.default_rng(5)
    ratings = [
        f"{user},{movie},{stars if stars else 'x'},{900_000_000 + second if second else ''}"
        for user, movie, stars, second in drawn.integers((1, 1, 0, 0), (6, 6, 5, 8), (120, 4))
    ]
    first = movielens(tmp_path / "first", ratings[:40], (1, 2, 3))
    more = movielens(tmp_path / "more", ratings[30:], (3, 4))
    with (more / "movies.csv").open("a") as file:
        file.write("2,Renamed (1990),Comedy\n")
    ingest(no_spark, read_movielens(first), tmp_path / "lake", DOMAIN)
    found = {}
    for name in ENGINES:
        folder = tmp_path / f"lake {name}"
        shutil.copytree(tmp_path / "lake", folder)
        with engine_named(name, request) as start:
            reports = [add(start, read_movielens(more), folder, DOMAIN) for _ in range(2)]
        rows = {
            table: sorted(map(str, table_rows(folder, table))) for table in ("ratings", "movies", QUARANTINE)
        }
        found[name] = [[report.tables for report in reports], rows]
    (in_memory, memory_tables), (by_spark, spark_tables) = found.values()
    assert in_memory == by_spark
    assert memory_tables == spark_tables
    assert by_spark[0]["ratings"].accepted > by_spark[1]["ratings"].accepted == 0
    assert (by_spark[0]["movies"].changed, by_spark[1]["movies"].changed) == (1, 0)
    assert len(by_spark[0]["ratings"].by_rule) > 3, "rules of several kinds were broken"


# --- a catalogue that changed ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "movie"),
    [
        ("2,Film 2 (1999),Comedy|Drama", ("Film 2", ["Comedy", "Drama"], 1999)),
        ("2,Film two (1999),Drama", ("Film two", ["Drama"], 1999)),
        ("2,Film 2 (1998),Drama", ("Film 2", ["Drama"], 1998)),
        ("2,Film 2,(no genres listed)", ("Film 2", [], None)),
    ],
)
def test_changed_movie_replaces_the_one_that_is_there(grown: Path, line: str, movie: tuple[Any, ...]) -> None:
    """Movies 1 and 3 stay, though the source that is added has only one of them."""
    lake = grown / "lake"
    add(no_spark, read_movielens(grown / "more"), lake, DOMAIN)
    before = tables.newest_version(lake, "ratings")
    changed = movielens(grown / "changed", RATINGS[:1], (1,))
    (changed / "movies.csv").write_text(f"movieId,title,genres\n1,Film 1 (1999),Drama\n{line}\n")
    report = add(no_spark, read_movielens(changed), lake, DOMAIN).tables
    found = report["movies"]
    assert (found.read, found.accepted, found.changed, found.known) == (2, 0, 1, 1)
    rows = {row["movie_id"]: row for row in table_rows(lake, "movies")}
    assert sorted(rows) == [1, 2, 3]
    assert (rows[2]["title"], rows[2]["genres"], rows[2]["release_year"]) == movie
    assert rows[1]["title"] == "Film 1"
    assert tables.newest_version(lake, "ratings") == before, "no commit of nothing"
    again = add(no_spark, read_movielens(changed), lake, DOMAIN).tables["movies"]
    assert (again.changed, again.known) == (0, 2)


def test_features_follow_a_changed_catalogue(grown: Path) -> None:
    lake = grown / "lake"
    names = ("movie_content", "user_rating_stats")
    for name in names:
        run_job(no_spark, lake, DOMAIN, name)
    changed = movielens(grown / "changed", RATINGS[:1], (1,))
    (changed / "movies.csv").write_text("movieId,title,genres\n1,Film 1 (1979),Comedy\n")
    add(no_spark, read_movielens(changed), lake, DOMAIN)
    for name in names:
        run_job(no_spark, lake, DOMAIN, name)
    content = max(
        (row for row in table_rows(lake, "movie_content") if row["movie_id"] == 1),
        key=lambda row: row["created_timestamp"],
    )
    assert content["movie_genres"] == ["Comedy"]
    newest = max(
        (row for row in table_rows(lake, "user_rating_stats") if row["user_id"] == 2),
        key=lambda row: (row["event_timestamp"], row["created_timestamp"]),
    )
    assert newest["user_release_year_mean"] == 1979


# --- all tables or none ------------------------------------------------------------------------------------

DYING = """
import os, sys
from pathlib import Path
from feature_repo.domains.movies import DOMAIN
from feature_repo.spark import spark_schema
from lake import spark_tables, tables
from pipelines.ingest import add, ingest
from pipelines.sources.movielens import read_movielens

how, folder, lake, last = sys.argv[1:]
written = 0

def dying(write):
    def wrapped(rows, lake, name, metadata=""):
        global written
        if written == int(last):
            os._exit(9)
        write(rows, lake, name, metadata)
        written += 1
    return wrapped

tables.overwrite, tables.append = dying(tables.overwrite), dying(tables.append)
step = {"ingest": ingest, "add": add}[how]
step(None, read_movielens(Path(folder)), Path(lake), DOMAIN)
"""


def dies(how: str, folder: Path, lake: Path, after: int) -> bool:
    """Whether ingest, run by itself and killed after so many writes, came that far."""
    command = [sys.executable, "-c", DYING, how, str(folder), str(lake), str(after)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode in (0, 9), done.stderr
    return done.returncode == 9


def state(lake: Path) -> dict[str, list[str]]:
    names = [*(table.name for table in DOMAIN.sources), QUARANTINE]
    return {name: sorted(map(str, table_rows(lake, name))) for name in names}


@pytest.mark.process
@pytest.mark.parametrize("how", ["ingest", "add"])
@pytest.mark.parametrize("after", [0, 1, 2, 4])
def test_ingest_that_is_killed_between_tables_leaves_one_source(grown: Path, how: str, after: int) -> None:
    lake = grown / "lake"
    before = state(lake)
    if not dies(how, grown / "more", lake, after):
        assert how == "add", "an ingest writes five tables"
        return
    assert (lake / JOURNAL).exists()
    if after:
        assert state(lake) != before, "something had been written"
    assert roll_back(lake)
    assert state(lake) == before
    assert not roll_back(lake), "once is enough"
    whole = grown / "whole"
    shutil.copytree(lake, whole)
    step = {"ingest": ingest, "add": add}[how]
    assert dies(how, grown / "more", lake, after)
    step(no_spark, read_movielens(grown / "more"), lake, DOMAIN)
    step(no_spark, read_movielens(grown / "more"), whole, DOMAIN)
    assert state(lake) == state(whole), "the next command starts from one source"
    assert not (lake / JOURNAL).exists()


@pytest.mark.process
@pytest.mark.parametrize("after", [0, 1, 2, 4])
def test_first_ingest_that_is_killed_leaves_no_table(tmp_path: Path, after: int) -> None:
    folder, lake = movielens(tmp_path / "first", RATINGS), tmp_path / "lake"
    assert dies("ingest", folder, lake, after)
    assert roll_back(lake)
    assert not any(tables.exists(lake, table.name) for table in DOMAIN.sources)
    ingest(no_spark, read_movielens(folder), lake, DOMAIN)
    assert len(table_rows(lake, "ratings")) == 3


def test_an_error_between_tables_undoes_what_was_written(grown: Path) -> None:
    lake = grown / "lake"
    before = state(lake)
    with pytest.raises(RuntimeError, match="full"), all_or_none(lake, ["movies", "ratings"]):
        tables.overwrite(pa.Table.from_pylist([], arrow_schema(DOMAIN.tables["movies"])), lake, "movies")
        raise RuntimeError("the disk is full")
    assert state(lake) == before
    assert not (lake / JOURNAL).exists()


def test_spark_reads_and_writes_what_was_undone(grown: Path, spark: SparkSession) -> None:
    lake, columns = grown / "lake", spark_schema(DOMAIN.tables["ratings"])
    rows, place = table_rows(lake, "ratings"), str(lake / "ratings")
    frame = spark.read.format("delta").load(place).limit(1)
    one = frame.toArrow().cast(arrow_schema(DOMAIN.tables["ratings"]))
    for write in (
        lambda: tables.overwrite(one, lake, "ratings"),
        lambda: spark_tables.overwrite(frame, lake, "ratings", columns),
    ):
        with pytest.raises(RuntimeError, match="full"), all_or_none(lake, ["ratings"]):
            write()
            assert len(table_rows(lake, "ratings")) == 1
            raise RuntimeError("the disk is full")
        assert spark.read.format("delta").load(place).count() == len(rows)
    spark_tables.append(spark.createDataFrame(one), lake, "ratings", columns)
    assert len(table_rows(lake, "ratings")) == len(rows) + 1


@pytest.mark.process
def test_roll_back_that_is_killed_goes_on_with_the_next(grown: Path) -> None:
    """The journal is removed last, and a table that is as it was is left alone."""
    lake = grown / "lake"
    before = state(lake)
    assert dies("ingest", grown / "more", lake, 3)
    journal = (lake / JOURNAL).read_text()
    assert roll_back(lake)
    (lake / JOURNAL).write_text(journal)  # as if it had been killed before this
    assert roll_back(lake)
    assert state(lake) == before
    assert set(json.loads(journal)) == {*(table.name for table in DOMAIN.sources), QUARANTINE}


@pytest.mark.parametrize("said", ["", "[]", '{"ratings": "1"}', '{"../ratings": null}', "[" * 200_000])
def test_a_journal_that_is_none_is_one_sentence(grown: Path, said: str) -> None:
    before = state(grown / "lake")
    (grown / "lake" / JOURNAL).write_text(said)
    with pytest.raises(MarqueeError, match=r"cannot be undone \(.+\): remove .*unfinished"):
        roll_back(grown / "lake")
    assert state(grown / "lake") == before


# --- another domain ----------------------------------------------------------------------------------------

PRESS_READINGS = {
    "articles": (text("article_id"), words("topics", separator=";"), whole_number("words"), text("section")),
    "readers": (whole_number("reader_id"), text("country"), whole_number("age")),
    "reads": (
        whole_number("reader_id"),
        text("article_id"),
        number("minutes"),
        instant("event_timestamp", "timestamp"),
    ),
}
ARTICLES = [
    ("a-1", "war; peace;war", "900", "world"),
    ("a-2", "", "", ""),
    ("", "x", "5", ""),
    ("a-1", "", "", ""),
]
READERS = [("1", "DE", "40"), ("2.0", " ", ""), ("x", "FR", "3"), ("3", "FR", "200")]
READS = [
    ("1", "a-1", "2.5", "964982703"),
    ("2", "a-2", "30", "964982704"),
    ("1", "a-9", "30", "964982704"),
    ("1", "a-1", "700", "964982705"),
    ("1", "a-1", "9", "964982703"),
]


def press(*left_out: str, **rows: list[tuple[str, ...]]) -> Source:
    chosen = {"articles": ARTICLES, "readers": READERS, "reads": READS} | rows
    raws = {
        name: raw(chosen[name], readings, source=name)
        for name, readings in PRESS_READINGS.items()
        if name not in left_out
    }
    return Source("press", "articles and readers", raws)


def test_another_domain_goes_through_ingest_and_add(tmp_path: Path) -> None:
    """Readers and articles, with words for keys, a profile and a scalar category."""
    report = ingest(no_spark, press(), tmp_path, PRESS).tables
    assert list(report) == ["articles", "reads", "readers"]
    assert report["articles"].by_rule == {"article_id_is_present": 1, "articles_are_unique": 1}
    assert report["readers"].by_rule == {"age_in_range": 1, "reader_id_is_number": 1}
    assert report["reads"].by_rule == {
        "article_id_in_articles": 1,
        "minutes_in_range": 1,
        "reads_are_unique": 1,
    }
    articles = {row.pop("article_id"): row for row in table_rows(tmp_path, "articles")}
    assert articles == {
        "a-1": {"topics": ["peace", "war"], "words": 900, "section": "world"},
        "a-2": {"topics": [], "words": None, "section": None},
    }
    readers = {row.pop("reader_id"): row for row in table_rows(tmp_path, "readers")}
    assert readers == {1: {"country": "DE", "age": 40}, 2: {"country": None, "age": None}}
    assert len(table_rows(tmp_path, "reads")) == 2
    reasons = {row["rule"]: row["reason"] for row in table_rows(tmp_path, QUARANTINE)}
    assert reasons["article_id_in_articles"] == "article a-9 is not in the catalogue"
    assert reasons["minutes_in_range"] == "minutes is outside [0, 600]: 700.0"

    more = press(
        "readers",
        articles=[("a-2", "cats", "10", "home"), ("a-3", "", "", "")],
        reads=[("1", "a-3", "5", "964982800"), ("1", "a-1", "2.75", "964982703"), READS[1]],
    )
    report = add(no_spark, more, tmp_path, PRESS).tables
    assert list(report) == ["articles", "reads"]
    assert (report["articles"].accepted, report["articles"].changed) == (1, 1)
    reads = report["reads"]
    assert (reads.accepted, reads.known, reads.quarantined) == (1, 1, 1)
    assert reads.reasons == ("the lake has it with 2.5 minutes",)
    assert len(table_rows(tmp_path, "readers")) == 2

    taken = add_events(no_spark, more.tables["reads"], tmp_path, PRESS)
    assert (taken.accepted, taken.known, taken.quarantined) == (0, 2, 1)


def test_tables_are_stored_as_they_are_declared(start: StartSpark, tmp_path: Path) -> None:
    ingest(start, press(), tmp_path, PRESS)
    expected = {table.name: arrow_schema(table) for table in PRESS.sources}
    expected[QUARANTINE] = arrow_schema_of(QUARANTINE_COLUMNS)
    for name, schema in expected.items():
        assert tables.open_table(tmp_path, name).to_pyarrow_table().schema.equals(schema), name
        properties = tables.open_table(tmp_path, name).metadata().configuration
        assert properties["delta.enableChangeDataFeed"] == "true"
