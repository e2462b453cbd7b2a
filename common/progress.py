"""How work tells what it is doing and what that cost, whoever listens: a terminal, a log, or nobody."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import psutil

Progress = Callable[[str, int, int], None]
"""Tells how far a stage is: a word on the current step, steps done, steps in all (0: unknown)."""


@dataclass(frozen=True, slots=True)
class StageCost:
    """What a stage cost.

    Args:
        name: of the stage.
        seconds: that it took.
        peak_memory: the most resident memory (bytes) of this process and all its children meanwhile.
    """

    name: str
    seconds: float
    peak_memory: int


class Listener(Protocol):
    """Whoever is told what goes on."""

    def stage(self, name: str) -> AbstractContextManager[Progress]:
        """A stage starts: what the context gives is told its progress; the context ends with the stage."""

    def done(self, cost: StageCost, outcome: str) -> None:
        """A stage has ended well."""

    def note(self, text: str) -> None:
        """Something worth knowing, beside the stages."""


class Silence:
    """Listens to nothing."""

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:  # noqa: ARG002
        """Ignore the stage's progress."""
        yield ignore

    def done(self, cost: StageCost, outcome: str) -> None:
        """Ignore the outcome."""

    def note(self, text: str) -> None:
        """Ignore the note."""


def ignore(word: str, done: int, total: int) -> None:
    """Progress that nobody asked for."""


@dataclass
class Stage:
    """One running stage.

    Args:
        report: tells how far it is.
        outcome: the line that stands when it is done; the work sets it.
        started: by the monotonic clock, in seconds.
    """

    report: Progress
    outcome: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the stage started."""
        return time.monotonic() - self.started


@dataclass
class Stages:
    """Runs stages one after the other, tells a listener of each, and keeps what each cost."""

    listener: Listener = field(default_factory=Silence)
    costs: list[StageCost] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Run a stage; an exception ends it without an outcome, and it is then not among the costs."""
        with self.listener.stage(name) as report, peak_memory() as peak:
            stage = Stage(report)
            yield stage
        cost = StageCost(name, stage.seconds, peak())
        self.costs.append(cost)
        self.listener.done(cost, stage.outcome)

    def note(self, text: str) -> None:
        """Tell something worth knowing."""
        self.listener.note(text)


@contextmanager
def peak_memory(interval: float = 0.25) -> Iterator[Callable[[], int]]:
    """Watch this process and its children; the callable gives the peak sum of resident memory in bytes.

    Pages that processes share are counted for each of them, so the figure errs upwards.

    Args:
        interval: seconds between looks.
    """
    peak = 0
    stopped = threading.Event()

    def resident(process: psutil.Process) -> int:
        try:
            return int(process.memory_info().rss)
        except psutil.Error:
            return 0  # ended in the meantime

    def watch() -> None:
        nonlocal peak
        me = psutil.Process()
        while not stopped.is_set():
            peak = max(peak, sum(resident(process) for process in [me, *me.children(recursive=True)]))
            stopped.wait(interval)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: peak
    finally:
        stopped.set()
        watcher.join()
