"""The servers of the profile at scale: what they are, and the sentence when one does not answer."""

from collections.abc import Iterator
from typing import Any

from common.errors import MarqueeError

_REFUSALS = {
    ("redis", "ConnectionError"): ("Redis", "MARQUEE_REDIS"),
    ("redis", "AuthenticationError"): ("Redis", "MARQUEE_REDIS"),
    ("redis", "TimeoutError"): ("Redis", "MARQUEE_REDIS"),
    ("psycopg", "OperationalError"): ("PostgreSQL", "MARQUEE_POSTGRES"),
    ("psycopg", "ConnectionTimeout"): ("PostgreSQL", "MARQUEE_POSTGRES"),
}
"""Exceptions by package and name (an import would load the package), the server that raised them, and the
variable that says where it is."""


def postgres_version(settings: dict[str, Any]) -> str:
    """What the server of the registry says that it is.

    Args:
        settings: a profile's.
    """
    from sqlalchemy import text

    from feature_repo.registry import server_engine

    with server_engine(settings["registry"]).connect() as connection:
        return f"PostgreSQL {connection.execute(text('SHOW server_version')).scalar_one()}"


def redis_version(settings: dict[str, Any]) -> str:
    """What the server of the online store says that it is."""
    with _redis(settings) as client:
        return f"Redis {client.info('server')['redis_version']}"


def eviction(settings: dict[str, Any]) -> str | None:
    """Why the server of the online store may let go of rows when it is full, and what to do; None where it
    does not, or may not be asked.

    Rows never expire, so of the policies those that evict any key matter.

    Args:
        settings: a profile's.
    """
    from redis.exceptions import NoPermissionError

    with _redis(settings) as client:
        try:
            memory = client.info("memory")
        except NoPermissionError:
            return None
    policy, most = str(memory.get("maxmemory_policy")), int(memory.get("maxmemory", 0))
    if not most or not policy.startswith("allkeys"):
        return None
    return (
        f"Redis evicts rows when it has {most / 1e6:.0f} MB ({policy}): give it memory for all of them, and"
        " set maxmemory-policy noeviction, so that it refuses to write before it forgets"
    )


def _redis(settings: dict[str, Any]) -> Any:
    """A client of the online store's server."""
    from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig

    config = RedisOnlineStoreConfig(connection_string=settings["online_store"]["connection_string"])
    return RedisOnlineStore()._get_client(config)


def unanswered(error: BaseException) -> MarqueeError | None:
    """The sentence for an error that means that a server is down or refuses us; None for any other."""
    for cause in _causes(error):
        kind = type(cause)
        package, _, _ = kind.__module__.partition(".")
        if (package, kind.__name__) in _REFUSALS:
            server, variable = _REFUSALS[package, kind.__name__]
            why = " ".join((str(cause) or kind.__name__).split("\n")[0].split()).rstrip(".: ")
            return MarqueeError(
                f"{server} does not answer ({why}): start it, or set {variable}; marquee doctor looks for it."
            )
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
