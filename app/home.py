"""The home folder: made, checked, and written by one command at a time."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from common.errors import MarqueeError
from common.locks import BusyError, locked


@contextmanager
def writing(home: Path) -> Iterator[None]:
    """Hold the home for writing; readers go on as they like.

    Raises:
        MarqueeError: it cannot be made or written, or another command holds it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(home / ".lock"))
        except BusyError as busy:
            raise MarqueeError(
                f"Another command (process {busy.holder}) is writing in {home}: "
                "wait for it, or use another --home."
            ) from None
        yield
