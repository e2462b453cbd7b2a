"""One apply at a time: Feast's is not atomic, and two at once leave views of both, or of neither."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from common.files import cannot_write

_until_exit = ExitStack()


@contextmanager
def registry_lock(home: Path) -> Iterator[None]:
    """Wait until no other process applies to this home's registry, and keep others waiting meanwhile.

    Raises:
        MarqueeError: the home cannot be written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        file = (home / ".registry.lock").open("w")
    except OSError as error:
        raise cannot_write(home, error) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def lock_until_exit(home: Path) -> None:
    """The same for the rest of the process, for Feast's own command."""
    _until_exit.enter_context(registry_lock(home))
