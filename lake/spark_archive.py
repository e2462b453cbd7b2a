"""The run of Spark whose classes go into Java's archive: `python -m lake.spark_archive FILE`."""

import sys
import tempfile
from pathlib import Path

from delta.tables import DeltaTable
from pyspark.sql import functions as F

from lake.spark import start_session
from lake.spark_java import delta_jars, java_settings


def typical_work(folder: str, archive: str) -> None:
    """Have Java load what the jobs need: Delta, Parquet, joins, windows, and Python workers."""
    more = java_settings(delta_jars(), f'-XX:ArchiveClassesAtExit="{archive}"')
    session = start_session("local[2]", "2g", 2, more)
    rows = session.range(2000).select((F.col("id") % 50).alias("key"), F.timestamp_micros("id").alias("at"))
    for mode in ("overwrite", "append"):
        rows.write.format("delta").mode(mode).save(folder)
    table = session.read.format("delta").load(folder)
    counts = table.groupBy("key").agg(F.count("*").alias("n"), F.max("at").alias("last"))
    joined = table.join(counts, "key", "left").repartition(2, "key").sortWithinPartitions("key", "at")
    joined.mapInArrow(lambda batches: batches, joined.schema).write.format("noop").mode("overwrite").save()
    DeltaTable.forPath(session, folder).alias("t").merge(
        counts.alias("c"), "t.key = c.key AND t.at = c.last"
    ).whenMatchedDelete().execute()
    changes = session.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 1)
    changes.load(folder).orderBy("key").limit(5).toArrow()
    session.createDataFrame(counts.toArrow()).join(F.broadcast(counts), "key", "left_anti").count()
    session.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        typical_work(str(Path(scratch, "table")), sys.argv[1])
