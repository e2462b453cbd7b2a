"""Locks on files: one process at a time holds one, and it ends with the process, however that ends."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
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
def locked(file: Path, wait: bool = False) -> Iterator[bool]:
    """Hold `file`, which says who does; its folder is made if there is none.

    Args:
        wait: until nobody else holds it.

    Yields:
        Whether the last one who held it was killed or failed; it then still says who that was.

    Raises:
        BusyError: another process holds it, and we do not wait.
        MarqueeError: the folder cannot be written.
    """
    before: list[bool] = []
    with ExitStack() as stack:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(
                FileLock(
                    file, timeout=-1 if wait else 0, on_acquired=lambda opened: before.append(_sign(opened))
                )
            )
        except Timeout:
            raise BusyError(_holder(file)) from None
        except OSError as error:
            raise cannot_write(file.parent, error) from error
        yield before[-1]
        with suppress(OSError):  # then the next one looks in vain for what this one left
            os.truncate(file, 0)


def _sign(descriptor: int) -> bool:
    """Say who holds it now; whether it said so of somebody else."""
    signed = os.fstat(descriptor).st_size > 0
    os.truncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return signed


def _holder(file: Path) -> str:
    try:
        return file.read_text().strip() or "unknown"
    except OSError:
        return "unknown"
