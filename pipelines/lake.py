"""Reading and writing the lake: one Delta table a folder, named as in `feature_repo.schema`."""

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DoubleType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from common.errors import MarqueeError
from common.files import REFUSALS, cannot_write
from feature_repo.schema import QUARANTINE, QUARANTINE_COLUMNS, TABLES, Column, Type

RUNNING = frozenset({"movie_rating_stats", "user_rating_stats", "user_recent_likes", "user_poster_taste"})
"""Tables that grow with the ratings."""

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
STATE = "state"
"""Beside the declared columns, a running table keeps its totals here, on the newest row of each key: the next
batch of events goes on from there. Readers never see it."""


def table_columns(name: str) -> tuple[Column, ...]:
    """The columns of a table of the lake, the quarantine included."""
    return QUARANTINE_COLUMNS if name == QUARANTINE else TABLES[name].all_columns


def spark_schema(name: str) -> StructType:
    """The Spark schema of a table of the lake, derived from its declaration."""
    return StructType([StructField(column.name, SPARK_TYPES[column.type]) for column in table_columns(name)])


def stored_schema(name: str) -> StructType:
    """The same and `state`, where the table keeps one."""
    declared = spark_schema(name)
    if name in RUNNING:
        return StructType([*declared.fields, StructField(STATE, MapType(StringType(), DoubleType()))])
    return declared


def read(spark: SparkSession, lake: Path, name: str) -> DataFrame:
    """The newest version of a table.

    Raises:
        MarqueeError: the table is not there.
    """
    return read_stored(spark, lake, name).drop(STATE)


def read_stored(spark: SparkSession, lake: Path, name: str, version: int | None = None) -> DataFrame:
    """A table as it is stored, `state` included, at a version or the newest.

    Raises:
        MarqueeError: the table is not there.
    """
    if not exists(lake, name):
        raise MarqueeError(
            f"There is no table {name} in {lake}: run `marquee run` or `marquee pipeline run` first."
        )
    reader = spark.read.format("delta")
    if version is not None:
        reader = reader.option("versionAsOf", version)
    return reader.load(str(lake / name))


def exists(lake: Path, name: str) -> bool:
    """Whether the lake has a table."""
    return (lake / name / "_delta_log").is_dir()


def as_declared(lake: Path, name: str) -> bool:
    """Whether a table that the lake has is stored with the columns that are declared now."""
    return [field.name for field in DeltaTable(lake / name).schema().fields] == stored_schema(name).names


def progress(seen: Mapping[str, int]) -> str:
    """What a feature table's commit says of its sources' versions that it has seen."""
    return json.dumps({"seen": dict(seen)})


def seen_in(metadata: str) -> dict[str, int]:
    """The same, read."""
    return dict(json.loads(metadata)["seen"])


def overwrite(df: DataFrame, lake: Path, name: str, metadata: str = "") -> None:
    """Replace a table's content in one Delta commit; readers see the old version or the new one.

    Columns are put in the declared order and type, so a table never drifts from its declaration.

    Args:
        metadata: kept with the commit.

    Raises:
        MarqueeError: the lake cannot be written, or the disk is full.
    """
    _write(df, lake, name, "overwrite", metadata)


def append(df: DataFrame, lake: Path, name: str, metadata: str = "") -> None:
    """Add rows to a table in one Delta commit; otherwise as `overwrite`."""
    _write(df, lake, name, "append", metadata)


def append_table(rows: pa.Table, lake: Path, name: str, metadata: str = "") -> None:
    """Add rows in memory to a table that is there, without Spark; otherwise as `append`."""
    table = DeltaTable(lake / name)
    schema = table.to_pyarrow_dataset().schema
    said = CommitProperties(custom_metadata={"userMetadata": metadata})
    try:
        write_deltalake(table, rows.select(schema.names).cast(schema), mode="append", commit_properties=said)
    except (OSError, DeltaError) as error:
        raise _not_written(lake, name, error) from error


def _write(df: DataFrame, lake: Path, name: str, mode: str, metadata: str) -> None:
    columns = [F.col(field.name).cast(field.dataType) for field in stored_schema(name)]
    write = df.select(*columns).write.format("delta").mode(mode).option("userMetadata", metadata)
    if mode == "overwrite":
        write = write.option("overwriteSchema", "true")
    try:
        (lake / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(lake / name, error) from error
    try:
        write.save(str(lake / name))
    except SPARK_ERRORS as error:
        raise _not_written(lake, name, error) from error


def _not_written(lake: Path, name: str, error: Exception) -> Exception:
    """The sentence for a write that the disk refused; any other error as it is."""
    refusal = next((text for text in REFUSALS if text in str(error)), None)
    if refusal is None:
        return error
    return MarqueeError(
        f"Cannot write table {name} in {lake}: {refusal}. "
        "Free some space or choose a writable folder (--home or MARQUEE_HOME)."
    )
