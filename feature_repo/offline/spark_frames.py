"""Spark for the store at scale: its session, sources as frames, instants as numbers, Arrow's types."""

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from deltalake import DeltaTable
from feast.data_format import DeltaFormat
from feast.data_source import DataSource
from feast.repo_config import RepoConfig
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import from_arrow_type

from common.errors import MarqueeError
from feature_repo.offline.labels import utc
from feature_repo.offline.tables import dataset, delta_table, file_source, locate
from lake.spark import running_session, start_session

GLOB = "*?[]{}\\"
"""What Spark takes for a pattern in the name of a file."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def spark_session(config: RepoConfig) -> SparkSession:
    """The process's Spark session, or a new one by the store's settings.

    Raises:
        MarqueeError: it does not keep time in UTC, or Spark did not start.
    """
    settings = config.offline_store
    session = running_session() or start_session(
        settings.master, settings.memory, settings.partitions, settings.spark_conf, settings.log
    )
    zone = session.conf.get("spark.sql.session.timeZone")
    if zone not in ("UTC", "Etc/UTC", "GMT", "Z", "+00:00"):
        raise MarqueeError(f"The Spark session keeps time in {zone}: set spark.sql.session.timeZone to UTC.")
    return session


def read_source(config: RepoConfig, source: DataSource) -> DataFrame:
    """A source as a Spark frame.

    Raises:
        MarqueeError: there is no such table or version.
    """
    spark, source = spark_session(config), file_source(source)
    path = locate(config, source.path)
    if isinstance(source.file_format, DeltaFormat):
        return read_delta(spark, delta_table(config, source), path)
    coarse = [field.name for field in dataset(config, source).schema if field.type == pa.timestamp("ns")]
    if coarse:
        raise MarqueeError(
            f"Spark cannot read the nanoseconds of {', '.join(coarse)} in {path}: store it as Delta."
        )
    return spark.read.parquet(path)


def read_delta(spark: SparkSession, table: DeltaTable, path: str) -> DataFrame:
    """A Delta table at the version that it was opened at.

    Spark's own reader works the log out by several jobs of Spark, which for small tables is most of a join's
    time. The log was read when the table was opened: of a plain table, Spark is only given the files.
    """
    plain = table.protocol().min_reader_version == 1 and not table.metadata().partition_columns
    if not plain or any(sign in path for sign in GLOB):
        return spark.read.format("delta").option("versionAsOf", table.version()).load(path)
    schema = T.StructType.fromJson(json.loads(table.schema().to_json()))
    files = [f"{path}/{name}" for name in pa.table(table.get_add_actions()).column("path").to_pylist()]
    return spark.read.schema(schema).parquet(*files) if files else spark.createDataFrame([], schema)


def column(name: str) -> Column:
    return F.col("`" + name.replace("`", "``") + "`")


def microseconds(frame: DataFrame, name: str) -> Column:
    """A column of instants as microseconds since 1970; naive ones are UTC, as the session is."""
    kind = frame.schema[name].dataType
    if not isinstance(kind, T.TimestampType | T.TimestampNTZType | T.DateType | T.StringType):
        raise MarqueeError(
            f"Column {name} holds {kind.simpleString()}, not timestamps: convert it to timestamps."
        )
    return F.unix_micros(column(name).cast("timestamp"))


def between(frame: DataFrame, name: str, low: int | None, high: int | None) -> DataFrame:
    """Rows with low <= column <= high (microseconds), by a comparison that Delta can skip files with."""
    value = column(name).cast("timestamp")
    if low is not None:
        frame = frame.where(value >= F.timestamp_micros(F.lit(low)))
    if high is not None:
        frame = frame.where(value <= F.timestamp_micros(F.lit(high)))
    return frame


def since_epoch(moment: datetime | None) -> int | None:
    return None if moment is None else (utc(moment) - _EPOCH) // timedelta(microseconds=1)


def for_spark(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """A label column in a type that Spark has.

    Raises:
        MarqueeError: Spark has no type for such values.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        return for_spark(values.cast(kind.value_type), name)
    if pa.types.is_null(kind) or pa.types.is_string_view(kind):
        return values.cast(pa.string())
    if pa.types.is_date64(kind):
        return values.cast(pa.date32())
    if pa.types.is_timestamp(kind):
        return values.cast(pa.timestamp("us", kind.tz), safe=False)
    if pa.types.is_duration(kind):
        return values.cast(pa.duration("us"), safe=False)
    if pa.types.is_unsigned_integer(kind):
        return values.cast(pa.decimal128(20, 0) if kind.bit_width == 64 else pa.int64())
    if pa.types.is_float16(kind):
        return values.cast(pa.float32())
    try:
        from_arrow_type(kind)
    except PySparkException as error:
        raise MarqueeError(
            f"Spark has no type for label column {name} ({kind}): convert it, or use to_arrow."
        ) from error
    return values
