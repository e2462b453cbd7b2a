"""A small home in which everything but a model is made, without starting a process."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.marquee import in_process
from tests.small_movielens import write_small_movielens


def small_home(folder: Path) -> Path:
    """Make one: `home`, beside the `data` that it was made of and `labels.parquet`."""
    data, _ = write_small_movielens(folder, users=30, movies=40)
    home = folder / "home"
    for command in (ingest(data), "pipeline run", "features apply", "features materialize"):
        done = in_process(home, *command.split())
        assert done.code == 0, (command, done)
    at = pa.array([datetime(2020, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    rows = pa.table({"user_id": [1], "movie_id": [1], "event_timestamp": at})
    pq.write_table(rows, folder / "labels.parquet")
    return home


def ingest(data: Path) -> str:
    """The command that reads a folder."""
    return f"pipeline ingest --source movielens --path {data}"


def dataset(home: Path) -> str:
    """The command that joins features to the labels beside a home, into a file beside it."""
    labels, out = home.with_name("labels.parquet"), home.with_name("out.parquet")
    return f"features dataset --service gbt_v1 --labels {labels} --out {out}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that is as it should be."""
    return small_home(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def home(whole: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it, to be broken."""
    yield Path(shutil.copytree(whole, tmp_path / "home"))
    shutil.rmtree(tmp_path)
