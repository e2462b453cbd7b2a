"""The servers of the profile at scale: what they are, and the sentence when one is down or refuses."""

import re
from typing import Any

from common.errors import MarqueeError, causes

DOWN = "start it, or set {variable}; marquee doctor looks for it"
LATE = (
    "see that it can be reached and is not overloaded, or set {variable}; MARQUEE_SERVER_TIMEOUT says how"
    " many seconds it has"
)
_REDIS = {
    "OutOfMemoryError OOM": "it is full: raise its maxmemory, or remove what nobody needs",
    "NoPermissionError NOPERM": "its user needs +@read +@write +@scripting +info on the keys marquee_*",
    "ReadOnlyError READONLY": "it is a replica: name its primary in {variable}",
    "MISCONF": "it cannot save its data: make room on its disk and its folder writable (its log says which)",
    "BusyLoadingError LOADING BUSY": "wait until it has done what it is busy with, and run the command again",
    "MasterDownError ClusterDownError MASTERDOWN CLUSTERDOWN NOREPLICAS TryAgainError": (
        "wait until its primary and replicas see each other, and run the command again"
    ),
    "AuthenticationError AuthorizationError ExternalAuthProviderError NOAUTH WRONGPASS"
    " AuthenticationWrongNumberOfArgsError": "set its user and password in {variable}",
    "MaxConnectionsError clients": "it has too many clients: close some, or raise its maxclients",
    "TimeoutError": LATE,
    "ConnectionError": DOWN,
    "InvalidResponse": "name a Redis in {variable}",
    "ResponseError": "change that, or name another one in {variable}",
}
"""What to do, by names of exceptions and words of their messages, the most particular first."""
_POSTGRES = {
    "42501": "give the user of {variable} that right; a home's first apply makes a schema in the database",
    "25006": "it takes no changes: name the primary in {variable}",
    "53100": "make room on its disk",
    "53200": "give it more memory, or run the command when it has less to do",
    "53300 clients": "it has too many connections: close some, or raise its max_connections",
    "28 password pg_hba.conf role": "set its user and password in {variable}, or let it admit them",
    "3D exist": "make the database, or name another one in {variable}",
    "57014 55P03 40": "run the command again: another one was in the way, or it has little time for each",
    "57 starting shutting recovery": "wait until it is up, and run the command again",
    "ConnectionTimeout": LATE,
    "08 OperationalError InterfaceError": DOWN,
    "53 54 58 XX": "its log says why",
}
"""The same by codes of SQL and what they begin with; without a code, nobody was admitted to the database."""
_SERVERS = {
    "redis": ("Redis", "MARQUEE_REDIS", _REDIS),
    "psycopg": ("PostgreSQL", "MARQUEE_POSTGRES", _POSTGRES),
}
"""By the package of an exception (an import would load it): its server, and the variable that says where."""
_IN_A_PIPELINE = re.compile(r"^Command # \d+ \(.*\) of pipeline caused error: ", re.DOTALL)
_IN_A_SCRIPT = re.compile(r"\.? script: [0-9a-f]{40}, on @user_script.*", re.DOTALL)


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
    from feature_repo.feast_internals import redis_client
    from feature_repo.online.redis import NewestRedisOnlineStore, NewestRedisOnlineStoreConfig

    return redis_client(NewestRedisOnlineStore(), NewestRedisOnlineStoreConfig(**settings["online_store"]))


def unanswered(error: BaseException) -> MarqueeError | None:
    """The sentence for an error that means that a server is down or refuses; None for any other."""
    for cause in causes(error):
        package = type(cause).__module__.partition(".")[0]
        if package not in _SERVERS:
            continue
        server, variable, remedies = _SERVERS[package]
        why = _IN_A_SCRIPT.sub("", _IN_A_PIPELINE.sub("", str(cause)))
        names, code = {kind.__name__ for kind in type(cause).__mro__}, getattr(cause, "sqlstate", None)
        signs = {code, code[:2]} if code else names | set(re.findall(r"[\w.]+", why))
        for known, remedy in remedies.items():
            if signs & set(known.split()):
                what = "does not answer" if remedy in (DOWN, LATE) else "refuses"
                first = re.split(r"\.\s|\n", why or type(cause).__name__)[0]
                why = " ".join(first.split()).rstrip(".: ")
                return MarqueeError(f"{server} {what} ({why}): {remedy.format(variable=variable)}.")
    return None
