"""Locks on files: one process at a time holds one, and it ends with the process, however that ends."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from common.files import cannot_write


class BusyError(Exception):
    """Another process holds the lock.

    Args:
        holder: its number, as text; "unknown" where it has not said yet.
    """

    def __init__(self, holder: str) -> None:
        super().__init__(f"process {holder} holds the lock")
        self.holder = holder


@contextmanager
def locked(file: Path, wait: bool = False) -> Iterator[None]:
    """Hold `file`, which says who does; its folder is made if there is none.

    Args:
        wait: until nobody else holds it.

    Raises:
        BusyError: another process holds it, and we do not wait.
        MarqueeError: the folder cannot be written.
    """
    with ExitStack() as stack:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(file, timeout=-1 if wait else 0, on_acquired=_sign))
        except Timeout:
            raise BusyError(_holder(file)) from None
        except OSError as error:
            raise cannot_write(file.parent, error) from error
        yield


def _sign(descriptor: int) -> None:
    os.truncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())


def _holder(file: Path) -> str:
    try:
        return file.read_text().strip() or "unknown"
    except OSError:
        return "unknown"
