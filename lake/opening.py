"""Opening Delta tables to read them."""

import os
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from deltalake import DeltaTable

from lake.write import LOG

_MOST = 64
"""Tables that are kept open; those that were asked for longest ago go."""
_Entries = frozenset[tuple[str, int, int, int]]
_open: OrderedDict[tuple[Path, int | None], tuple[_Entries, DeltaTable]] = OrderedDict()


def opened(folder: Path, version: int | None = None) -> DeltaTable:
    """A table at a version, or at its newest, to be read only.

    A command asks for the same table many times. Its log is read again only if a file of it has changed,
    come or gone.

    Args:
        folder: of the table.

    Raises:
        OSError: there is no such log.
        Exception: of any kind, as deltalake raises them where it cannot read the log (see `reading`).
    """
    key = folder, version
    entries = _entries(folder / LOG)
    kept = _open.pop(key, None)
    if kept is not None and kept[0] == entries:
        _open[key] = kept
        return kept[1]
    table = DeltaTable(folder, version=version)
    if _entries(folder / LOG) == entries:  # else it may be of a commit that came meanwhile
        _open[key] = entries, table
        if len(_open) > _MOST:
            _open.popitem(last=False)
    return table


def _entries(log: Path) -> _Entries:
    """What tells one state of a log from another: its files' names, numbers, sizes and times of change."""
    found = set()
    with os.scandir(log) as files:
        for file in files:
            with suppress(FileNotFoundError):  # a writer's own file, which has its name by now
                kind = file.stat()
                found.add((file.name, kind.st_ino, kind.st_size, kind.st_ctime_ns))
    return frozenset(found)
