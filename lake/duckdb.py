"""The one way to open a DuckDB: in memory, in UTC, spilling past a limit."""

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


@contextmanager
def connection(
    memory: str = MEMORY, spill: str | Path | None = None, threads: int | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of its own, in memory.

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
            folder = str(place / f"{PREFIX}{uuid4().hex}")
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX))
        # A query names what was registered, and no variable of whoever runs it.
        options: dict[str, Any] = {
            "memory_limit": memory,
            "temp_directory": folder,
            "python_enable_replacements": False,
        }
        if threads is not None:
            options["threads"] = threads
        try:
            opened = stack.enter_context(duckdb.connect(":memory:", config=options))
            opened.execute("SET TimeZone = 'UTC'")
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
