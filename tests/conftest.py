"""Fixtures that every test may use: one Spark session, the real data, a home."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings as hypothesis_settings
from pyspark.sql import SparkSession

from lake.session import StartSpark
from tests.raw_rows import ENGINES, engine_named

# A busy machine makes any example slow, and that says nothing about the code.
hypothesis_settings.register_profile("marquee", deadline=None)
hypothesis_settings.load_profile("marquee")

REAL_DATA = Path(os.environ.get("MARQUEE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))

# Tests are many short jobs: what the JVM's second compiler spends on them is never earned back.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")

# Tests train the same small networks again and again, many in processes of their own: compile each once.
_COMPILED = TemporaryDirectory(prefix="marquee-tests-compiled-", ignore_cleanup_errors=True)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _COMPILED.name)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One local session for all tests that compute with Spark in this process."""
    from lake.session import spark_session

    session = spark_session("local[2]", shuffle_partitions=2, scratch=tmp_path_factory.mktemp("spark"))
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
