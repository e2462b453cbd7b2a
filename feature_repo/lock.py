"""One apply at a time: Feast's is not atomic, and two at once leave views of both, or of neither.

The lock goes with the registry: a file beside one in SQLite; for one in PostgreSQL an advisory lock of the
server, so that several machines wait for each other. Both end with the process that holds them.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click
from sqlalchemy import text

from common.locks import locked
from feature_repo.home import feast_settings
from feature_repo.profile import profile_settings
from feature_repo.registry import forget_removed_views, registry_engine, registry_file

LOCK = 0x4D415251554545
"""The number of the advisory lock: "MARQUEE"."""

_until_exit = ExitStack()


@contextmanager
def registry_lock(registry: dict[str, Any]) -> Iterator[None]:
    """Wait until no other process applies to this registry, and keep others waiting meanwhile.

    Args:
        registry: its settings, as in a profile.

    Raises:
        MarqueeError: the folder of an SQLite registry cannot be written.
    """
    file = registry_file(registry)
    with locked(file.with_name(".registry.lock"), wait=True) if file else _server_lock(registry):
        yield


@contextmanager
def _server_lock(registry: dict[str, Any]) -> Iterator[None]:
    """The lock lives as long as its session on the server, which is this connection."""
    engine = registry_engine(registry).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        yield


def lock_until_exit(project: str) -> None:
    """Hold the lock for the rest of the process: Feast's own command, and the profile that it reads.

    What a teardown left in the registry, on which Feast's apply would stumble, is removed.

    Raises:
        click.UsageError: a variable is not set, or the home is relative; Feast prints it as one line.
    """
    context = click.get_current_context(silent=True)
    given = context.find_root().obj if context else None
    file = given.get("FS_YAML_FILE") if isinstance(given, dict) else None
    registry = profile_settings(feast_settings(), file)["registry"]
    _until_exit.enter_context(registry_lock(registry))
    forget_removed_views(registry, project)
