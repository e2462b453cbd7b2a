"""What goes wrong around a home: clocks that step, processes that are killed."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, NamedTuple

import pytest

WRITES = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree")
CLOCKS = (
    "pipelines.features.jobs",
    "feature_repo.offline.tables",
    "feature_repo.online.record",
    "feature_repo.store",
)
"""Modules that read the wall clock."""


class Kill(NamedTuple):
    """A kill of a command.

    Args:
        point: at which change of a file, if the command gets so far.
        again: whether the same command is given next.
    """

    point: int
    again: bool


class Clock:
    """The wall clock of the machine that runs the next command: so much ahead of the true one, or behind."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.ahead = timedelta(0)
        clock = self

        class Shown(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return datetime.now(tz) + clock.ahead

        for module in CLOCKS:
            patch.setattr(f"{module}.datetime", Shown)


class _Watch:
    """Calls a function at the n-th change of a folder's files, before it is made."""

    def __init__(self, folder: Path, point: int, do: Callable[[], None]) -> None:
        self.inside, self.left, self.do, self.busy = os.fspath(folder), point, do, False

    def passed(self) -> None:
        """A change is about to be made, or was just made."""
        if self.busy:
            return
        if self.left == 0:
            self.busy = True
            try:
                self.do()
            finally:
                self.busy = False
        self.left -= 1

    def heard(self, event: str, args: tuple[Any, ...]) -> None:
        """What Python is about to do."""
        if self.busy or not args or not isinstance(args[0], str | os.PathLike):
            return
        writes = event in WRITES or (event == "open" and len(args) > 2 and _writes(args[2]))
        if writes and os.fspath(args[0]).startswith(self.inside):
            self.passed()


_watches: list[_Watch] = []


def _hear(event: str, args: tuple[Any, ...]) -> None:
    for watch in _watches or ():  # there is no list any more while the interpreter ends
        watch.heard(event, args)


def _writes(flags: Any) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


sys.addaudithook(_hear)


@contextmanager
def killed(home: Path, point: int | None) -> Iterator[Callable[[], bool]]:
    """Leave a home as a kill of the process would at its `point`-th change of a file.

    The home is copied at that point, while the command goes on; afterwards the copy takes its place. That is
    what a kill leaves: whatever was written before, and nothing after.

    Yields:
        Tells, after the block, whether the command got so far; if it did not, nothing was done.
    """
    if point is None:
        yield lambda: False
        return
    spare = home.with_name(f"{home.name}-as-killed")
    watch = _Watch(home, point, lambda: _copy(home, spare))
    with pytest.MonkeyPatch.context() as patch:
        # Delta's log and SQLite's pages are written by code that Python does not hear of.
        for module, name in (
            ("lake.tables", "write"),
            ("feature_repo.offline.tables", "write"),
            ("feature_repo.online.send", "write_record"),
            ("feature_repo.online.sqlite.NewestSqliteOnlineStore", "write"),
            ("feature_repo.online.sqlite.NewestSqliteOnlineStore", "keep_only"),
        ):
            _watched(patch, f"{module}.{name}", watch)
        _watches.append(watch)
        try:
            yield lambda: watch.left < 0
        finally:
            _watches.remove(watch)
    if watch.left < 0:
        shutil.rmtree(home)
        spare.rename(home)


def _watched(patch: pytest.MonkeyPatch, name: str, watch: _Watch) -> None:
    from pkgutil import resolve_name

    owner, _, attribute = name.rpartition(".")
    made = getattr(resolve_name(owner), attribute)

    def call(*args: Any, **others: Any) -> Any:
        watch.passed()
        result = made(*args, **others)
        watch.passed()
        return result

    patch.setattr(name, call)


def _copy(home: Path, spare: Path) -> None:
    # A killed process holds no lock any more.
    shutil.copytree(home, spare, ignore=shutil.ignore_patterns(".lock"))
