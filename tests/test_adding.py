"""Adding a source to the lake: the new is appended, the known left, what contradicts refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from feature_repo.schema import QUARANTINE
from lake.spark_tables import read
from pipelines.features.jobs import run_job
from pipelines.ingest import ingest as ingest_module
from pipelines.ingest.ingest import add, ingest
from pipelines.sources.movielens import read_movielens

RATINGS = ["1,1,4.0,900000000", "1,2,3.0,900000060", "2,1,2.5,900000120"]


def movielens(folder: Path, ratings: list[str], movies: tuple[int, ...] = (1, 2)) -> Path:
    folder.mkdir()
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *ratings]) + "\n")
    lines = [f"{movie},Film {movie} (1999),Drama" for movie in movies]
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *lines]) + "\n")
    return folder


@pytest.fixture(scope="module")
def grown(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with its statistics, and a source to be added to it."""
    folder = tmp_path_factory.mktemp("adding")
    ingest(spark, read_movielens(spark, movielens(folder / "first", RATINGS)), folder / "lake")
    run_job(spark, folder / "lake", "user_rating_stats")
    more = [RATINGS[0], "1,2,5.0,900000060", "1,3,4.5,900000180", "2,9,4.0,900000240"]
    movielens(folder / "more", more, (1, 2, 3))
    return folder


def test_added_rows_are_accepted_known_or_quarantined(spark: SparkSession, grown: Path) -> None:
    for place in range(2):
        report = add(spark, read_movielens(spark, grown / "more"), grown / "lake")
        found = report.tables["ratings"]
        new = 1 if place == 0 else 0
        assert (found.read, found.accepted, found.known, found.quarantined) == (4, new, 2 - new, 2)
        assert found.by_rule == {"movie_id_in_movies": 1, "ratings_are_unique": 1}
    assert report.tables["movies"].known == 3
    rows = read(spark, grown / "lake", "ratings").orderBy("user_id", "movie_id").collect()
    assert [(row.user_id, row.movie_id, row.rating) for row in rows] == [
        (1, 1, 4.0),
        (1, 2, 3.0),
        (1, 3, 4.5),
        (2, 1, 2.5),
    ]
    refused = {row.rule: row for row in read(spark, grown / "lake", QUARANTINE).collect()}
    assert len(refused) == read(spark, grown / "lake", QUARANTINE).count() == 2, "refused once each"
    contradiction = refused["ratings_are_unique"]
    assert contradiction.reason == "the lake has it with 3.0 stars"
    assert (contradiction.source.endswith("more/ratings.csv"), contradiction.row) == (True, 3)
    done = run_job(spark, grown / "lake", "user_rating_stats")
    assert done.how == "updated"
    newest = read(spark, grown / "lake", "user_rating_stats").where("user_id = 1")
    assert sorted(row.user_rating_count for row in newest.collect()) == [1, 2, 3]


def test_few_rows_and_many_are_added_alike(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ratings known, contradicted, repeated, unreadable and of unknown movies, twice over."""
    drawn = np.random.default_rng(5)
    ratings = [
        f"{user},{movie},{stars if stars else 'x'},{900_000_000 + second if second else ''}"
        for user, movie, stars, second in drawn.integers((1, 1, 0, 0), (6, 6, 5, 8), (120, 4))
    ]
    first = movielens(tmp_path / "first", ratings[:40], (1, 2, 3))
    more = movielens(tmp_path / "more", ratings[30:], (3, 4))
    ingest(spark, read_movielens(spark, first), tmp_path / "lake")
    found = {}
    for few in (-1, ingest_module.FEW):
        monkeypatch.setattr(ingest_module, "FEW", few)
        folder = tmp_path / f"lake{few}"
        shutil.copytree(tmp_path / "lake", folder)
        reports = [add(spark, read_movielens(spark, more), folder) for _ in range(2)]
        tables = {
            name: sorted(map(str, read(spark, folder, name).collect()))
            for name in ("ratings", "movies", QUARANTINE)
        }
        found[few] = [[report.tables for report in reports], tables]
    (by_spark, spark_tables), (in_memory, memory_tables) = found.values()
    assert in_memory == by_spark
    assert memory_tables == spark_tables
    assert by_spark[0]["ratings"].accepted > by_spark[1]["ratings"].accepted == 0
    assert len(by_spark[0]["ratings"].by_rule) > 3, "rules of several kinds were broken"
