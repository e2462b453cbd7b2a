"""Reading and writing the lake: one Delta table a folder, named as in `feature_repo.schema`."""

from pathlib import Path

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DoubleType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from common.errors import MarqueeError
from common.files import cannot_write
from feature_repo.schema import QUARANTINE, QUARANTINE_COLUMNS, TABLES, Column, Type

SPARK_TYPES: dict[Type, DataType] = {
    Type.INT64: LongType(),
    Type.FLOAT64: DoubleType(),
    Type.STRING: StringType(),
    Type.TIMESTAMP: TimestampType(),
    Type.INT64_LIST: ArrayType(LongType()),
    Type.STRING_LIST: ArrayType(StringType()),
}

SPARK_ERRORS = (PySparkException, Py4JJavaError)
"""What Spark raises: the latter for errors of the JVM that PySpark has no class for, such as a full disk."""
REFUSALS = ("No space left on device", "Permission denied", "Read-only file system", "Disk quota exceeded")
"""What the operating system says, through the JVM, when it will not write."""


def table_columns(name: str) -> tuple[Column, ...]:
    """The columns of a table of the lake, the quarantine included."""
    return QUARANTINE_COLUMNS if name == QUARANTINE else TABLES[name].all_columns


def spark_schema(name: str) -> StructType:
    """The Spark schema of a table of the lake, derived from its declaration."""
    return StructType([StructField(column.name, SPARK_TYPES[column.type]) for column in table_columns(name)])


def read(spark: SparkSession, lake: Path, name: str) -> DataFrame:
    """The newest version of a table.

    Raises:
        MarqueeError: the table is not there.
    """
    if not (lake / name / "_delta_log").is_dir():
        raise MarqueeError(
            f"There is no table {name} in {lake}: run `marquee run` or `marquee pipeline run` first."
        )
    return spark.read.format("delta").load(str(lake / name))


def overwrite(df: DataFrame, lake: Path, name: str) -> None:
    """Replace a table's content in one Delta commit; readers see the old version or the new one.

    Columns are put in the declared order and type, so a table never drifts from its declaration.

    Raises:
        MarqueeError: the lake cannot be written, or the disk is full.
    """
    columns = [F.col(field.name).cast(field.dataType) for field in spark_schema(name)]
    write = df.select(*columns).write.format("delta").mode("overwrite").option("overwriteSchema", "true")
    try:
        (lake / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(lake / name, error) from error
    try:
        write.save(str(lake / name))
    except SPARK_ERRORS as error:
        refusal = next((text for text in REFUSALS if text in str(error)), None)
        if refusal is None:
            raise
        raise MarqueeError(
            f"Cannot write table {name} in {lake}: {refusal}. "
            "Free some space or choose a writable folder (--home or MARQUEE_HOME)."
        ) from error
