"""The home folder: made, checked, and written by one command at a time."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from common.errors import MarqueeError
from common.files import remove_partial
from common.locks import BusyError, locked
from lake.journal import remove_partial_writes, roll_back


@contextmanager
def writing(home: Path) -> Iterator[None]:
    """Hold the home for writing; readers go on as they like.

    What a killed command wrote of several tables that belong together is undone first, and what it had not
    written to the end is removed.

    Raises:
        MarqueeError: it cannot be made or written, or another command holds it.
    """
    with ExitStack() as stack:
        try:
            cut_off = stack.enter_context(locked(home / ".lock"))
        except BusyError as busy:
            raise MarqueeError(
                f"Another command (process {busy.holder}) is writing in {home}: "
                "wait for it, or use another --home."
            ) from None
        if cut_off:
            remove_partial(home)
            remove_partial_writes(home / "lake")
        roll_back(home / "lake")
        yield
