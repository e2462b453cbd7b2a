"""One apply at a time: Feast's is not atomic, and two at once leave views of both, or of neither.

The lock goes with the registry: a file beside one in SQLite; for one in PostgreSQL an advisory lock of the
server, so that several machines wait for each other. Both end with the process that holds them.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
from sqlalchemy import text

from common.errors import MarqueeError
from common.files import cannot_write
from common.settings import load_settings
from feature_repo.offline.tables import absolute_lake
from feature_repo.profile import profile_file, read_profile
from feature_repo.registry import registry_engine, registry_file

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
    with _file_lock(file.parent) if file else _server_lock(registry):
        yield


@contextmanager
def _file_lock(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".registry.lock").open("w")
    except OSError as error:
        raise cannot_write(folder, error) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _server_lock(registry: dict[str, Any]) -> Iterator[None]:
    """The lock lives as long as its session on the server, which is this connection."""
    engine = registry_engine(registry).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        yield


def lock_until_exit() -> None:
    """The same for the rest of the process, for Feast's own command and the profile that it reads.

    Raises:
        click.UsageError: a variable is not set, or the home is relative; Feast prints it as one line.
    """
    context = click.get_current_context(silent=True)
    given = context.find_root().obj if context else None
    file = (
        given["FS_YAML_FILE"]
        if isinstance(given, dict) and "FS_YAML_FILE" in given
        else profile_file(load_settings())
    )
    try:
        settings = read_profile(file, os.environ)
    except MarqueeError as error:
        raise click.UsageError(str(error)) from error
    absolute_lake(settings["offline_store"].get("lake"))
    _until_exit.enter_context(registry_lock(settings["registry"]))
