"""The profile at scale where a server does not answer, or is not named: one sentence each."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from common.errors import MarqueeError
from common.settings import Settings, load_settings
from feature_repo import store
from feature_repo.offline.spark_asof import AsOfSparkOfflineStoreConfig
from feature_repo.profile import PROFILES, REPOSITORY, profile_settings
from feature_repo.servers import unanswered
from lake.spark import start_session
from tests.marquee import marquee

START = datetime(2020, 1, 1, tzinfo=UTC)
SCALE_FILE = REPOSITORY / PROFILES["scale"]
INSTANT = pa.timestamp("us", "UTC")


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home at scale whose servers are all down."""
    monkeypatch.setenv("MARQUEE_PROFILE", "scale")
    monkeypatch.setenv("MARQUEE_POSTGRES", "postgresql+psycopg://marquee:secret@127.0.0.1:1/marquee")
    monkeypatch.setenv("MARQUEE_REDIS", "127.0.0.1:1")
    monkeypatch.setenv("MARQUEE_SPARK_MASTER", "spark://127.0.0.1:1")
    return tmp_path / "home"


@pytest.mark.process
def test_registry_that_is_down_is_one_sentence_and_makes_no_home(nowhere: Path) -> None:
    done = marquee(nowhere, "features", "lookup", "--user", 1)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: PostgreSQL does not answer")
    assert len(done.stderr.splitlines()) == 1
    assert "secret" not in done.stderr
    assert not nowhere.exists()


def test_online_store_that_is_down_is_one_sentence(nowhere: Path) -> None:
    from feature_repo.servers import redis_version

    with pytest.raises(Exception, match="111") as caught:
        redis_version(profile_settings(Settings(home=nowhere)))
    assert str(unanswered(caught.value)).startswith("Redis does not answer")


def test_spark_master_that_is_down_is_one_sentence() -> None:
    with pytest.raises(MarqueeError, match="No Spark master answers"):
        start_session("spark://127.0.0.1:1", "1g", 2)


def test_other_errors_are_not_taken_for_a_server_that_is_down() -> None:
    assert unanswered(ValueError("no")) is None


@pytest.mark.parametrize("name", ["MARQUEE_POSTGRES", "MARQUEE_REDIS"])
def test_variable_that_is_not_set_is_named(nowhere: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(MarqueeError, match=f"{name} is not set"):
        store.open_store(Settings(home=nowhere))


def test_spark_master_that_is_not_set_is_this_machine(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MARQUEE_SPARK_MASTER")
    assert Settings(home=nowhere).spark_master == "local[*]"
    assert AsOfSparkOfflineStoreConfig().master == "local[*]"


def test_unknown_profile_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_PROFILE", "cloud")
    with pytest.raises(MarqueeError, match="'embedded' or 'scale'"):
        load_settings(tmp_path)
