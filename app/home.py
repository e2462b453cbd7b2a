"""The home folder: made, checked, and written by one command at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import MarqueeError
from common.files import cannot_write


@contextmanager
def writing(home: Path) -> Iterator[None]:
    """Hold the home for writing; readers go on as they like.

    Raises:
        MarqueeError: it cannot be made or written, or another command holds it.
    """
    lock = home / ".lock"
    try:
        home.mkdir(parents=True, exist_ok=True)
        file = lock.open("a+")
    except OSError as error:
        raise cannot_write(home, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise MarqueeError(
                f"Another command (process {holder}) is writing in {home}: "
                "wait for it, or use another --home."
            ) from None
        # The lock goes with the process, so a killed command leaves none behind.
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
