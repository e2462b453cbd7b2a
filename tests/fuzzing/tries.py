"""Tries: each makes one broken file, gives it to the product, and looks at what became of it."""

import faulthandler
import resource
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from common.errors import LONGEST, MarqueeError

Attempt = Callable[[Random, Path], str]
"""Makes files in an empty folder and gives them to the product; one word for what became of them.

It raises whatever the product raises, and `AssertionError` where a value is wrong.
"""
SECONDS = 20
"""That one try may take."""
RUNS = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.startfile"),
    *("subprocess.Popen", "pickle.find_class"),
    *("ctypes.dlopen", "socket.connect", "socket.bind"),
)
"""What Python tells of where code is run, or someone is called, that a file asked for."""


class Finding(NamedTuple):
    """A try that the product did not stand.

    Args:
        kind, seed, number: which try; it is made the same again by them.
        error: what was raised.
        where: the last lines of the traceback.
    """

    kind: str
    seed: int
    number: int
    error: str
    where: str


class Outcome(NamedTuple):
    """What became of many tries: by word how many, and the findings."""

    words: Counter[str]
    findings: list[Finding]


class _Heard:
    """What Python told of since the last try."""

    def __init__(self) -> None:
        self.armed, self.installed = False, False
        self.events: list[str] = []

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self.armed and event in RUNS:
            self.events.append(f"{event} {args!r}"[:200])

    @contextmanager
    def listening(self) -> Iterator[None]:
        if not self.installed:  # a hook stays as long as the process
            sys.addaudithook(self.hear)
            self.installed = True
        self.events.clear()
        self.armed = True
        try:
            yield
        finally:
            self.armed = False
        assert not self.events, f"code was run: {self.events}"


_heard = _Heard()


def refused(sentence: MarqueeError) -> str:
    """The word for a file that was refused, in a sentence as it should be."""
    text = str(sentence)
    assert text and len(text.splitlines()) == 1, f"not one line: {text!r}"
    assert len(text) <= LONGEST + 3, f"{len(text)} characters: {text[:200]!r}"
    text.encode()  # or else it cannot be printed
    return "refused"


def attempt(kind: str, do: Attempt, seed: int, number: int, folder: Path) -> tuple[str, Finding | None]:
    """One try; the word for what became of it, or the finding.

    Args:
        folder: is emptied first, and keeps the files.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with _heard.listening(), _in_time():
            try:
                return do(Random(f"{kind} {seed} {number}"), folder), None
            except MarqueeError as error:
                return refused(error), None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if "site-packages" not in frame.filename and frame.filename.endswith(".py")
        ][-6:]
        where = "\n".join(f"    {Path(f.filename).name}:{f.lineno} {f.name}: {f.line}" for f in frames)
        said = f"{type(error).__name__}: {str(error)[:600]}"
        return "found", Finding(kind, seed, number, said, where)


def search(
    kind: str,
    do: Attempt,
    numbers: Iterable[int],
    seed: int,
    keep: Path | None = None,
    tell: Callable[[Finding], object] = lambda _: None,
) -> Outcome:
    """Many tries.

    Args:
        keep: a folder for the files of findings; they are kept nowhere where None.
        tell: called with each finding.
    """
    words: Counter[str] = Counter()
    findings = []
    with TemporaryDirectory(prefix="marquee-fuzzing-") as scratch:
        folder = Path(scratch, "try")
        attempt(kind, do, seed, -1, folder)  # loads libraries, which start processes
        for number in numbers:
            word, finding = attempt(kind, do, seed, number, folder)
            words[word] += 1
            if finding is not None:
                findings.append(finding)
                if keep is not None:
                    kept = keep / f"{kind}-{seed}-{number}"
                    shutil.rmtree(kept, ignore_errors=True)
                    shutil.copytree(folder, kept)
                tell(finding)
    return Outcome(words, findings)


def memory() -> int:
    """The most bytes that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def _in_time() -> Iterator[None]:
    """Break off what takes too long; where it is not Python that does, end the process with its traceback."""

    def late(*_: object) -> None:
        raise TimeoutError(f"took more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    faulthandler.dump_traceback_later(6 * SECONDS, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()
