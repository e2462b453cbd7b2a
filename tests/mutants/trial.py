"""Tests in a fork of this process, with the text of one module exchanged.

This process imports the libraries and nothing of ours: each fork imports what it is to test.
"""

import gc
import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")
LIBRARIES = (
    "deltalake",
    "duckdb",
    "feast",
    "pandas",
    "pyarrow.compute",
    "pyarrow.dataset",
    "pyspark.sql",
)
"""What takes long to import, and starts no threads that a fork would lack."""
LOOK = 0.02
"""Seconds between two looks whether a fork has ended."""
FEWER, LEAST = 16, 2
"""By what examples are divided, and how many there are at least."""
MOST_BYTES = 24 * 2**30
"""Of address space, for a mutant that asks for ever more."""
Lines = dict[str, set[int]]


@dataclass(eq=False)
class Chosen:
    """A plugin of pytest's: which unit tests to run, with the same examples each time, and what to note.

    Args:
        tests: their names in order; None for all.
        modules: files whose lines are watched.
        seconds: that each took.
        lines: that each ran, by test and file. What a fixture runs is noted for the whole file of tests.
        failed: the first that failed; a file where it could not be read.
    """

    tests: Sequence[str] | None = None
    modules: Sequence[str] = ()
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    lines: dict[str, Lines] = field(default_factory=dict)
    failed: str | None = None

    def pytest_sessionstart(self) -> None:
        same = settings(database=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
        settings.register_profile("mutants", same)
        settings.load_profile("mutants")
        settings.__call__ = with_fewer  # type: ignore[method-assign,assignment]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.get_closest_marker("unit")]
        if self.tests is not None:
            place = {name: place for place, name in enumerate(self.tests)}
            items[:] = [item for item in items if item.nodeid in place]
            items.sort(key=lambda item: place[item.nodeid])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        with self._watch(file_of(item.nodeid)):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        with self._watch(item.nodeid):
            return (yield)

    @contextmanager
    def _watch(self, name: str) -> Iterator[None]:
        seen = self.lines.setdefault(name, {module: set() for module in self.modules})
        with watched({str(ROOT / module): lines for module, lines in seen.items()}):
            yield

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed and self.failed is None:
            self.failed = report.nodeid


def with_fewer(asked: settings, test: Any, /, decorate: Any = settings.__call__) -> Any:
    """A test with the settings that it asks for, but fewer examples."""
    return decorate(settings(asked, max_examples=max(asked.max_examples // FEWER, LEAST)), test)


@contextmanager
def watched(lines: Lines) -> Iterator[None]:
    """Note the lines of functions that are run in some files meanwhile, in any thread."""

    def called(frame: FrameType, *_: Any) -> Any:
        seen = lines.get(frame.f_code.co_filename)
        if seen is None or not frame.f_code.co_flags & CO_OPTIMIZED:  # which modules and classes lack
            return None
        seen.add(frame.f_lineno)
        return called

    if lines:
        threading.settrace(called)
        sys.settrace(called)
    try:
        yield
    finally:
        if lines:
            sys.settrace(None)
            threading.settrace(None)


@dataclass(frozen=True)
class Test:
    """A test that passes.

    Args:
        lines: that it runs, by file.
    """

    name: str
    seconds: float
    lines: Mapping[str, frozenset[int]]


def all_tests(files: Sequence[str], modules: Sequence[str]) -> list[Test]:
    """The unit tests of files, the quickest first.

    Raises:
        RuntimeError: one of them fails.
    """

    def run() -> dict[str, Any]:
        chosen = Chosen(modules=modules)
        passed = pytest_on(files, chosen) == 0
        lines = {
            name: {module: sorted(run) for module, run in of.items()} for name, of in chosen.lines.items()
        }
        return {"passed": passed, "failed": chosen.failed, "seconds": chosen.seconds, "lines": lines}

    found = in_fork(run, 3600)
    if not found or not found["passed"]:
        raise RuntimeError(f"the tests fail without any change: {found and found['failed']}")
    lines = found["lines"]
    tests = [
        Test(name, seconds, {m: frozenset([*lines[name][m], *lines[file_of(name)][m]]) for m in modules})
        for name, seconds in found["seconds"].items()
    ]
    return sorted(tests, key=lambda test: test.seconds)


def killed_by(module: str, source: str, tests: Sequence[Test]) -> str | None:
    """The test that fails where a module has another text, or what else happens; None where all pass."""
    names = [test.name for test in tests]
    files = list(dict.fromkeys(file_of(name) for name in names))

    def run() -> dict[str, Any]:
        sys.meta_path.insert(0, Exchange(module, source))
        chosen = Chosen(names)
        code = pytest_on(files, chosen)
        return {"passed": code == 0, "failed": chosen.failed or f"pytest ends with {code}"}

    found = in_fork(run, 20 + 5 * sum(test.seconds for test in tests))
    if found is None:
        return "it ends, or does not end"
    return None if found["passed"] else found["failed"]


def pytest_on(files: Sequence[str], chosen: Chosen) -> int:
    options = ("-x", "-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:unraisableexception")
    base = f"--basetemp={tempfile.gettempdir()}/tests"
    return int(pytest.main([*options, base, *(str(ROOT / file) for file in files)], [chosen]))


def file_of(test: str) -> str:
    """The file that a test stands in."""
    return test.split("::")[0]


class Exchange:
    """Imports one module from another text."""

    def __init__(self, module: str, source: str) -> None:
        self.path, self.source = str(ROOT / module), source
        self.name = module.removesuffix(".py").replace("/", ".")

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        if name != self.name:
            return None
        return spec_from_file_location(name, self.path, loader=_Loader(self.source, name, self.path))


class _Loader(SourceFileLoader):
    def __init__(self, source: str, name: str, path: str) -> None:
        super().__init__(name, path)
        self.source = source

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        return compile(self.source, self.path, "exec")


@contextmanager
def prepared() -> Iterator[None]:
    """All that forks need is imported; none needs pytest's plugins, which take long to be looked for."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in LIBRARIES:
        import_module(name)
    gc.freeze()
    yield
    gc.unfreeze()


def in_fork(work: Callable[[], dict[str, Any]], seconds: float) -> dict[str, Any] | None:
    """What work says that is done in a fork, with a folder of its own for all that is temporary.

    Returns:
        None where the fork ended without a word, or took longer than so many seconds.
    """
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="mutant-") as folder:
        told = Path(folder) / "told.json"
        fork = os.fork()
        if not fork:
            _work(work, Path(folder), told, seconds)
        # Looks are counted, not time: a machine that sleeps, or a process that is stopped, is not late.
        for _ in range(int(seconds / LOOK)):
            if os.waitpid(fork, os.WNOHANG) != (0, 0):
                break
            time.sleep(LOOK)
        else:
            os.killpg(fork, signal.SIGKILL)
            os.waitpid(fork, 0)
        found: dict[str, Any] | None = json.loads(told.read_text()) if told.is_file() else None
        return found


def _work(work: Callable[[], dict[str, Any]], folder: Path, told: Path, seconds: float) -> None:
    try:
        os.setsid()
        log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 1)
        os.dup2(log, 2)
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        told.write_text(json.dumps(work()))
    finally:
        os._exit(0)
