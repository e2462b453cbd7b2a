"""One apply at a time: Feast's is not atomic, and two at once leave views of both, or of neither.

The lock goes with the registry: a file beside one in SQLite; for one in PostgreSQL an advisory lock of the
server, so that several machines wait for each other, but no home for another. Both end with the process that
holds them.
"""

import atexit
import hashlib
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from common.errors import MarqueeError
from common.locks import locked
from feature_repo.home import feast_settings
from feature_repo.identity import LOCK, give_identity, space_of
from feature_repo.profile import ENGINE_OPTIONS, profile_settings
from feature_repo.registry import forget_removed_views, registry_file, registry_home, server_engine

_GONE = {"idle": 10, "interval": 10, "count": 3}
"""Seconds, and signs of life that fail, after which the server takes us for gone and gives the lock away."""
_HELD = "55P03"
"""The server's code for a lock that it did not get in time."""
until_exit = ExitStack()
"""What the process holds to its end."""
atexit.register(until_exit.close)


@contextmanager
def registry_lock(registry: dict[str, Any]) -> Iterator[None]:
    """Wait until no other process applies to this registry, and keep others waiting meanwhile.

    On a server, a home that is applied for the first time is given its part.

    Args:
        registry: its settings, as in a profile.

    Raises:
        MarqueeError: the folder of an SQLite registry cannot be written, or the home lives elsewhere by what
            it says of itself.
    """
    file, home = registry_file(registry), registry_home(registry)
    if home is not None:
        give_identity(home)
    space = "" if home is None else space_of(home)
    with locked(file.with_name(LOCK), wait=True) if file else _server_lock(registry, space):
        yield


@contextmanager
def _server_lock(registry: dict[str, Any], space: str) -> Iterator[None]:
    """The lock lives as long as its session on the server, which is this connection.

    Args:
        space: that of the registry's home, which is made if there is none.
    """
    number = int.from_bytes(hashlib.sha256(f"apply {space}".encode()).digest()[:8], signed=True)
    engine = server_engine(registry).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        hold(connection, number, registry[ENGINE_OPTIONS]["connect_args"]["answer_timeout"])
        there = text("SELECT to_regnamespace(:space)")
        if space and connection.execute(there, {"space": space}).scalar_one() is None:
            connection.execute(text(f'CREATE SCHEMA "{space}"'))
        yield


def hold(connection: Connection, number: int, seconds: int) -> None:
    """Hold a lock of the server. It is asked more than once, since an answer may not take as long as we wait.

    Raises:
        MarqueeError: another session holds the lock for so many seconds.
    """
    settings = {f"tcp_keepalives_{name}": value for name, value in _GONE.items()}
    settings["lock_timeout"] = 1000 * seconds // 2
    connection.execute(text("; ".join(f"SET {name} = {value}" for name, value in settings.items())))
    until = time.monotonic() + seconds
    while True:
        try:
            connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": number})
            return
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _HELD:
                raise
            if time.monotonic() >= until:
                raise MarqueeError(
                    f"Another apply of this home has held the registry for {seconds} s: wait until it ends,"
                    " and run this one again."
                ) from error


def lock_until_exit(project: str) -> None:
    """Hold the lock for the rest of the process: Feast's own command, and the profile that it reads.

    What a teardown left in the registry, on which Feast's apply would stumble, is removed.

    Raises:
        click.UsageError: a variable is not set, or the home is relative, a copy, or cannot be written; Feast
            prints it as one line.
    """
    context = click.get_current_context(silent=True)
    given = context.find_root().obj if context else None
    file = given.get("FS_YAML_FILE") if isinstance(given, dict) else None
    try:
        registry = profile_settings(feast_settings(), file)["registry"]
        until_exit.enter_context(registry_lock(registry))
    except MarqueeError as error:
        raise click.UsageError(str(error)) from error
    forget_removed_views(registry, project)
