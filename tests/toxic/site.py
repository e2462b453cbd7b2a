"""Servers behind Toxiproxy, and homes on them."""

import contextlib
import io
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from unittest.mock import patch

from sqlalchemy import make_url, text

from common.settings import Settings
from feature_repo.identity import FILE, identity_of, space_of
from feature_repo.profile import profile_settings
from feature_repo.registry import server_engine
from tests.marquee import in_process
from tests.servers import Servers
from tests.small_home import ingest
from tests.small_movielens import write_small_movielens
from tests.toxic.proxy import Proxy, toxiproxy
from tests.toxic.relay import Relay

LIMIT = 1
"""Seconds that a server may take for an answer while it misbehaves."""
PATIENT = 60
"""And when it is well."""
SERVERS = {"redis": "Redis", "postgres": "PostgreSQL"}


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, what it said, after how many seconds, whether it had to be ended."""

    code: int
    errors: list[str]
    output: str
    seconds: float
    hung: bool


class Site:
    """Servers behind proxies, and homes on them.

    Args:
        folder: for the homes.
        servers: that run.
        proxies: before the relays, by `SERVERS`.
        relays: before the servers.
    """

    def __init__(
        self, folder: Path, servers: Servers, proxies: dict[str, Proxy], relays: dict[str, Relay]
    ) -> None:
        self.folder, self.servers, self.proxies, self.relays = folder, servers, proxies, relays
        self.secret = servers.variables["MARQUEE_REDIS"].rpartition("=")[2]
        self.numbers = count(1)
        self.home = folder / "computed"
        data, _ = write_small_movielens(folder, users=30, movies=40)
        for words in (ingest(data), "pipeline run"):
            self.must(words, self.home)

    @contextmanager
    def exported(self, limit: int) -> Iterator[None]:
        """The environment of a command, with the servers behind the proxies."""
        found = dict(self.servers.variables)
        for variable, name in (("MARQUEE_REDIS", "redis"), ("MARQUEE_POSTGRES", "postgres")):
            of_server, of_proxy = self.relays[name].server[1], self.proxies[name].port
            found[variable] = found[variable].replace(f"127.0.0.1:{of_server}", f"127.0.0.1:{of_proxy}")
        found |= {"MARQUEE_SERVER_TIMEOUT": str(limit), "MARQUEE_SPARK_MASTER": "local[1]", "COLUMNS": "300"}
        with patch.dict(os.environ, found):
            yield

    def run(self, words: str, home: Path, limit: int = PATIENT, longest: float = 600) -> Ended:
        """A command on a home; after `longest` seconds, no proxy lets anything through, which ends it."""
        late = threading.Event()

        def end() -> None:
            late.set()
            for proxy in self.proxies.values():
                proxy.down()

        said = io.StringIO()
        watchdog = threading.Timer(longest, end)
        watchdog.start()
        began = time.monotonic()
        try:
            with self.exported(limit), contextlib.redirect_stdout(said):
                done = in_process(home, *words.split())
        finally:
            watchdog.cancel()
        return Ended(done.code, done.lines, said.getvalue(), time.monotonic() - began, late.is_set())

    def must(self, words: str, home: Path) -> None:
        """A command that has to end well."""
        done = self.run(words, home)
        assert done.code == 0, (words, done)

    def new_home(self) -> Path:
        """A home that was computed, and never applied."""
        return Path(shutil.copytree(self.home, self.folder / str(next(self.numbers)) / "home"))

    def forget(self, home: Path) -> None:
        """Remove all that servers hold for a home, and what it says of itself."""
        if identity_of(home) is None:
            return
        with self.exported(PATIENT):
            registry = profile_settings(Settings(home=home))["registry"]
            with server_engine(registry).begin() as connection:
                connection.execute(text(f"DROP SCHEMA IF EXISTS {space_of(home)} CASCADE"))
        self.lose_rows(home)
        (home / FILE).unlink()

    def lose_rows(self, home: Path) -> None:
        """Remove what is online of a home."""
        with self.servers.redis as client:
            names = list(client.scan_iter(f"{space_of(home)}:*"))
            if names:
                client.delete(*names)


@contextmanager
def site_with(folder: Path, servers: Servers) -> Iterator[Site]:
    """The servers behind Toxiproxy."""
    redis = servers.variables["MARQUEE_REDIS"].partition(",")[0].rpartition(":")[2]
    postgres = make_url(servers.variables["MARQUEE_POSTGRES"]).port
    relays = {
        name: Relay(("127.0.0.1", int(port))) for name, port in zip(SERVERS, (redis, postgres), strict=True)
    }
    with ExitStack() as stack:
        for relay in relays.values():
            stack.callback(relay.close)
        proxies = stack.enter_context(toxiproxy({name: relay.address for name, relay in relays.items()}))
        yield Site(folder, servers, proxies, relays)
