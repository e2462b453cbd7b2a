"""The lake's tables in Spark; their schemas are arguments (`feature_repo.spark` derives them)."""

from collections.abc import Iterable
from pathlib import Path

from py4j.protocol import Py4JJavaError
from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from lake.damage import put_aside
from lake.tables import USER_METADATA, make_folder, not_written, require_rows

SPARK_ERRORS = (PySparkException, Py4JJavaError)
"""What Spark raises: the latter for errors of the JVM that PySpark has no class for, such as a full disk."""


def read(
    spark: SparkSession,
    lake: Path,
    name: str,
    columns: Iterable[str] | None = None,
    version: int | None = None,
) -> DataFrame:
    """A table at a version, or at its newest.

    Args:
        columns: which; all that are stored where None.

    Raises:
        MarqueeError: the table is not there, or cannot be read.
    """
    require_rows(lake, name, version)
    reader = spark.read.format("delta")
    if version is not None:
        reader = reader.option("versionAsOf", version)
    rows = reader.load(str(lake / name))
    return rows if columns is None else rows.select(*columns)


def kept(df: DataFrame, level: StorageLevel) -> DataFrame:
    """Rows that are read more than once: they are computed once, and then kept until `release`.

    What reads kept rows is planned without what made them, which for long expressions takes longer than the
    work on few rows. Not so on a cluster: rows that a lost worker kept are computed again there.
    """
    return df.localCheckpoint(eager=True, storageLevel=level) if _is_local(df) else df.persist(level)


def release(df: DataFrame) -> None:
    """Keep rows of `kept` no longer."""
    if _is_local(df):
        # A data frame has no word for it, and would wait until the JVM collects its garbage.
        df._jdf.queryExecution().analyzed().rdd().unpersist(False)
    else:
        df.unpersist()


def _is_local(df: DataFrame) -> bool:
    return str(df.sparkSession.sparkContext.master).startswith("local")


def overwrite(
    df: DataFrame, lake: Path, name: str, schema: StructType, metadata: str = "", most_in_file: int = 0
) -> None:
    """Replace a table's content in one Delta commit; readers see the old version or the new one.

    Columns are put in the order and types of `schema`, so a table never drifts from its declaration. A table
    that cannot be read is put aside, and made anew.

    Args:
        metadata: what the commit says of itself.
        most_in_file: rows of one file; 0 for any number.

    Raises:
        MarqueeError: the lake cannot be written, or the disk is full.
    """
    put_aside(lake / name)
    _write(df, lake, name, schema, "overwrite", metadata, most_in_file)


def append(
    df: DataFrame, lake: Path, name: str, schema: StructType, metadata: str = "", most_in_file: int = 0
) -> None:
    """Add rows to a table in one Delta commit; otherwise as `overwrite`."""
    _write(df, lake, name, schema, "append", metadata, most_in_file)


def _write(
    df: DataFrame, lake: Path, name: str, schema: StructType, mode: str, metadata: str, most_in_file: int
) -> None:
    columns = [F.col(field.name).cast(field.dataType) for field in schema]
    write = df.select(*columns).write.format("delta").mode(mode).option(USER_METADATA, metadata)
    if most_in_file:
        write = write.option("maxRecordsPerFile", most_in_file)
    if mode == "overwrite":
        write = write.option("overwriteSchema", "true")
    make_folder(lake, name)
    try:
        write.save(str(lake / name))
    except SPARK_ERRORS as error:
        raise not_written(lake, name, error) from error
