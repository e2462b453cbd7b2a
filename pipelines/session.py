"""The Spark session that the jobs run in."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from delta import configure_spark_with_delta_pip
from pyspark.sql import SparkSession

from common.errors import MarqueeError
from pipelines.lake import REFUSALS

JARS = Path.home() / ".ivy2"
"""Where Spark keeps the jars that it downloads. Java's own idea of a home may be another than the shell's."""


def spark_session(
    master: str = "local[*]",
    memory: str = "3g",
    shuffle_partitions: int = 8,
    scratch: Path | None = None,
    log: Path | None = None,
) -> SparkSession:
    """A Spark session with Delta Lake, in UTC.

    Args:
        master: URL of the Spark master.
        memory: heap of the driver (which on a local master does all the work).
        shuffle_partitions: the most partitions of a shuffle; adaptive execution merges small ones.
        scratch: where Spark spills; its own default where None.
        log: the file that gets all that the JVM prints; this process's own output where None.

    The first session ever downloads Delta's jars (some 90 MB) from Maven Central.

    Raises:
        MarqueeError: Spark did not start.
    """
    # Spark would start its Python workers with whatever `python3` is on the PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
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
        .config("spark.jars.ivy", str(JARS))
        # Incremental jobs read what is new in a table.
        .config("spark.databricks.delta.properties.defaults.enableChangeDataFeed", "true")
        # An update that changes nothing is committed too: its commit says what has been seen.
        .config("spark.databricks.delta.skipRecordingEmptyCommits", "false")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.log.level", "ERROR")
    )
    if scratch is not None:
        builder = builder.config("spark.local.dir", str(scratch)).config(
            "spark.sql.warehouse.dir", str(scratch / "warehouse")
        )
    try:
        with output_into(log):
            return configure_spark_with_delta_pip(builder).getOrCreate()
    except Exception as error:  # whatever Py4J or the launcher throws, the person's remedy is the same
        where = f"; its own words are in {log}" if log else ""
        refusal = next((text for text in REFUSALS if text in str(error)), None)
        why = refusal or str(error).splitlines()[0].rstrip(".: ")
        remedy = "free some space or choose another --home" if refusal else "see `marquee doctor`"
        raise MarqueeError(f"Spark did not start ({why}): {remedy}{where}.") from error


@contextmanager
def output_into(log: Path | None) -> Iterator[None]:
    """Let child processes that start meanwhile write into `log`: the JVM inherits our file descriptors."""
    if log is None:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
            os.close(saved[0])
            os.close(saved[1])
