"""Writing several tables of a lake all or none.

Each table is written in one commit of its own. So that a command killed between two of them leaves no mixture
behind, the versions before are noted first, in a file of the lake; it is removed when all is written. The
next command that writes in the lake finds the file and rolls the tables back to these versions.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from common.errors import MarqueeError, in_words
from common.files import json_in, write_atomically

JOURNAL = ".unfinished.json"
"""In the lake's folder: the version of each table before, null for one that was not there."""


@contextmanager
def all_or_none(lake: Path, names: Iterable[str]) -> Iterator[None]:
    """Write these tables together: on an exception, and after a kill, they are as they were before.

    Only one process at a time may write in a lake.

    Raises:
        MarqueeError: the lake cannot be written.
    """
    roll_back(lake)
    there = lake.exists()
    write_atomically(lake / JOURNAL, json.dumps({name: _version(lake, name) for name in names}))
    try:
        yield
    except BaseException:
        with suppress(Exception):  # the disk may be full: then the next command tries again
            roll_back(lake)
            if not there and not any(lake.iterdir()):
                lake.rmdir()
        raise
    (lake / JOURNAL).unlink()


def roll_back(lake: Path) -> bool:
    """Undo what a killed command wrote; whether there was anything to undo.

    The versions that it wrote stay in the tables' logs, and can be read by number.

    Raises:
        MarqueeError: the journal or a table that it names cannot be read.
    """
    journal = lake / JOURNAL
    if not journal.exists():
        return False
    try:
        before = json_in(journal.read_text())
        if not isinstance(before, dict) or not all(map(_is_noted, before, before.values())):
            raise ValueError("it holds no versions of tables")
        for name, version in before.items():
            if version is None:
                shutil.rmtree(lake / name, ignore_errors=True)
            elif _version(lake, name) != version:
                # As it was, word for word: of another protocol deltalake says what Spark does not read.
                DeltaTable(lake / name).restore(version, protocol_downgrade_allowed=True)
    except (MarqueeError, ValueError, DeltaError) as error:
        raise MarqueeError(
            f"What a killed command wrote cannot be undone ({in_words(error)}): remove {journal}, and read"
            " the sources again by `marquee pipeline ingest`."
        ) from error
    journal.unlink()
    return True


def _is_noted(name: str, version: Any) -> bool:
    """Whether `all_or_none` may have noted this: a table of the lake, and a version of it or none."""
    plain = name not in ("", ".", "..") and Path(name).name == name
    return plain and (version is None or (type(version) is int and version >= 0))


def remove_partial_writes(lake: Path) -> None:
    """Remove what killed writers of a lake's tables had not written to the end: nobody reads it.

    A file is a whole one once it has the name under which Delta knows it; deltalake and Spark write it under
    another.
    """
    for unnamed in ("*/*#[0-9]*", "*/_delta_log/*#[0-9]*", "*/_delta_log/.*.tmp*"):
        for file in lake.glob(unnamed):
            file.unlink(missing_ok=True)


def _version(lake: Path, name: str) -> int | None:
    from lake.tables import exists, newest_version

    return newest_version(lake, name) if exists(lake, name) else None
