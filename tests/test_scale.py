"""The profile at scale: a Spark cluster of two workers, Redis and PostgreSQL, all on loopback."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from feast import FeatureStore
from pyspark.sql import SparkSession
from sqlalchemy import text

from app.lookup import lookup_many
from common.settings import Settings
from feature_repo import store
from feature_repo.arrow import arrow_schema
from feature_repo.domains.movies import DOMAIN
from feature_repo.domains.movies.posters import GRID, STATISTICS, poster_range
from feature_repo.domains.movies.tables import MOVIES, POSTERS, RATINGS, USERS
from feature_repo.lock import registry_lock
from feature_repo.offline.duckdb_asof import AsOfDuckDBOfflineStore
from feature_repo.offline.spark_asof import AsOfSparkOfflineStore
from feature_repo.profile import PROFILES, REPOSITORY, profile_settings
from feature_repo.registry import server_engine
from pipelines.features.jobs import job_names, run_job
from tests.lake import random_rows
from tests.marquee import ROOT, feast, marquee
from tests.scale_driver import CREATED, HELD_UP, SERVICE
from tests.servers import Servers, script, servers_at_scale
from training.data.dataset import point_in_time

pytestmark = pytest.mark.scale

START = datetime(2020, 1, 1, tzinfo=UTC)
SCALE_FILE = REPOSITORY / PROFILES["scale"]
INSTANT = pa.timestamp("us", "UTC")


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with servers_at_scale() as found:
        yield found


@pytest.fixture(scope="module")
def home(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home at scale with source tables and labels, and the environment that it takes."""
    folder = tmp_path_factory.mktemp("scale")
    write_sources(folder)
    with servers.used(MARQUEE_HOME=str(folder)):
        yield folder


def write_sources(home: Path, users: int = 30, movies: int = 40, seed: int = 0) -> None:
    """Ratings that share instants, movies of which some lack a year, posters of some; labels among them."""
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(users * movies)[: users * 20]
    at = [START + timedelta(minutes=int(minute)) for minute in rng.integers(0, 5000, len(pairs))]
    ratings = {
        "user_id": pairs // movies + 1,
        "movie_id": pairs % movies + 1,
        "rating": rng.integers(1, 11, len(pairs)) / 2,
        "event_timestamp": at,
    }
    listed = {
        "movie_id": range(1, movies + 1),
        "title": [f"Film {movie}" for movie in range(movies)],
        "genres": [sorted(rng.choice(["Action", "Comedy", "Drama"], rng.integers(0, 3), False))]
        + [
            sorted(rng.choice(["Comedy", "Drama", "War"], rng.integers(1, 4), False))
            for _ in range(1, movies)
        ],
        "release_year": [None if movie % 9 == 0 else 1950 + movie for movie in range(movies)],
    }
    kept = range(1, movies + 1, 2)
    drawn = {name: np.floor(rng.uniform(*poster_range(name), len(kept)) / GRID) * GRID for name in STATISTICS}
    posters = {
        "movie_id": kept,
        "file": [f"{movie}.jpg" for movie in kept],
        "sha256": ["" for _ in kept],
        "width": [2 for _ in kept],
        "height": [3 for _ in kept],
        **drawn,
    }
    who = {
        "user_id": range(1, users, 2),
        "age": [None if user % 5 == 0 else 10 + user for user in range(1, users, 2)],
        "gender": ["F" if user % 3 else "M" for user in range(1, users, 2)],
        "occupation": ["artist" for _ in range(1, users, 2)],
        "zip_code": [f"{user:05}" for user in range(1, users, 2)],
    }
    made = ((RATINGS, ratings), (MOVIES, listed), (POSTERS, posters), (USERS, who))
    for table, columns in made:
        arrays = {name: list(values) for name, values in columns.items()}
        write_deltalake(home / "lake" / table.name, pa.table(arrays, arrow_schema(table)))
    names = ("user_id", "movie_id", "event_timestamp")
    pq.write_table(
        pa.table(
            [pa.array(list(ratings[name]), arrow_schema(RATINGS).field(name).type) for name in names], names
        ),
        home / "labels.parquet",
    )


def rows(home: Path, name: str, version: int | None = None) -> list[dict[str, object]]:
    """All of a table, in order."""
    table = DeltaTable(home / "lake" / name, version=version).to_pyarrow_table()
    key = DOMAIN.tables[name].key[0].name
    return sorted(table.to_pylist(), key=lambda row: (row[key], row["event_timestamp"]))


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 300
    while not what():
        assert process.poll() is None, f"the driver ended with {process.returncode}"
        assert time.monotonic() < until
        time.sleep(0.02)


# --- applying ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def applied(home: Path) -> Path:
    """The home, after two applies at once, ours and Feast's own, which both had to wait for a lock."""
    registry = profile_settings(Settings(home=home))["registry"]
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    with server_engine(registry).connect() as connection, registry_lock(registry):
        feast = [str(Path(sys.executable).with_name("feast")), "-c", str(REPOSITORY), "-f", str(SCALE_FILE)]
        ours = [sys.executable, "-m", "cli.main", "features", "apply"]
        # Whichever starts first has to wait until the other has started, too.
        patient = {**os.environ, "MARQUEE_SERVER_TIMEOUT": "300"}
        both = [
            subprocess.Popen(command, cwd=ROOT, env=patient, stderr=subprocess.PIPE, text=True)
            for command in ([*feast, "apply"], ours)
        ]
        wait_for(lambda: connection.execute(waiting).scalar_one() == 2, both[0])
    for one in both:
        _, errors = one.communicate(timeout=300)
        assert one.returncode == 0, errors
    return home


def test_two_applies_at_once_leave_a_whole_registry(applied: Path) -> None:
    assert store.plan(Settings(home=applied), DOMAIN) == []
    views = {view.name for view in store.open_store(Settings(home=applied)).list_feature_views()}
    assert views == {view.name for view in DOMAIN.views}


# --- the cluster ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def expected(
    spark: SparkSession, applied: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, pa.Table]:
    """The same tables by this process, and the same features joined to the labels by Spark within it."""
    local = tmp_path_factory.mktemp("local")
    for table in DOMAIN.sources:
        shutil.copytree(applied / "lake" / table.name, local / "lake" / table.name)
    for name in job_names(DOMAIN):
        run_job(lambda: spark, local / "lake", DOMAIN, name, full=True, created=CREATED)
    labels = pq.read_table(applied / "labels.parquet")
    store.apply(Settings(home=local), DOMAIN)
    opened = store.open_store(Settings(home=local))
    assert isinstance(opened._get_provider().offline_store, AsOfSparkOfflineStore)
    return local, point_in_time(opened, DOMAIN, SERVICE, labels)


@pytest.fixture(scope="module")
def driver(
    servers: Servers, applied: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The driver, and its gates: it built and joined on both workers, and again with one killed in mid-job;
    it goes on to write a table."""
    gates = tmp_path_factory.mktemp("gates")
    (gates / "read").mkdir()
    command = [sys.executable, "-m", "tests.scale_driver", str(applied), str(gates)]
    with subprocess.Popen(command, cwd=ROOT, text=True, start_new_session=True) as process:
        try:
            task = held_up_at(gates / "read", process)
            worker = Path(task.read_text()).relative_to(servers.folder).parts[0]
            os.killpg(int((servers.folder / f"{worker}.pid").read_text()), signal.SIGKILL)
            (gates / "read" / "go").touch()
            wait_for((gates / "write").exists, process)
            assert script("status", servers.environment).returncode == 1
            servers.start()
            yield process, gates
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def held_up_at(gate: Path, process: subprocess.Popen[str]) -> Path:
    """The file of a task that waits there."""
    wait_for(lambda: any(gate.glob("task-*[0-9]")), process)
    return next(gate.glob("task-*[0-9]"))


@pytest.fixture(scope="module")
def computed(driver: tuple[subprocess.Popen[str], Path], applied: Path) -> Path:  # noqa: ARG001
    """The home, with all that the driver committed."""
    return applied


def test_tables_and_joins_on_two_workers_equal_those_of_local_spark(
    expected: tuple[Path, pa.Table], computed: Path
) -> None:
    local, joined = expected
    for name in job_names(DOMAIN):
        assert rows(computed, name, version=0) == rows(local, name), name
    assert pq.read_table(computed / "joined.parquet").equals(joined)
    assert joined.column("user_poster_count").null_count < joined.num_rows


def test_killing_a_worker_in_mid_job_changes_nothing(expected: tuple[Path, pa.Table], computed: Path) -> None:
    local, joined = expected
    assert DeltaTable(computed / "lake" / HELD_UP).version() == 1
    assert rows(computed, HELD_UP) == rows(local, HELD_UP)
    assert pq.read_table(computed / "joined_again.parquet").equals(joined)


def test_killed_driver_leaves_every_table_at_its_last_version(
    spark: SparkSession, driver: tuple[subprocess.Popen[str], Path], computed: Path
) -> None:
    process, gates = driver
    versions = {name: DeltaTable(computed / "lake" / name).version() for name in DOMAIN.tables}
    before = {name: rows(computed, name) for name in job_names(DOMAIN)}
    folder = computed / "lake" / HELD_UP
    committed = {*DeltaTable(folder, version=0).files(), *DeltaTable(folder).files()}
    held_up_at(gates / "write", process)
    wait_for(lambda: bool({path.name for path in folder.glob("*.parquet")} - committed), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert {name: DeltaTable(computed / "lake" / name).version() for name in DOMAIN.tables} == versions
    assert {name: rows(computed, name) for name in job_names(DOMAIN)} == before
    (gates / "write" / "go").touch()
    run_job(lambda: spark, computed / "lake", DOMAIN, HELD_UP, full=True, created=CREATED)
    assert rows(computed, HELD_UP) == before[HELD_UP]


# --- Feast's own commands, and ours -----------------------------------------------------------------------


def test_stock_commands_materialise_and_join(
    spark: SparkSession,  # noqa: ARG001
    expected: tuple[Path, pa.Table],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    local, joined = expected
    monkeypatch.setenv("MARQUEE_HOME", str(local))
    done = feast(local, "materialize", "1990-01-01T00:00:00", "2030-01-01T00:00:00", profile="scale")
    assert done.exit_code == 0, done.output
    pair = pa.table({"user_id": [1], "movie_id": [2]})
    served = lookup_many(store.open_store(Settings(home=local)), SERVICE, pair)
    newest = rows(local, "movie_rating_stats")
    (count,) = [row["movie_rating_count"] for row in newest if row["movie_id"] == 2][-1:]
    assert served.column("movie_rating_count").to_pylist() == [count]
    # A row that is newer than all that was sent arrives with the incremental one.
    later = random_rows(DOMAIN.tables["movie_rating_stats"], 2, 2, np.random.default_rng(9)).slice(1, 1)
    at = pa.array([datetime(2030, 6, 1, tzinfo=UTC)], INSTANT)
    later = later.set_column(
        later.column_names.index("event_timestamp"), pa.field("event_timestamp", INSTANT), at
    )
    write_deltalake(local / "lake" / "movie_rating_stats", later, mode="append", schema_mode="merge")
    done = feast(local, "materialize-incremental", "2031-01-01T00:00:00", profile="scale")
    assert done.exit_code == 0, done.output
    served = lookup_many(store.open_store(Settings(home=local)), SERVICE, pair)
    assert served.column("movie_rating_count").to_pylist() == later.column("movie_rating_count").to_pylist()
    stock = FeatureStore(repo_path=str(REPOSITORY), fs_yaml_file=SCALE_FILE)
    frame = joined.select(["user_id", "movie_id", "event_timestamp"]).to_pandas()
    found = stock.get_historical_features(frame, stock.get_feature_service(SERVICE)).to_df()
    for name in ("movie_rating_count", "user_poster_count", "user_rating_mean"):
        assert found[name].equals(joined.column(name).to_pandas()), name


def test_both_profiles_give_the_same_data_set(
    expected: tuple[Path, pa.Table], applied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, joined = expected
    monkeypatch.setenv("MARQUEE_PROFILE", "embedded")
    store.apply(Settings(home=local), DOMAIN)
    opened = store.open_store(Settings(home=local))
    assert isinstance(opened._get_provider().offline_store, AsOfDuckDBOfflineStore)
    assert point_in_time(opened, DOMAIN, SERVICE, pq.read_table(applied / "labels.parquet")).equals(joined)


def test_changed_keys_go_to_redis_and_are_served(
    spark: SparkSession,  # noqa: ARG001
    computed: Path,
) -> None:
    sent = {part.view: part.rows for part in store.materialize(Settings(home=computed))}
    assert sent["movie_content"] == 40
    assert [part.rows for part in store.materialize(Settings(home=computed))] == [0] * len(DOMAIN.views)
    done = marquee(computed, "features", "lookup", "--user", 1, "--movie", 2, "--json")
    assert done.returncode == 0, done.stderr
    assert '"unknown": []' in done.stdout
    assert "_ts:" not in done.stdout
