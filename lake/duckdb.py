"""The one way to open a DuckDB: in memory, in UTC, spilling past a limit."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

MEMORY = "2GB"
"""The limit of a connection that was given none."""


@contextmanager
def connection(
    memory: str = MEMORY, spill: str | Path | None = None, threads: int | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of its own, in memory.

    Args:
        memory: its limit, such as "2GB"; past it, it spills.
        spill: the folder in which its temporary files get a folder of their own, removed afterwards; the
            system's where None.
        threads: as many as there are processors where None.
    """
    with tempfile.TemporaryDirectory(prefix="marquee-duckdb-", dir=spill) as folder:
        options: dict[str, Any] = {"memory_limit": memory, "temp_directory": folder}
        if threads is not None:
            options["threads"] = threads
        with duckdb.connect(":memory:", config=options) as opened:
            opened.execute("SET TimeZone = 'UTC'")
            yield opened
