"""The home folder: made, checked, and written by one command at a time."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from common.errors import MarqueeError
from common.files import remove_partial
from common.locks import BusyError, locked
from lake.journal import remove_partial_writes, roll_back


def refuse_own(home: Path, out: Path, option: str = "--out") -> None:
    """Refuse an output that would replace what a home keeps, or lie among its tables, however it is spelt.

    Args:
        option: that names the output.

    Raises:
        MarqueeError: naming the option.
    """
    place, within = (Path(os.path.realpath(path)) for path in (out, home))
    kept = place.parent == within and (place.suffix in (".db", ".json") or place.name.startswith("."))
    if kept or place.is_relative_to(within / "lake"):
        raise MarqueeError(f"{option} {out} is a place of the home's own: name another.")


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
