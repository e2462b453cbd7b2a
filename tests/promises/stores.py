"""Where a home has its registry and online rows, in files or on servers, and how they go."""

import sqlite3
from collections.abc import Hashable
from pathlib import Path
from random import Random
from typing import Protocol

from sqlalchemy import text

from common.settings import Settings
from feature_repo.identity import say_moved, say_new, space_of
from feature_repo.profile import profile_settings
from feature_repo.registry import server_engine
from tests.servers import Servers

ROWS, REGISTRY = "the online rows", "the registry"


class Stores(Protocol):
    """What the machine does to them."""

    can_kill: bool
    """Whether a kill leaves in them what was written before, and nothing after."""

    def lose_rows(self, home: Path, random: Random, share: float) -> int:
        """Delete some of the rows that are online; how many things went."""

    def lose(self, home: Path, what: str) -> None:
        """Lose `ROWS` or `REGISTRY` as a whole."""

    def files(self, home: Path) -> Hashable:
        """What tells whether they were written; None where nothing does."""

    def copied(self, home: Path, as_new: bool) -> bool:
        """Say what a home is that is elsewhere now, where that is asked; whether it has nothing yet."""


class Files:
    """`Stores` in the home's folder."""

    can_kill = True

    def lose_rows(self, home: Path, random: Random, share: float) -> int:
        lost = 0
        connection = sqlite3.connect(home / "online.db")
        with connection:
            named = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%entity_key%'"
            for (name,) in connection.execute(named).fetchall():
                keys = connection.execute(f'SELECT DISTINCT entity_key FROM "{name}" ORDER BY 1').fetchall()
                gone = [key for key in keys if random.random() < share]
                connection.executemany(f'DELETE FROM "{name}" WHERE entity_key = ?', gone)
                lost += len(gone)
        connection.close()
        return lost

    def lose(self, home: Path, what: str) -> None:
        name = {ROWS: "online.db", REGISTRY: "registry.db"}[what]
        (home / name).unlink(missing_ok=True)  # it may be gone already

    def files(self, home: Path) -> Hashable:
        states = [file.stat() for file in home.glob("*.db*")]
        return tuple(sorted((state.st_size, state.st_mtime_ns) for state in states))

    def copied(self, home: Path, as_new: bool) -> bool:  # noqa: ARG002
        return False


class OnServers:
    """`Stores` on Redis and PostgreSQL, of the profile `scale`."""

    can_kill = False

    def __init__(self, servers: Servers) -> None:
        self.servers = servers

    def lose_rows(self, home: Path, random: Random, share: float) -> int:
        with self.servers.redis as client:
            names = sorted(client.scan_iter(f"{space_of(home)}:*"))
            gone = [name for name in names if random.random() < share]
            return int(client.delete(*gone)) if gone else 0

    def lose(self, home: Path, what: str) -> None:
        if what == ROWS:
            self.lose_rows(home, Random(0), 1.0)
            return
        registry = profile_settings(Settings(home=home))["registry"]
        with server_engine(registry).begin() as connection:
            connection.execute(text(f"DROP SCHEMA IF EXISTS {space_of(home)} CASCADE"))

    def files(self, home: Path) -> Hashable:  # noqa: ARG002
        return None

    def copied(self, home: Path, as_new: bool) -> bool:
        (say_new if as_new else say_moved)(home)
        return as_new
