"""Tables that cannot be read: which one, why, and what to do, in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote
from uuid import uuid4

import pyarrow.parquet as pq
from deltalake import DeltaTable

from common.errors import MarqueeError, in_words, is_panic
from lake.opening import opened
from lake.write import LOG

ASIDE = ".damaged"
"""In the lake's folder: tables that could not be read when they were made again."""


@contextmanager
def reading(folder: Path, version: int | None = None) -> Iterator[None]:
    """Let whatever is raised meanwhile mean that a table cannot be read: deltalake raises anything.

    Args:
        folder: of the table.
        version: that is asked for; the newest where None.

    Raises:
        MarqueeError: that is so.
    """
    try:
        yield
    except (MarqueeError, MemoryError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        raise unreadable(folder, in_words(error), version) from error


def unreadable(folder: Path, why: str, version: int | None = None) -> MarqueeError:
    """The sentence for a table that cannot be read, or for an old version, which nothing brings back."""
    name, lake = folder.name, folder.parent
    if version is not None:
        return MarqueeError(f"Version {version} of table {name} in {lake} cannot be read: {why}.")
    return MarqueeError(
        f"Table {name} in {lake} cannot be read ({why}): make it again, by `marquee pipeline ingest` where a"
        f" source fills it, else by `marquee pipeline run --full {name}`."
    )


def check_files(folder: Path, table: DeltaTable, version: int | None = None) -> None:
    """Refuse a table of which a data file is missing or was cut off; none is read.

    Raises:
        MarqueeError: naming the table and the file.
    """
    added = table.get_add_actions(flatten=True)
    for quoted, size in zip(added["path"].to_pylist(), added["size_bytes"].to_pylist(), strict=True):
        file = unquote(quoted)
        try:
            found = (folder / file).stat().st_size
        except FileNotFoundError:
            raise unreadable(folder, f"its file {file} is gone", version) from None
        if found != size:
            raise unreadable(folder, f"its file {file} has {found:,} of {size:,} bytes", version)


def fault_of(folder: Path, through: bool = False) -> MarqueeError | None:
    """What is wrong with a table's newest version; None where nothing is.

    Args:
        through: read all of its rows, too.
    """
    try:
        with reading(folder):
            table = opened(folder)
            check_files(folder, table)
            for quoted in table.files() if through else ():
                _read_through(folder, unquote(quoted))
    except MarqueeError as fault:
        return fault
    return None


def _read_through(folder: Path, file: str) -> None:
    try:
        with pq.ParquetFile(folder / file) as parquet:
            for _ in parquet.iter_batches():
                pass
    except Exception as error:
        raise unreadable(folder, f"its file {file} is damaged: {in_words(error)}") from error


def fault_in(lake: Path) -> MarqueeError | None:
    """What is wrong with a lake's first table that cannot be read; None where all can. Reads all rows."""
    tables = sorted(log.parent for log in lake.glob(f"*/{LOG}"))
    return next((fault for table in tables if (fault := fault_of(table, through=True))), None)


def put_aside(folder: Path) -> None:
    """Move a table that cannot be read out of the way of the one that is to be made in its place."""
    if (folder / LOG).is_dir() and fault_of(folder) is not None:
        aside = folder.parent / ASIDE
        aside.mkdir(exist_ok=True)
        folder.rename(aside / f"{folder.name}-{uuid4().hex}")
