"""The one way to a DuckDB: in memory, in UTC, spilling past a limit."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb

from common.errors import MarqueeError, in_words

PREFIX = "marquee-duckdb-"
"""Of the folders that it spills into."""
MEMORY = "2GB"
"""The limit of a connection that was given none."""


_idle: dict[tuple[str, int | None], duckdb.DuckDBPyConnection] = {}
"""A database for each memory limit and number of threads that nobody uses now. To open one takes ten
milliseconds, to go on with one a tenth of one."""


@contextmanager
def connection(
    memory: str = MEMORY, spill: str | Path | None = None, threads: int | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory that nobody else uses; what is temporary in it goes when the block ends.

    Args:
        memory: its limit, such as "2GB"; past it, it spills.
        spill: the folder, such as a lake, in which it makes one of its own once it must spill, and removes it
            afterwards; that above where it is not there yet. Where it is None, or cannot be written, the
            system's folder for temporary files.
        threads: as many as there are processors where None.

    Raises:
        MarqueeError: it does not take the limit, or cannot do with it what it is asked, even with spilling.
    """
    with ExitStack() as stack:
        places = () if spill is None else (Path(spill), Path(spill).parent)
        place = next((place for place in places if place.is_dir()), None)
        if place is not None and os.access(place, os.W_OK):
            folder = place / f"{PREFIX}{uuid4().hex}"
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX))) / "spilled"
        try:
            opened = stack.enter_context(_cursor(memory, folder, threads))
        except duckdb.Error as error:
            raise MarqueeError(
                f"DuckDB does not start with the memory limit {memory!r} (MARQUEE_DUCKDB_MEMORY):"
                f" {in_words(error)}."
            ) from error
        try:
            yield opened
        except duckdb.OutOfMemoryException as error:
            raise MarqueeError(
                f"DuckDB needs more memory than {memory}, even with spilling: raise MARQUEE_DUCKDB_MEMORY"
                f" ({in_words(error)})."
            ) from error


@contextmanager
def _cursor(memory: str, folder: Path, threads: int | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Into an idle database, or a new one, which is idle afterwards; not after an error, or when it spilled.

    Args:
        folder: to spill into, not there yet.
    """
    database = _idle.pop((memory, threads), None) or _new(memory, threads)
    is_well = False
    try:
        with database.cursor() as opened:
            opened.execute(f"SET temp_directory = {_quoted(folder)}")
            opened.execute("SET TimeZone = 'UTC'")
            yield opened
        is_well = not folder.exists()
    finally:
        if is_well and (memory, threads) not in _idle:
            _idle[memory, threads] = database
        else:
            database.close()


def _new(memory: str, threads: int | None) -> duckdb.DuckDBPyConnection:
    # A query names what was registered, and no variable of whoever runs it.
    options: dict[str, Any] = {"memory_limit": memory, "python_enable_replacements": False}
    if threads is not None:
        options["threads"] = threads
    return duckdb.connect(":memory:", config=options)


def _quoted(folder: Path) -> str:
    text = str(folder).replace("'", "''")
    return f"'{text}'"


@atexit.register
def _close_idle() -> None:
    while _idle:
        _idle.popitem()[1].close()


# A fork has none of the threads that a database works with.
os.register_at_fork(before=_close_idle)
