"""Servers that take requests and do not answer: how long they are waited for, and what is said then."""

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg.errors import ConnectionTimeout
from redis.exceptions import TimeoutError as RedisTimeout
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import doctor
from common.settings import Settings
from feature_repo import servers
from feature_repo.online.redis import NewestRedisOnlineStoreConfig
from feature_repo.profile import profile_settings
from feature_repo.registry import server_engine
from feature_repo.servers import redis_version, unanswered

ADMITTED = b"R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I"
"""What PostgreSQL says to whom it admits without a password."""


@contextmanager
def silent(first: bytes = b"") -> Iterator[int]:
    """A server that answers a client's first request, and then nothing any more; its port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if self.request.recv(65536):
                self.request.sendall(first)
            while self.request.recv(65536):
                pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()


@pytest.fixture
def scale(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The profile at scale, whose servers have a second for an answer."""
    monkeypatch.setenv("MARQUEE_PROFILE", "scale")
    monkeypatch.setenv("MARQUEE_SERVER_TIMEOUT", "1")
    monkeypatch.setenv("MARQUEE_REDIS", "127.0.0.1:1")
    monkeypatch.setenv("MARQUEE_POSTGRES", "postgresql://marquee@127.0.0.1:1/marquee")
    return monkeypatch


def assert_late(error: BaseException, server: str, variable: str) -> None:
    sentence = str(unanswered(error))
    assert sentence.startswith(f"{server} does not answer (")
    assert sentence.endswith(f"or set {variable}; MARQUEE_SERVER_TIMEOUT says how many seconds it has.")


@pytest.mark.parametrize("first", [b"", ADMITTED], ids=["when it is connected to", "afterwards"])
def test_postgresql_is_not_waited_for_for_ever(
    scale: pytest.MonkeyPatch, tmp_path: Path, first: bytes
) -> None:
    with silent(first) as port:
        url = f"postgresql://marquee@127.0.0.1:{port}/marquee?sslmode=disable&gssencmode=disable"
        scale.setenv("MARQUEE_POSTGRES", url)
        engine = server_engine(profile_settings(Settings(home=tmp_path))["registry"])
        began = time.monotonic()
        with pytest.raises(DBAPIError) as caught, engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        assert 0.9 < time.monotonic() - began < 6  # the driver takes two seconds at least to connect
        assert isinstance(caught.value.orig, ConnectionTimeout)
        assert_late(caught.value, "PostgreSQL", "MARQUEE_POSTGRES")


def test_feasts_own_command_waits_no_longer(scale: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It reads the profile's file, in which no limit stands."""
    scale.setenv("MARQUEE_HOME", str(tmp_path))
    with silent(ADMITTED) as port:
        engine = server_engine({"path": f"postgresql://marquee@127.0.0.1:{port}/marquee?sslmode=disable"})
        with pytest.raises(DBAPIError, match="no answer in 1 s"), engine.connect():
            pass
    assert NewestRedisOnlineStoreConfig().answer_timeout == 1


def test_doctor_shows_what_it_found_before_a_server_fell_silent(
    scale: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def silent(_: object) -> str:
        raise RedisTimeout("Timeout reading from socket")

    scale.setattr(servers, "postgres_version", lambda _: "PostgreSQL 15")
    scale.setattr(servers, "redis_version", lambda _: "Redis 7")
    scale.setattr(servers, "eviction", silent)
    found = {finding.subject: finding for finding in doctor.servers(Settings(home=tmp_path))}
    assert found["registry"].well and found["online store"].well
    assert not found["online memory"].well
    assert found["online memory"].remedy.startswith("Redis does not answer (Timeout reading from socket): ")


def test_redis_is_not_waited_for_for_ever(scale: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with silent() as port:
        scale.setenv("MARQUEE_REDIS", f"127.0.0.1:{port}")
        profile = profile_settings(Settings(home=tmp_path))
        began = time.monotonic()
        with pytest.raises(RedisTimeout) as caught:
            redis_version(profile)
        assert 0.9 < time.monotonic() - began < 6, "no request is sent again"
        assert_late(caught.value, "Redis", "MARQUEE_REDIS")
