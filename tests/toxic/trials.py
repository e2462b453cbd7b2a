"""Disturbing commands by their servers, and judging how they end and what comes after.

A command must end in the time that it may take, with exit code 0 or with 2 and one sentence that names the
server, says what to do and holds no password. A 0 must be true. When the server is well again, the same
command must end with 0, and all must be as if nothing had been.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.toxic.proxy import Proxy
from tests.toxic.site import LIMIT, PATIENT, SERVERS, Ended, Site
from tests.toxic.tasks import TASKS

SLOW = 10
"""Milliseconds by which a slow server's answers come later."""
ANSWERS = 4
"""So many times may a command wait for an answer that does not come: it connects anew, and says good-bye."""


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
    "requests too late": lambda proxy: proxy.add("latency", "upstream", latency=3_000 * LIMIT),
    "answers too late": lambda proxy: proxy.add("latency", latency=3_000 * LIMIT),
    "slow": lambda proxy: proxy.add("latency", latency=SLOW),
    "narrow": lambda proxy: proxy.add("bandwidth", rate=100),
}
"""By name, how a proxy is told to do it from now on, to connections that are open and to new ones."""
BEARABLE = ("slow", "narrow")
"""What makes a command slower, and nothing else."""


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
        home: that was applied and materialised; one of its own where None.
    """

    def __init__(self, site: Site, name: str, home: Path | None = None) -> None:
        kind, words = TASKS[name]
        self.site, self.task = site, kind(words, site, home)
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
