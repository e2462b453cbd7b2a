"""What a person sees while stages run, and what each stage cost."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

GIB = 1024**3
Report = Callable[[str, int, int], None]
"""How a stage tells its progress: a word on the current step, steps done, steps in all (0: unknown)."""


@dataclass(frozen=True, slots=True)
class StageCost:
    """Seconds, and the peak resident memory (bytes) of this process and all its children."""

    name: str
    seconds: float
    peak_memory: int


@dataclass
class Stages:
    """Runs stages one after the other, shows each, and keeps what it cost."""

    console: Console
    costs: list[StageCost] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator["Stage"]:
        """Show a stage from its start to its end: a live bar on a terminal, plain lines elsewhere."""
        stage = Stage(self.console, name)
        with stage.display(), peak_memory() as peak:
            yield stage
        self.costs.append(StageCost(name, stage.seconds, peak()))
        self.console.print(
            f"[green]✓[/] [bold]{name}[/]  {escape(stage.outcome)}  "
            f"[dim]{stage.seconds:.1f} s, {self.costs[-1].peak_memory / GIB:.1f} GiB[/]"
        )


@dataclass
class Stage:
    """One running stage; `outcome` is the line that stands when it is done."""

    console: Console
    name: str
    outcome: str = ""
    started: float = field(default_factory=time.monotonic)
    _told: float = 0.0
    _show: Report | None = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def report(self, word: str, done: int, total: int) -> None:
        """Tell how far the stage is."""
        if self._show is not None:
            self._show(word, done, total)

    @contextmanager
    def display(self) -> Iterator[None]:
        if not self.console.is_terminal:
            self.console.print(f"▸ {self.name}")
            self._show = self._print_line
            yield
            return
        columns = (
            SpinnerColumn(),
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[word]}", markup=False),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(self.name, total=None, word="")
            self._show = lambda word, done, total: progress.update(
                task, completed=done, total=total or None, word=word
            )
            yield

    def _print_line(self, word: str, done: int, total: int) -> None:
        """At most one line in three seconds, so that a log stays readable."""
        if time.monotonic() - self._told > 3:
            self._told = time.monotonic()
            steps = f"{done:,}/{total:,} " if total else ""
            self.console.print(f"  {self.name}: {steps}{word}", markup=False)


@contextmanager
def peak_memory(interval: float = 0.25) -> Iterator[Callable[[], int]]:
    """Watch this process and its children; the callable gives the peak sum of resident memory in bytes.

    Pages that processes share are counted for each of them, so the figure errs upwards.
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
