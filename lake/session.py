"""Starting Spark where something turns out to need it, and how many rows do."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from common.errors import MarqueeError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FEW = 500_000
"""Rows, at most, that are handled without Spark; whoever asks reads it here, as `session.FEW`."""

StartSpark: TypeAlias = Callable[[], "SparkSession"]
"""Gives the process's session, starting it at the first call: what may do without Spark takes this."""


def one_folder(folder: Path) -> str:
    """A folder in words that Spark, which takes a comma for the end of a folder's name, takes for one.

    It is made if need be, and stays open as long as the process lives.
    """
    if "," not in str(folder):
        return str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return f"/proc/{os.getpid()}/fd/{os.open(folder, os.O_RDONLY | os.O_DIRECTORY)}"


def spark_session(
    master: str = "local[*]",
    memory: str = "3g",
    shuffle_partitions: int = 8,
    scratch: Path | None = None,
    log: Path | None = None,
) -> "SparkSession":
    """The process's Spark session, as `lake.spark.start_session` makes it.

    Args:
        master: URL of the Spark master.
        memory: heap of the driver.
        shuffle_partitions: the most partitions of a shuffle.
        scratch: where Spark spills; its own default where None.
        log: the file that gets all that the JVM prints; this process's own output where None.

    Raises:
        MarqueeError: Spark did not start.
    """
    from lake.locales import utf8_locale
    from lake.spark import start_session

    more = {}
    if scratch is not None:
        if not str(scratch).isascii() and utf8_locale() is None:
            raise MarqueeError(f"Java cannot name {scratch} in this locale: export LC_ALL=C.UTF-8.")
        more = {
            "spark.local.dir": one_folder(scratch) if master.startswith("local") else str(scratch),
            "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        }
    return start_session(master, memory, shuffle_partitions, more, log)
