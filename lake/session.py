"""Starting Spark where something turns out to need it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

StartSpark: TypeAlias = Callable[[], "SparkSession"]
"""Gives the process's session, starting it at the first call: what may do without Spark takes this."""


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
    from lake.spark import start_session

    more = {}
    if scratch is not None:
        more = {"spark.local.dir": str(scratch), "spark.sql.warehouse.dir": str(scratch / "warehouse")}
    return start_session(master, memory, shuffle_partitions, more, log)
