"""The Spark session that the jobs run in."""

from pathlib import Path

from delta import configure_spark_with_delta_pip
from pyspark.sql import SparkSession


def spark_session(
    master: str = "local[*]",
    memory: str = "3g",
    shuffle_partitions: int = 8,
    scratch: Path | None = None,
) -> SparkSession:
    """A Spark session with Delta Lake, in UTC.

    Args:
        master: URL of the Spark master.
        memory: heap of the driver (which on a local master does all the work).
        shuffle_partitions: the most partitions of a shuffle; adaptive execution merges small ones.
        scratch: where Spark spills; its own default where None.

    The first session ever downloads Delta's jars (some 90 MB) from Maven Central.
    """
    builder = (
        SparkSession.builder.appName("marquee")
        .master(master)
        .config("spark.driver.memory", memory)
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", str(shuffle_partitions))
        .config("spark.sql.adaptive.enabled", "true")
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        # Delta keeps its own snapshot as a small table; the default of 50 partitions costs small jobs most.
        .config("spark.databricks.delta.snapshotPartitions", "2")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.log.level", "ERROR")
    )
    if scratch is not None:
        builder = builder.config("spark.local.dir", str(scratch)).config(
            "spark.sql.warehouse.dir", str(scratch / "warehouse")
        )
    return configure_spark_with_delta_pip(builder).getOrCreate()
