"""Child processes that do not outlive this one, however it ends."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_DEATH = 1
"""Linux's PR_SET_PDEATHSIG."""
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def end_with_parent(parent: int) -> None:
    """Have the system end this process by SIGTERM when its parent's thread ends that started it.

    To be called in the child, also between fork and exec, which keeps it. Elsewhere than on Linux it does
    nothing.

    Args:
        parent: its process id, which may have ended already.
    """
    if _LIBC is not None:
        _LIBC.prctl(_DEATH, int(signal.SIGTERM))
        if os.getppid() != parent:
            os._exit(1)


@contextmanager
def deaf_to_ctrl_c() -> Iterator[None]:
    """Let processes that are started meanwhile ignore Ctrl-C: a terminal sends it to them, too.

    Their parent hears of it, and ends them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
