"""The files of a click log: one, or a folder of them, whose lines are its rows in order."""

from collections.abc import Callable
from functools import reduce
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from common.errors import MarqueeError
from common.files import unusable_name
from pipelines.sources.lines import count_lines, first_lines, line_rows, vanished
from pipelines.sources.source import Rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

POSITION = "position"
MOST_NAMED = 3
"""Files in a description."""


def log_files(path: Path) -> tuple[Path, ...]:
    """The files of a log, in order of their names; hidden ones, and those that start with _, are none.

    Raises:
        MarqueeError: there is no such file or folder, it holds no files, one of them is empty or has a name
            that is no text, or something is neither file nor folder.
    """
    path = path.absolute()
    if not path.exists():
        raise MarqueeError(f"There is no file or folder {path}; give the log, or a folder of its files.")
    if not path.is_dir() and not path.is_file():
        raise MarqueeError(f"{path} is neither a file nor a folder: write the log to a file first.")
    files = _files_in(path) if path.is_dir() else [path]
    for file in files:
        why = unusable_name(str(file))
        if why is not None:
            raise MarqueeError(f"The name of {str(file)!a} cannot be used: {why}.")
        if not first_lines(file, 1):
            raise MarqueeError(f"{file} is empty; a click log has one line for each row.")
    return tuple(files)


def _files_in(folder: Path) -> list[Path]:
    found = [inner for inner in shown(folder) if not inner.is_dir()]
    for inner in found:
        if not inner.is_file():
            raise MarqueeError(
                f"{inner} is neither a file nor a folder, or a link to nothing: remove it, or give a folder"
                " of the log's files alone."
            )
    if not found:
        nested = next(iter(shown(folder)), None)
        hint = f"; did you mean {nested}?" if nested else "; give the log, or a folder of its files."
        raise MarqueeError(f"There are no files in {folder}{hint}")
    return found


def shown(folder: Path) -> list[Path]:
    """What is in a folder, in order of the names, without what is hidden or starts with _."""
    return sorted(inner for inner in folder.iterdir() if not inner.name.startswith((".", "_")))


def unchanged(files: tuple[Path, ...]) -> Callable[[], None]:
    """What refuses files that are no more what they are now, by their sizes and when they last changed."""
    before = [_stamp(file) for file in files]

    def check() -> None:
        for file, stamp in zip(files, before, strict=True):
            if _stamp(file) != stamp:
                raise vanished(file)

    return check


def _stamp(file: Path) -> tuple[int, ...]:
    try:
        found = file.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def log_rows(files: tuple[Path, ...], header: bool) -> Rows:
    """The lines of a log as `line_rows` gives them, with their `position`: the place of the line over all
    files, from 1, without headers. A blank line has a place, and is no row.

    Args:
        header: whether each file has one.
    """
    skipped = [first_lines(file, 1)[0][0] if header else 0 for file in files]
    lengths = [count_lines(file) - skip for file, skip in zip(files[:-1], skipped, strict=False)]
    shifts = [before - skip for before, skip in zip(accumulate(lengths, initial=0), skipped, strict=True)]
    parts = [line_rows(file, header) for file in files]

    def in_memory() -> pa.Table:
        return pa.concat_tables(
            rows.append_column(POSITION, pc.add(rows.column("row"), pa.scalar(shift, pa.int64())))
            for rows, shift in zip((part.in_memory() for part in parts), shifts, strict=True)
        )

    def on_spark(spark: "SparkSession") -> "DataFrame":
        from pyspark.sql import DataFrame
        from pyspark.sql import functions as F

        # File by file: Spark would put small ones together in another order.
        frames = [
            part.on_spark(spark).withColumn(POSITION, F.col("row") + F.lit(shift))
            for part, shift in zip(parts, shifts, strict=True)
        ]
        return reduce(DataFrame.unionAll, frames)

    return Rows(sum(part.count for part in parts), in_memory, on_spark)


def described(path: Path, files: tuple[Path, ...]) -> str:
    """The files in words."""
    if not path.is_dir():
        return str(path.absolute())
    folders = [inner.name for inner in shown(path) if inner.is_dir()]
    without = f", without its folders {', '.join(folders)}" if folders else ""
    names = ", ".join(file.name for file in files[:MOST_NAMED])
    more = len(files) - MOST_NAMED
    return f"{names}{f' and {more:,} more' if more > 0 else ''} of {path.absolute()}{without}"
