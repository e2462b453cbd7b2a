"""The Spark session that the jobs run in."""

from pathlib import Path

from pyspark.sql import SparkSession

from lake.spark import start_session


def spark_session(
    master: str = "local[*]",
    memory: str = "3g",
    shuffle_partitions: int = 8,
    scratch: Path | None = None,
    log: Path | None = None,
) -> SparkSession:
    """A Spark session as `lake.spark` makes it.

    Args:
        scratch: where Spark spills; its own default where None.

    Raises:
        MarqueeError: Spark did not start.
    """
    more = {}
    if scratch is not None:
        more = {"spark.local.dir": str(scratch), "spark.sql.warehouse.dir": str(scratch / "warehouse")}
    return start_session(master, memory, shuffle_partitions, more, log)
