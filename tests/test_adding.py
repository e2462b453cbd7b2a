"""Adding a source to the lake: the new is appended, the known left, what contradicts refused."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from feature_repo.schema import QUARANTINE
from pipelines import lake
from pipelines.ingest import add, ingest
from pipelines.jobs import run_job
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
    rows = lake.read(spark, grown / "lake", "ratings").orderBy("user_id", "movie_id").collect()
    assert [(row.user_id, row.movie_id, row.rating) for row in rows] == [
        (1, 1, 4.0),
        (1, 2, 3.0),
        (1, 3, 4.5),
        (2, 1, 2.5),
    ]
    refused = {row.rule: row for row in lake.read(spark, grown / "lake", QUARANTINE).collect()}
    assert len(refused) == lake.read(spark, grown / "lake", QUARANTINE).count() == 2, "refused once each"
    contradiction = refused["ratings_are_unique"]
    assert contradiction.reason == "the lake has it with 3.0 stars"
    assert (contradiction.source.endswith("more/ratings.csv"), contradiction.row) == (True, 3)
    done = run_job(spark, grown / "lake", "user_rating_stats")
    assert done.how == "updated"
    newest = lake.read(spark, grown / "lake", "user_rating_stats").where("user_id = 1")
    assert sorted(row.user_rating_count for row in newest.collect()) == [1, 2, 3]
