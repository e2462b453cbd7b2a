"""What a person sees while stages run: a live bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from common.progress import Progress, StageCost

GIB = 1024**3
SECONDS_BETWEEN_LINES = 3
"""Off a terminal: so that a log stays readable."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """Shows stages on a console; a `common.progress.Listener`."""

    console: Console

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """Show a stage from its start to its end."""
        if not self.console.is_terminal:
            self.console.print(f"▸ {name}", markup=False)
            yield _lines(self.console, name)
            return
        columns = (
            SpinnerColumn(),
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[word]}", markup=False),
            TimeElapsedColumn(),
        )
        with Bar(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task(escape(name), total=None, word="")
            yield lambda word, done, total: bar.update(task, completed=done, total=total or None, word=word)

    def done(self, cost: StageCost, outcome: str) -> None:
        """Say how a stage ended, and what it cost."""
        self.console.print(
            f"[green]✓[/] [bold]{escape(cost.name)}[/]  {escape(outcome)}  "
            f"[dim]{cost.seconds:.1f} s, {cost.peak_memory / GIB:.1f} GiB[/]"
        )

    def note(self, text: str) -> None:
        """Say something between the stages."""
        self.console.print(text, style="dim", markup=False)


def _lines(console: Console, name: str) -> Progress:
    """Progress as lines, seldom enough for a log."""
    told = 0.0

    def line(word: str, done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told > SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            # A share needs no unit; what is counted differs: tables, keys, bytes.
            share = f" ({100 * done // total} %)" if total else ""
            console.print(f"  {name}: {word}{share}", markup=False)

    return line
