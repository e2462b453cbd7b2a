"""What all generated data share: a folder that is whole or absent and says what it was made from, and tasks
that Spark does by their numbers."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from common.errors import MarqueeError
from common.files import cannot_write, folder_atomically, json_in, write_atomically

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MARKER = "synthetic.json"


def made_from(folder: Path) -> dict[str, Any] | None:
    """The marker of a finished folder; None where there is none."""
    try:
        marker = json_in((folder / MARKER).read_text())
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) and "config" in marker else None


def generate_once(folder: Path, marker: Mapping[str, Any], write: Callable[[Path], list[str]]) -> None:
    """Have data written into `folder`, unless they were before from the same marker.

    Args:
        folder: empty, new, or of generated data, which are replaced.
        marker: what the data follow from; it has a "config".
        write: writes them into the folder that it is given; what the disk refused, in words.

    Raises:
        MarqueeError: the folder is not ours to replace, or it cannot be written.
    """
    folder = folder.absolute()
    if made_from(folder) == marker:
        return
    if folder.exists() and not folder.is_dir():
        raise MarqueeError(f"Cannot generate into {folder}: it is a file; name a folder.")
    if folder.is_dir() and made_from(folder) is None and any(folder.iterdir()):
        raise MarqueeError(
            f"Cannot generate into {folder}: it holds something else; name a folder that is empty or new."
        )
    with folder_atomically(folder) as new:
        try:
            failures = write(new)
        except OSError as error:
            raise cannot_write(folder, error) from error
        if failures:
            raise cannot_write(folder, OSError(0, failures[0]))
        write_atomically(new / MARKER, json.dumps(marker, indent=2) + "\n")


def on_spark(spark: "SparkSession", tasks: int, do: Callable[[int], None]) -> list[str]:
    """Do tasks by their numbers, one Spark partition each; what the disk refused, in words."""

    def each(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column("id").to_pylist():
                try:
                    do(number)
                except OSError as error:
                    failure = pa.array([error.strerror or str(error)])
                    yield pa.RecordBatch.from_arrays([failure], names=["failure"])

    rows = spark.range(0, tasks, 1, tasks).mapInArrow(each, "failure STRING").collect()
    return [row["failure"] for row in rows]


@contextmanager
def in_place(path: Path) -> Iterator[Path]:
    """A hidden path to write to, which becomes `path`; so that two tries at one task never mix."""
    hidden = path.with_name(f".{path.name}.{os.getpid()}")
    yield hidden
    hidden.replace(path)
