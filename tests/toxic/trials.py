"""Disturbing commands by their servers, and judging how they end and what comes after.

A command must end in the time that it may take, with exit code 0 or with 2 and one sentence that names the
server, says what to do and holds no password. A 0 must be true. When the server is well again, the same
command must end with 0, and all must be as if nothing had been.
"""

import contextlib
import io
import os
import random
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import ClassVar
from unittest.mock import patch

from sqlalchemy import make_url, text

from common.settings import Settings
from feature_repo import store
from feature_repo.domains.movies import DOMAIN
from feature_repo.identity import FILE, identity_of, space_of
from feature_repo.profile import profile_settings
from feature_repo.registry import server_engine
from tests.home_state import online_differs
from tests.marquee import in_process, table
from tests.promises.home import otherwise
from tests.servers import Servers
from tests.small_home import ingest
from tests.small_movielens import write_small_movielens
from tests.toxic.proxy import Proxy, toxiproxy
from tests.toxic.relay import Relay

LIMIT = 1
"""Seconds that a server may take for an answer while it misbehaves."""
PATIENT = 60
"""And when it is well."""
SLOW = 10
"""Milliseconds by which a slow server's answers come later."""
ANSWERS = 4
"""So many times may a command wait for an answer that does not come: it connects anew, and says good-bye."""
SERVERS = {"redis": "Redis", "postgres": "PostgreSQL"}
ENDED = re.compile(
    r"Error: (?P<server>Redis|PostgreSQL) (does not answer|refuses) \(.+?\): [^:].*\.( Traceback: \S+)?"
)
NOT_WELL = re.compile(r"Error: Not well: (?P<what>[^.]+)\. The table says how to mend each\.")
LOOKED_AT = {"PostgreSQL": {"registry"}, "Redis": {"online store", "online memory"}}
"""What `doctor` calls what it asks of a server."""


# --- what servers do ---------------------------------------------------------------------------------------


def _reset(proxy: Proxy) -> None:
    proxy.add("reset_peer", timeout=0)
    proxy.add("reset_peer", "upstream", timeout=0)


def _cut(proxy: Proxy) -> None:
    proxy.add("limit_data", bytes=50)


FAULTS: dict[str, Callable[[Proxy], None]] = {
    "down": Proxy.down,
    "restarted": Proxy.restart,
    "reset": _reset,
    "closed in mid-answer": _cut,
    "requests lost": lambda proxy: proxy.add("timeout", "upstream", timeout=0),
    "answers lost": lambda proxy: proxy.add("timeout", timeout=0),
    "too late": lambda proxy: proxy.add("latency", latency=3_000 * LIMIT),
    "slow": lambda proxy: proxy.add("latency", latency=SLOW),
    "narrow": lambda proxy: proxy.add("bandwidth", rate=100),
}
"""By name, how a proxy is told to do it from now on, to connections that are open and to new ones."""
BEARABLE = ("slow", "narrow")
"""What makes a command slower, and nothing else."""


# --- where they do it --------------------------------------------------------------------------------------


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


# --- commands that they do it to ---------------------------------------------------------------------------


@dataclass
class Task:
    """A command to be disturbed, on a home of its own.

    Args:
        words: as they are typed; NEW stands for a file of new ratings.
        site: where.
    """

    words: str
    site: Site
    ready: ClassVar[tuple[str, ...]] = ("features apply", "features materialize")
    """What is done to the home once."""
    meanwhile: ClassVar[tuple[str, ...]] = ()
    """What is done between the disturbed command and the next one, and may be refused in one sentence."""
    home: Path = field(init=False)
    typed: str = field(init=False)

    def __post_init__(self) -> None:
        self.home = self.site.folder / f"{type(self).__name__.lower()}-{next(self.site.numbers)}" / "home"
        shutil.copytree(self.site.home, self.home)
        for words in self.ready:
            self.site.must(words, self.home)
        self.typed = self.words

    def prepare(self) -> None:
        """Make the home such that there is something to do."""

    def faults(self, ended: Ended) -> list[str]:  # noqa: ARG002
        """What is not as it must be after a command that said that it is done."""
        with self.site.exported(PATIENT):
            return online_differs(self.home)

    def blames(self, line: str) -> set[str]:
        """The servers that a refusal names; none where it is not as it should be."""
        said = ENDED.fullmatch(line)
        return set() if said is None else {said["server"]}

    def close(self) -> None:
        """Remove the home."""
        self.site.forget(self.home)
        shutil.rmtree(self.home.parent)


class Answers(Task):
    """A command that changes nothing, and says the same each time."""

    said: str | None = None

    def faults(self, ended: Ended) -> list[str]:
        if self.said is None:
            self.said = ended.output
        return [] if ended.output == self.said else [f"said {ended.output[:300]!r}"]


class Looks(Task):
    """`doctor`, whose table changes with the machine."""

    def faults(self, ended: Ended) -> list[str]:
        wrong = [name for name in ("registry", "online store", "online memory") if name not in ended.output]
        return [f"says nothing of {name}" for name in wrong]

    def blames(self, line: str) -> set[str]:
        said = NOT_WELL.fullmatch(line)
        amiss = set() if said is None else set(said["what"].split(", "))
        return {server for server, subjects in LOOKED_AT.items() if amiss & subjects}


class Sends(Task):
    """Brings all rows online."""

    def prepare(self) -> None:
        self.site.lose_rows(self.home)


class Applies(Task):
    """The first apply of a home."""

    ready = ()
    meanwhile = ("features plan", "features lookup --user 1 --movie 1", "features materialize")

    def prepare(self) -> None:
        self.site.forget(self.home)

    def faults(self, ended: Ended) -> list[str]:
        with self.site.exported(PATIENT):
            changes = [str(change) for change in store.plan(Settings(home=self.home), DOMAIN)]
        if changes:
            return [f"has still to {change}" for change in changes]
        self.site.must("features materialize", self.home)
        return super().faults(ended)


class Changes(Applies):
    """An apply of other declarations than are there."""

    ready = Task.ready

    def prepare(self) -> None:
        with self.site.exported(PATIENT):
            store.apply(Settings(home=self.home), otherwise(DOMAIN))


class Pushes(Task):
    """Takes in three ratings: of now, of long ago, and of both by one user."""

    pushed: list[tuple[int, int, int]]

    def prepare(self) -> None:
        n = next(self.site.numbers)
        self.pushed = [(1 + n % 30, 1 + n % 40, 1_600_000_000 + n), (1 + n % 29, 1 + n % 39, 950_000_000 + n)]
        self.pushed.append((1 + n % 30, 1 + (n + 1) % 40, 960_000_000 + n))
        file = self.home.parent / f"new-{n}.csv"
        rows = "".join(f"{user},{movie},{1 + n % 4},{second}\n" for user, movie, second in self.pushed)
        file.write_text(f"userId,movieId,rating,timestamp\n{rows}")
        self.typed = self.words.replace("NEW", str(file))

    def faults(self, ended: Ended) -> list[str]:
        rows = table(self.home, "ratings").to_pylist()
        there = [(row["user_id"], row["movie_id"], int(row["event_timestamp"].timestamp())) for row in rows]
        lost = [f"{there.count(rating)} times {rating}" for rating in self.pushed if there.count(rating) != 1]
        return lost + super().faults(ended)


TASKS: dict[str, tuple[type[Task], str]] = {
    "plan": (Answers, "features plan"),
    "apply": (Applies, "features apply"),
    "change": (Changes, "features apply"),
    "materialize": (Sends, "features materialize"),
    "push": (Pushes, "features push NEW"),
    "lookup": (Answers, "features lookup --user 1 --movie 1 --json"),
    "doctor": (Looks, "doctor"),
}


# --- what becomes of them ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """A server that does something from a byte of its answers on.

    Args:
        server: of `SERVERS`.
        fault: of `FAULTS`.
        share: of the bytes that it answers to the undisturbed command; None for before the command.
    """

    server: str
    fault: str
    share: float | None

    def __str__(self) -> str:
        when = "from the start" if self.share is None else f"from {self.share:4.0%} on"
        return f"{SERVERS[self.server]} {self.fault} {when}"


class Trial:
    """A task, undisturbed once, to be disturbed many times.

    Args:
        site: where.
        name: of `TASKS`.
    """

    def __init__(self, site: Site, name: str) -> None:
        kind, words = TASKS[name]
        self.site, self.task = site, kind(words, site)
        self.task.prepare()
        for relay in site.relays.values():
            relay.watch()
        self.usual = site.run(self.task.typed, self.task.home)
        self.answered = {name: relay.answered for name, relay in site.relays.items()}
        assert self.usual.code == 0, self.usual
        assert not (found := self.task.faults(self.usual)), found

    def points(self, faults: Sequence[str], parts: int, seed: int) -> list[Point]:
        """Where to disturb: before the command, and by chance in each part of what a server answers."""
        found = []
        for server, answered in self.answered.items():
            for fault in faults:
                chance = random.Random(f"{seed} {self.task.words} {server} {fault}")
                found.append(Point(server, fault, None))
                if answered:
                    shares = ((part + chance.random()) / parts for part in range(parts))
                    found += [Point(server, fault, share) for share in shares]
        return found

    def disturbed(self, point: Point) -> tuple[Ended, list[str]]:
        """Disturb the task; how it ended, and all that was not right of that and afterwards."""
        self.task.prepare()
        proxy, relay = self.site.proxies[point.server], self.site.relays[point.server]
        if point.fault == "reset":  # what is closed from now on is closed abruptly
            proxy.add("reset_peer", toxicity=0.0, timeout=0)
            proxy.add("reset_peer", "upstream", toxicity=0.0, timeout=0)
        misbehave = FAULTS[point.fault]
        if point.share is None:
            misbehave(proxy)
        else:
            relay.watch(int(point.share * self.answered[point.server]), lambda: misbehave(proxy))
        bearable = point.fault in BEARABLE
        usual = 5 + 5 * self.usual.seconds
        longest = 60 + usual if bearable else ANSWERS * LIMIT + usual
        try:
            limit = PATIENT if bearable else LIMIT
            ended = self.site.run(self.task.typed, self.task.home, limit, longest)
        finally:
            relay.watch()
            proxy.toxiproxy.reset()
        faults = self._ended_wrong(ended, point)
        if ended.code == 0:
            faults += [f"not done: {fault}" for fault in self.task.faults(ended)[:3]]
        for words in self.task.meanwhile if ended.code else ():
            other = self.site.run(words, self.task.home)
            if other.code != 0 and (other.code != 2 or len(other.errors) != 1):
                faults.append(f"then {words} ends with {other.code}: {other.errors}")
        again = self.site.run(self.task.typed, self.task.home)
        if again.code != 0:
            faults.append(f"the next one ends with {again.code}: {again.errors}")
        else:
            faults += [f"after the next one: {fault}" for fault in self.task.faults(again)[:3]]
        return ended, faults

    def _ended_wrong(self, ended: Ended, point: Point) -> list[str]:
        """What is wrong with how a disturbed command ended."""
        text = "\n".join([*ended.errors, ended.output])
        faults = ["tells the password"] if self.site.secret in text else []
        if ended.hung:
            faults.append(f"did not end in {ended.seconds:.0f} s")
        if ended.code == 0:
            return faults
        if ended.code != 2 or len(ended.errors) != 1:
            return [*faults, f"exit code {ended.code}: {ended.errors}"]
        (line,) = ended.errors
        if self.task.blames(line) != {SERVERS[point.server]}:
            faults.append(f"says {line}")
        if point.fault in BEARABLE:
            faults.append(f"is refused: {line}")
        elif not self.answered[point.server]:
            faults.append(f"needs a server that it does not ask: {line}")
        return faults
