"""Ctrl-C and SIGTERM: a command ends by the signal's exit code and one line, whatever it was doing.

The first signal raises KeyboardInterrupt in the main thread: temporary files go, tables are rolled back.
Libraries may swallow that, turn it into an error of their own, or not return from native code for long. Hence
a thread of its own hears of the signal, too. It ends the process after `GRACE` seconds, or at once where
another signal comes; what is written bears to be cut off. From the first signal on, nothing but our line
goes to standard error.
"""

import atexit
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import ClassVar, NoReturn

GRACE = 5.0
"""Seconds from the first signal to the end."""
ONE_PRESS = 0.5
"""Seconds in which further signals are the same one, passed on by whoever started us."""
WORDS = {int(signal.SIGINT): "Interrupted", int(signal.SIGTERM): "Terminated"}
STATE = "nothing is half-written. Type the same command again: what was done stays done."


class _Process:
    """What this process knows of signals."""

    raised = 0
    """The one that the main thread was told of; 0 for none."""
    heard = 0
    """The one that the other thread heard of."""
    at_work = True
    """Whether there is something to be interrupted."""
    errors = 2
    """Where our line goes."""
    to_say = threading.Semaphore(1)
    at_once: ClassVar[list[Callable[[], object]]] = []


def take() -> None:
    """Answer signals from now on; once a process, in its main thread.

    A signal that is ignored stays so: a shell lets what it runs behind ignore Ctrl-C.
    """
    with suppress(OSError):  # it may be closed
        _Process.errors = os.dup(2)
    heard, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    for number in WORDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    threading.Thread(target=_watch, args=(heard,), daemon=True).start()
    # First, hence done last of all that is done at the end.
    atexit.register(_be_deaf)


def _be_deaf() -> None:
    """Ignore signals: all is done and said, and Python, as it takes itself apart, would end by a signal's own
    code without our line."""
    for number in WORDS:
        signal.signal(number, signal.SIG_IGN)


def at_once(do: Callable[[], object]) -> None:
    """Have something done as soon as a signal comes, such as ending a child that the work waits for."""
    _Process.at_once.append(do)


def received() -> bool:
    """Whether a signal came: what else went wrong since follows from it."""
    return bool(_Process.raised or _Process.heard)


def work_ends() -> None:
    """From now on there is nothing to be interrupted: a signal ends the process at once."""
    _Process.at_work = False


def leave(code: int) -> NoReturn:
    """End the process by the exit code, or where a signal came, by the signal's after its line."""
    work_ends()
    number = _Process.raised or _Process.heard
    if not number:
        sys.exit(code)
    _hush()
    with suppress(BaseException):
        atexit._run_exitfuncs()
        sys.stdout.flush()
    # Python itself would end by Ctrl-C's code, whatever the signal, where code in a string was interrupted.
    _end(number)


def _interrupt(number: int, _: FrameType | None) -> None:
    if not _Process.at_work:
        _end(number)
    if _Process.raised:
        return
    _Process.raised = number
    _hush()
    for do in _Process.at_once:
        with suppress(Exception):
            do()
    raise KeyboardInterrupt


def _watch(pipe: int) -> None:
    """Wait for a signal, and for another or the end of the time; then end the process."""
    while not _Process.heard:
        _Process.heard = next((number for number in os.read(pipe, 64) if number in WORDS), 0)
    first = time.monotonic()
    while (left := first + GRACE - time.monotonic()) > 0:
        if select.select([pipe], [], [], left)[0]:
            again = any(number in WORDS for number in os.read(pipe, 64))
            if again and time.monotonic() > first + ONE_PRESS:
                break
    _end(_Process.heard)


def _end(number: int) -> NoReturn:
    """End the process here and now."""
    _say(number)
    os._exit(128 + number)


def _hush() -> None:
    """Let nothing more go to standard error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _say(number: int) -> None:
    """Our line, once; on a terminal whose cursor a progress bar may have hidden."""
    if _Process.to_say.acquire(blocking=False):
        cursor = "\x1b[?25h" if os.isatty(_Process.errors) else ""
        with suppress(OSError):
            os.write(_Process.errors, f"{cursor}{WORDS[number]}: {STATE}\n".encode())
