"""The point-in-time join on Spark: labels and rows as one sorted stream per set of keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial, reduce
from typing import Any

import numpy as np
import pyarrow as pa
from feast.repo_config import RepoConfig
from pyspark import cloudpickle
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import from_arrow_type

from common.errors import MarqueeError
from feature_repo.offline import merge as merging
from feature_repo.offline.labels import EVENT_TIMESTAMP, Labels, key_column, timestamp_column, utc
from feature_repo.offline.spark_frames import (
    between,
    column,
    for_spark,
    microseconds,
    read_source,
    since_epoch,
    spark_session,
)
from feature_repo.offline.tables import dataset, locate, tables_named
from feature_repo.offline.views import FEW_LABELS, RetrievedView, check_columns

cloudpickle.register_pickle_by_value(merging)  # type: ignore[no-untyped-call]

MOST_BROADCAST, FEWEST_FILTERED = 1_000_000, 1_000_000
"""So many labels at most are sent to every worker, to leave out the rows of other keys, where a view has at
least so many rows."""
REFUSED = "MARQUEE: "
"""What the message of an error that Spark raises for a label begins with."""
_NEVER_CREATED = -(2**63)


@dataclass(frozen=True, slots=True)
class GivenFrame:
    """Labels that are in Spark already.

    Args:
        frame: all their columns.
        timestamp: the column of their instant.
    """

    frame: DataFrame
    timestamp: str


Given = Labels | GivenFrame


def given_frame(frame: DataFrame) -> GivenFrame:
    kinds = {"timestamp": pa.timestamp("us", "UTC"), "timestamp_ntz": pa.timestamp("us")}
    fields = [pa.field(name, kinds.get(kind, pa.null())) for name, kind in frame.dtypes]
    return GivenFrame(frame, timestamp_column(pa.schema(fields)))


def label_names(given: Given) -> list[str]:
    return list(given.table.column_names if isinstance(given, Labels) else given.frame.columns)


def query_labels(config: RepoConfig, spark: SparkSession, query: str) -> DataFrame:
    """Labels by SQL, in which the lake's tables go by name unless the session has such a table of its own."""
    made = []
    try:
        for name, table in tables_named(config, query):
            if not spark.catalog.tableExists(name):
                reader = spark.read.format("delta").option("versionAsOf", table.version())
                reader.load(locate(config, name)).createOrReplaceTempView(name)
                made.append(name)
        return spark.sql(query)
    except PySparkException as error:
        why = str(error).splitlines()[0]
        raise MarqueeError(f"The label query fails in Spark: {why}.") from error
    finally:
        for name in made:
            spark.catalog.dropTempView(name)


def keys_seen(
    config: RepoConfig, spark: SparkSession, views: Sequence[RetrievedView], start: datetime, end: datetime
) -> DataFrame:
    """Labels for all keys that a view has a row of in [start, end], at `end`, in order of the keys.

    Views of different keys contribute rows of their own, in which the other keys are null.
    """
    found = []
    for view in views:
        if not view.keys:
            continue
        check_columns(config, view, dataset(config, view.source).schema)
        frame = between(
            read_source(config, view.source), view.timestamp, since_epoch(start), since_epoch(end)
        )
        for _, stored in view.keys:
            frame = frame.where(column(stored).isNotNull())
        found.append(frame.select(*(column(stored).alias(label) for label, stored in view.keys)))
    moment = F.lit(utc(end)).alias(EVENT_TIMESTAMP)
    if not found:
        return spark.range(1).select(moment)
    union = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), found).distinct()
    return union.orderBy(*map(column, union.columns)).select("*", moment)


@dataclass(frozen=True, slots=True)
class Pass:
    """Views that are joined together, since their keys are matched with the same label columns.

    Args:
        name: prefix of the columns that it adds.
        keys: label column, and the key's type in the views' tables.
    """

    name: str
    keys: tuple[tuple[str, pa.DataType], ...]
    views: tuple[RetrievedView, ...]


def _passes(views: Sequence[RetrievedView], schemas: dict[str, pa.Schema]) -> list[Pass]:
    found: dict[tuple[tuple[str, pa.DataType], ...], list[RetrievedView]] = {}
    for view in views:
        keys = tuple((label, schemas[view.name].field(stored).type) for label, stored in view.keys)
        found.setdefault(keys, []).append(view)
    return [Pass(f"p{i}", keys, tuple(members)) for i, (keys, members) in enumerate(found.items())]


def point_in_time_join(
    config: RepoConfig, given: Given, views: Sequence[RetrievedView], by_created: bool, whole: bool
) -> DataFrame:
    """The labels and the features of each view, one row per label, in no order.

    Args:
        by_created: rows that were written after the label's instant do not exist.
        whole: whether the labels' columns come along; if not, only their row numbers do.

    Returns:
        `row`, then the columns of the labels as `l0, l1, …`, then the features as `f0, f1, …`.
    """
    spark = spark_session(config)
    asked = [view for view in views if view.features]
    schemas = {view.name: dataset(config, view.source).schema for view in asked}
    for view in asked:
        check_columns(config, view, schemas[view.name])
    passes = _passes(asked, schemas)
    labels = (
        _labels_from_driver(spark, given, passes, whole)
        if isinstance(given, Labels)
        else _labels_in_spark(given, passes)
    )
    frame = labels
    for part in passes:
        frame = _join_pass(config, frame, labels, given, part, by_created)
    place = {view.name: f"{part.name}v{i}" for part in passes for i, view in enumerate(part.views)}
    features = [F.col(f"{place[view.name]}.f{i}") for view in asked for i in range(len(view.features))]
    kept = [f"l{i}" for i in range(len(label_names(given)))] if whole else []
    return frame.select("row", *kept, *(feature.alias(f"f{i}") for i, feature in enumerate(features)))


def _labels_from_driver(
    spark: SparkSession, labels: Labels, passes: Sequence[Pass], whole: bool
) -> DataFrame:
    """Labels as `row, at, late`, the keys of each pass and, if they are wanted whole, `l0, l1, …`."""
    n = labels.table.num_rows
    late = np.zeros(n, bool) if labels.sub_microsecond is None else labels.sub_microsecond
    columns: dict[str, Any] = {"row": np.arange(n), "at": labels.instants, "late": late.astype(np.int64)}
    for part in passes:
        for i, (name, kind) in enumerate(part.keys):
            columns[f"{part.name}k{i}"] = key_column(labels.table, name, kind, part.views[0].name)
    if whole:
        for i, name in enumerate(labels.table.column_names):
            columns[f"l{i}"] = for_spark(labels.table.column(name), name)
    return spark.createDataFrame(pa.table(columns))


def _labels_in_spark(given: GivenFrame, passes: Sequence[Pass]) -> DataFrame:
    """The same of labels that are in Spark; rows are numbered in their order, with gaps."""
    frame, name = given.frame, given.timestamp
    missing = F.raise_error(F.lit(f"{REFUSED}Some label rows have no {name}: fill or remove them."))
    at = F.when(column(name).isNull(), missing).otherwise(microseconds(frame, name)).cast("long")
    columns = [
        F.monotonically_increasing_id().alias("row"),
        at.alias("at"),
        F.lit(0).cast("long").alias("late"),
    ]
    for part in passes:
        for i, (key, kind) in enumerate(part.keys):
            columns.append(_spark_key(frame, key, part.views[0], kind).alias(f"{part.name}k{i}"))
    columns += [column(name).alias(f"l{i}") for i, name in enumerate(frame.columns)]
    return frame.select(*columns)


def _spark_key(frame: DataFrame, name: str, view: RetrievedView, kind: pa.DataType) -> Column:
    """A label column as keys in the type of a view's; what does not fit that type matches nothing."""
    if name not in frame.columns:
        raise MarqueeError(
            f"The labels lack {name}, which view {view.name} is joined on; they have"
            f" {', '.join(frame.columns)}."
        )
    given, wanted = frame.schema[name].dataType, from_arrow_type(kind)
    if given == wanted:
        return column(name)
    both_numbers = isinstance(given, T.NumericType) and isinstance(wanted, T.NumericType)
    if not both_numbers and type(given) is not type(wanted) and not isinstance(given, T.NullType):
        raise MarqueeError(
            f"Label column {name} holds {given.simpleString()}, but the key of view {view.name} is {kind}: "
            "convert it."
        )
    cast = column(name).try_cast(wanted)
    return F.when(cast.cast(given) == column(name), cast) if both_numbers else cast


def _join_pass(
    config: RepoConfig, frame: DataFrame, labels: DataFrame, given: Given, part: Pass, by_created: bool
) -> DataFrame:
    """Add the structs `<pass>v0, <pass>v1, …` to the frame, null where a view has no row for a label.

    Args:
        frame: `row, at, late`, keys, and what came before.
        labels: the same before any pass, to look keys up in.
    """
    keys = [f"k{i}" for i in range(len(part.keys))]
    own = [f"{part.name}{key}" for key in keys]
    rows = [_view_rows(config, view, labels, given, own, by_created) for view in part.views]
    payload = F.struct(*(name for name in frame.columns if name not in own)).alias("label")
    stream = frame.select(
        *(F.col(name).alias(key) for name, key in zip(own, keys, strict=True)),
        "at",
        F.lit(len(rows)).alias("tag"),
        F.col("at").alias("instant"),
        F.col("late").alias("version"),
        payload,
    )
    for i, of_view in enumerate(rows):
        tagged = of_view.withColumn("tag", F.lit(i)).withColumnRenamed("features", f"v{i}")
        stream = stream.unionByName(tagged, allowMissingColumns=True)
    # Without a number, adaptive execution chooses it by the amount of data.
    stream = stream.repartition(*keys) if keys else stream.repartition(1)
    stream = stream.sortWithinPartitions(*keys, "at", "tag", "version")
    structs = ["label", *(f"v{i}" for i in range(len(rows)))]
    schema = T.StructType([stream.schema[name] for name in structs])
    ttls = [None if view.ttl is None else view.ttl // timedelta(microseconds=1) for view in part.views]
    merged = stream.mapInArrow(
        partial(merging.merge, keys=len(keys), ttls=ttls, by_version=by_created), schema
    )
    return merged.select("label.*", *(F.col(f"v{i}").alias(f"{part.name}v{i}") for i in range(len(rows))))


def _view_rows(
    config: RepoConfig,
    view: RetrievedView,
    labels: DataFrame,
    given: Given,
    label_keys: list[str],
    by_created: bool,
) -> DataFrame:
    """A view's rows as the merge wants them: `k0, …, at, instant, version, features`."""
    frame = read_source(config, view.source)
    if isinstance(given, Labels) and len(given.instants):
        oldest = None if view.ttl is None else int(given.oldest_allowed(view.ttl).min())
        frame = between(frame, view.timestamp, oldest, int(given.instants.max()))
    instant = microseconds(frame, view.timestamp)
    version = microseconds(frame, view.created) if view.created else F.lit(None).cast("long")
    at = instant
    present = [view.timestamp, *(stored for _, stored in view.keys)]
    if by_created and view.created:
        at = F.greatest(instant, version)
        present.append(view.created)
    for name in present:
        frame = frame.where(column(name).isNotNull())
    keys = [column(stored).alias(f"k{i}") for i, (_, stored) in enumerate(view.keys)]
    features = F.struct(*(column(stored).alias(f"f{i}") for i, (stored, _) in enumerate(view.features)))
    rows = frame.select(
        *keys,
        at.alias("at"),
        instant.alias("instant"),
        F.coalesce(version, F.lit(_NEVER_CREATED)).alias("version"),
        features.alias("features"),
    )
    if isinstance(given, Labels) and view.keys and _few(config, view, given):
        wanted = labels.select(*(F.col(name).alias(f"k{i}") for i, name in enumerate(label_keys))).distinct()
        rows = rows.join(F.broadcast(wanted), [f"k{i}" for i in range(len(label_keys))], "left_semi")
    return rows


def _few(config: RepoConfig, view: RetrievedView, labels: Labels) -> bool:
    n = labels.table.num_rows
    if n > MOST_BROADCAST:
        return False
    return bool(dataset(config, view.source).count_rows() >= max(n * FEW_LABELS, FEWEST_FILTERED))
