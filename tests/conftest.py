"""Which kind each test is of, and the fixtures that every test may use."""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings as hypothesis_settings
from pyspark.sql import SparkSession
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from lake.session import StartSpark
from tests.raw_rows import ENGINES, engine_named
from tests.servers import SHORT_JOBS, redis_in

# A busy machine makes any example slow, and that says nothing about the code.
hypothesis_settings.register_profile("marquee", deadline=None)
hypothesis_settings.load_profile("marquee")

REAL_DATA = Path(os.environ.get("MARQUEE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))

# The databases of a home wait for the disk at each commit, some 500 times an apply: memory answers at once.
_MEMORY = Path("/dev/shm")
if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= 8 * 2**30:
    os.environ.setdefault("TMPDIR", str(_MEMORY))
    tempfile.tempdir = None  # it is chosen anew

# Tests start hundreds of processes, which would compile the sources each.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Two processes share the cores: threads of their numerics would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

os.environ.setdefault("SPARK_SUBMIT_OPTS", SHORT_JOBS)

# Tests train the same small networks again and again, many in processes of their own: compile each once.
_COMPILED = TemporaryDirectory(prefix="marquee-tests-compiled-", ignore_cleanup_errors=True)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _COMPILED.name)
# XLA spends two thirds of its time on making quick what then runs for milliseconds.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false")


# What libraries start a process for: scikit-learn to count the cores, JAX to name the processor, once.
os.environ.setdefault("LOKY_MAX_CPU_COUNT", str(os.cpu_count()))
platform.processor()

KINDS = ("unit", "training", "spark", "process", "scale")
"""What a test needs, from least to most; each test is of one kind (see `markers` in pyproject.toml)."""
ON_SPARK = ("spark", "Spark", ENGINES[1], "scale")
"""Parameters of tests that stand for Spark."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that say nothing themselves, by whether they ask for Spark or for Redis.

    Where several processes share the files, those that take longest come first, so that no process is left
    with one at the end.
    """
    for item in items:
        if not any(item.get_closest_marker(kind) for kind in KINDS):
            asked = [*getattr(item, "fixturenames", ()), *parameters(item)]
            if any(name in asked for name in ON_SPARK):
                item.add_marker("spark")
            else:
                item.add_marker("process" if "redis" in asked else "unit")
    most = {item.path: kind_of(item) for item in sorted(items, key=kind_of)}
    items.sort(key=lambda item: -most[item.path])


class _Sharing(LoadScopeScheduling):
    """Shares the files out to processes; but all that use Spark stay in one, and all that train networks.

    A session of Spark becomes quicker for minutes, and what networks share is compiled once a process.
    """

    def _split_scope(self, nodeid: str) -> str:
        return _shared_by(self.config.rootpath / nodeid.partition("::")[0])


@cache  # asked for each test, twice
def _shared_by(file: Path) -> str:
    """What a file has in common with those that stay in its process; itself, where it stays alone."""
    text = file.read_text()
    return next((name for name, sign in TOGETHER.items() if re.search(sign, text)), str(file))


TOGETHER = {"on Spark": r"spark: SparkSession|StartSpark|ENGINES", "training": r"pytest\.mark\.training"}
"""What stays in one process, by a pattern that its files have in their text."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return _Sharing(config, log)


def kind_of(item: pytest.Item) -> int:
    """How much a test needs: the place of its kind."""
    return next(place for place, kind in enumerate(KINDS) if item.get_closest_marker(kind))


def parameters(item: pytest.Item) -> list[object]:
    """The values that a test is called with."""
    called = getattr(item, "callspec", None)
    return [] if called is None else list(called.params.values())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let no unit test start a process, which a JVM is, too."""
    if item.get_closest_marker("unit") is None:
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", _refuse)
        return (yield)


def _refuse(*_: object, **__: object) -> None:
    raise AssertionError("a unit test starts no process: mark this one as `process`, or ask for `spark`")


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Redis of these tests' own."""
    with redis_in(tmp_path_factory.mktemp("redis")) as address:
        yield address


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One local session for all tests that compute with Spark in this process."""
    from lake.session import spark_session

    session = spark_session("local[2]", "2g", shuffle_partitions=2, scratch=tmp_path_factory.mktemp("spark"))
    # Nor is generating and compiling Java for a handful of rows.
    session.conf.set("spark.sql.codegen.wholeStage", "false")
    session.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    yield session
    session.stop()


@pytest.fixture(params=ENGINES)
def start(request: pytest.FixtureRequest) -> Iterator[StartSpark]:
    """How Spark is started for ingest, with each engine in turn; that in this process must do without."""
    with engine_named(request.param, request) as start:
        yield start


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data (see `MARQUEE_TEST_DATA` in the README)."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real data at {REAL_DATA}: set MARQUEE_TEST_DATA")
    return REAL_DATA
