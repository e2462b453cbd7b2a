"""Maintenance changes how a table lies on disk, and nothing else."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from common.errors import MarqueeError
from feature_repo.domains.movies import DOMAIN
from feature_repo.domains.movies.tables import RATINGS
from pipelines.features.jobs import run_job
from pipelines.ingest import add, ingest
from pipelines.maintain import maintain
from pipelines.sources.movielens import read_movielens
from tests.test_adding import movielens
from tests.test_incremental import content

TABLE = "movie_rating_stats"
NOTHING = timedelta(0)


def ratings(first: int, n: int = 12) -> list[str]:
    """Lines of ratings by users `first`, `first` + 1, … of two movies by turns."""
    return [
        f"{user},{1 + user % 2},{1 + user % 5}.0,{900000000 + 60 * user}" for user in range(first, first + n)
    ]


@pytest.fixture(scope="module")
def built(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake whose ratings came in two pieces, each taken in by the job."""
    folder = tmp_path_factory.mktemp("maintain")
    for i, first in enumerate((40, 1)):  # the second piece is late
        source = read_movielens(movielens(folder / f"source{i}", ratings(first)))
        (add if i else ingest)(lambda: spark, source, folder / "lake", DOMAIN)
        run_job(lambda: spark, folder / "lake", DOMAIN, TABLE)
    return folder / "lake"


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "lake"))


def keys_in_files(folder: Path, name: str, key: str) -> list[int]:
    table = DeltaTable(folder / name).to_pyarrow_table()
    return [int(value) for value in table.column(key).to_pylist()]


def test_a_maintained_table_is_compact_clustered_and_the_same(spark: SparkSession, folder: Path) -> None:
    before = content(folder, TABLE)
    done = maintain(spark, folder, DOMAIN, TABLE)
    assert done.files[0] > done.files[1] == 1
    assert content(folder, TABLE) == before
    keys = keys_in_files(folder, TABLE, "movie_id")
    assert keys == sorted(keys)
    assert done.versions[0] == 0, "nothing is old enough to go"
    maintain(spark, folder, DOMAIN, TABLE)
    operations = [commit["operation"] for commit in DeltaTable(folder / TABLE).history()]
    assert operations.count("OPTIMIZE") == 1, "what is as it should be is left"


def test_old_versions_go_and_jobs_go_on(spark: SparkSession, folder: Path, tmp_path: Path) -> None:
    done = [maintain(spark, folder, DOMAIN, name, NOTHING) for name in (RATINGS.name, TABLE)]
    assert all(table.size[1] < table.size[0] for table in done)
    assert all(table.versions[0] > 0 for table in done)
    with pytest.raises(FileNotFoundError):
        DeltaTable(folder / TABLE, version=0).to_pyarrow_table()
    add(lambda: spark, read_movielens(movielens(tmp_path / "more", ratings(10))), folder, DOMAIN)
    update = run_job(lambda: spark, folder, DOMAIN, TABLE)
    assert (update.how, update.new_events) == ("updated", 9), "users 10 to 12 were there already"
    incremental = content(folder, TABLE)
    run_job(lambda: spark, folder, DOMAIN, TABLE, full=True)
    assert content(folder, TABLE) == incremental


def test_what_a_job_has_not_seen_stays(spark: SparkSession, folder: Path, tmp_path: Path) -> None:
    add(lambda: spark, read_movielens(movielens(tmp_path / "more", ratings(60))), folder, DOMAIN)
    maintain(spark, folder, DOMAIN, RATINGS.name, NOTHING)
    update = run_job(lambda: spark, folder, DOMAIN, TABLE)
    assert (update.how, update.new_events) == ("updated", 12)


def test_a_version_to_be_kept_stays(spark: SparkSession, folder: Path) -> None:
    kept = DeltaTable(folder / TABLE, version=1).to_pyarrow_table()
    done = maintain(spark, folder, DOMAIN, TABLE, NOTHING, keep=1)
    assert done.versions[0] <= 1
    assert DeltaTable(folder / TABLE, version=1).to_pyarrow_table().equals(kept)


def test_what_cannot_be_maintained_is_one_sentence(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match="no table movies in"):
        maintain(spark, tmp_path, DOMAIN, "movies")
    with pytest.raises(MarqueeError, match="cannot be kept for -1 days"):
        maintain(spark, tmp_path, DOMAIN, "movies", timedelta(days=-1))
