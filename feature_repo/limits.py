"""How long servers may take for an answer (`Settings.server_timeout`).

A server, or a proxy before it, can take a request and never answer it, while the network is well; so it is
the client that has to end the wait. No request is repeated for an answer that did not come: the server may
still be working on it.
"""

from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.errors import ConnectionTimeout
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.retry import Retry
from sqlalchemy import Engine, event

from common.settings import load_settings

CONNECT = 10
"""Seconds to connect, at most: a server that is there answers to that at once."""
REPEATS = 3
"""Of what Redis did not take, or did not answer before the connection broke: what we ask of it bears that."""


def default() -> int:
    """Seconds, for Feast's own command, which reads the profile's file alone."""
    return load_settings().server_timeout


class LimitedConnection(psycopg.Connection[Any]):
    """A connection to PostgreSQL that is closed when an answer takes too long."""

    limit: int | None = None
    """Seconds; none while it is made."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for an answer, as the base class does.

        Raises:
            ConnectionTimeout: there is none in time.
        """
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.limit)
        except psycopg.errors._WaitTimeout as error:
            self.close()
            raise ConnectionTimeout(f"no answer in {self.limit} s") from error


def limit_answers(engine: Engine) -> None:
    """Have an engine of PostgreSQL make such connections."""
    event.listen(engine, "do_connect", lambda _, __, args, options: _connected(*args, **options))


def _connected(*args: Any, answer_timeout: int | None = None, **given: Any) -> LimitedConnection:
    """A connection.

    Args:
        answer_timeout: seconds; the settings' where Feast's own command makes it.
    """
    limit = default() if answer_timeout is None else answer_timeout
    given["connect_timeout"] = min(CONNECT, limit, int(given.get("connect_timeout", CONNECT)))
    connection = LimitedConnection.connect(*args, **given)
    connection.limit = limit
    return connection


def limited(address: str, seconds: int) -> str:
    """The address of a Redis with limits for its answers, but for those that it has itself."""
    return f"socket_timeout={seconds},socket_connect_timeout={min(CONNECT, seconds)},{address}"


def repeats() -> Retry:
    """When a client of Redis repeats a request: where the connection broke."""
    return Retry(ExponentialWithJitterBackoff(base=0.1, cap=1), REPEATS, (Disconnected,))
