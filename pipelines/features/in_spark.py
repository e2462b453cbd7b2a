"""The steps of the incremental law on Spark frames, for many rows.

Each key's events go to the kernels together, in time, in Spark's Python workers.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import reduce
from pathlib import Path

import pyarrow as pa
from pyspark import StorageLevel, cloudpickle
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from feature_repo.define.column import BEGINNING, CREATED_TIMESTAMP, EVENT_TIMESTAMP, KNOWN_AFTER
from feature_repo.define.view import View
from lake import spark_tables
from lake.spark_tables import kept, read, release
from lake.stamps import growing
from lake.tables import last_commit
from pipelines.features import kernels, pieces
from pipelines.features.computation import (
    FIRST,
    columns_of_facts,
    computed_schema,
    event_columns,
    kept_columns,
    order_of,
    stored_schema,
    unique_columns,
)
from pipelines.features.news import News
from pipelines.features.pieces import STATE, whole_keys
from pipelines.features.progress import progress

# Workers need nothing of ours installed.
for module in (pieces, kernels):
    cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]

EARLIER = f"{EVENT_TIMESTAMP} - INTERVAL '{KNOWN_AFTER.microseconds}' MICROSECOND"
"""When the last event of a feature row happened."""


class InSpark:
    """The law's steps (`pipelines.features.incremental.Executor`) for many rows.

    Args:
        news: what is to be taken in.
        events: all of them.
        stored: the table's rows; None where it is made from scratch.
        added: the events that were appended since; None where it is made from scratch.
    """

    def __init__(
        self, news: News, events: DataFrame, stored: DataFrame | None = None, added: DataFrame | None = None
    ) -> None:
        self.news, self.view, self.key = news, news.view, news.view.by.name
        self.events, self.stored, self.added = events, stored, added
        self._kept: list[DataFrame] = []

    def __enter__(self) -> "InSpark":
        return self

    def __exit__(self, *error: object) -> None:
        for frame in self._kept:
            release(frame)

    def all_events(self) -> DataFrame:
        return self._that_count(self.events)

    def new_events(self) -> DataFrame:
        touched = self.news.touched
        assert self.added is not None
        events = self._that_count(self.added)
        if touched is not None:
            assert self.news.computation.catalogue is not None
            key = self.news.computation.catalogue.key
            keys = F.broadcast(events.sparkSession.createDataFrame(pa.table({key: touched})))
            others = events.join(keys, key, "left_anti")
            events = others.unionByName(self.all_events().join(keys, key, "left_semi"))
        return self._keep(events)

    def keys_of(self, events: DataFrame) -> DataFrame:
        return self._keep(events.groupBy(self.key).agg(F.min(EVENT_TIMESTAMP).alias(FIRST)))

    def newest(self, keys: DataFrame) -> DataFrame:
        assert self.stored is not None
        states = self.stored.where(F.col(STATE).isNotNull()).join(F.broadcast(keys), self.key)
        return self._keep(_newest_by(states, [self.key], [EVENT_TIMESTAMP, CREATED_TIMESTAMP]))

    def late(self, newest: DataFrame) -> DataFrame:
        return self._keep(newest.where(F.expr(EARLIER) >= F.col(FIRST)).select(self.key, FIRST))

    def count(self, rows: DataFrame) -> int:
        return rows.count()

    def without(self, rows: DataFrame, keys: DataFrame) -> DataFrame:
        return rows.join(F.broadcast(keys.select(self.key)), self.key, "left_anti")

    def history(self, keys: DataFrame) -> DataFrame:
        return self.all_events().join(F.broadcast(keys.select(self.key)), self.key, "left_semi")

    def held(self, keys: DataFrame) -> DataFrame:
        assert self.stored is not None
        return self.stored.join(F.broadcast(keys.select(self.key)), self.key, "left_semi")

    def after_first(self, rows: DataFrame, keys: DataFrame) -> DataFrame:
        touched = rows.join(F.broadcast(keys), self.key)
        return touched.where(F.col(EVENT_TIMESTAMP) > F.col(FIRST)).drop(FIRST)

    def compute(self, events: DataFrame, before: DataFrame | None = None) -> DataFrame:
        if before is not None:
            instant = F.expr(EARLIER).alias(EVENT_TIMESTAMP)
            earlier = before.select(self.key, instant, STATE, *kept_columns(self.view))
            events = events.unionByName(earlier, allowMissingColumns=True)
        in_order = events.repartition(self.key).sortWithinPartitions(*order_of(self.view))
        pieces = _pieces(self.news.computation.rows, self.key)
        return in_order.mapInArrow(pieces, from_arrow_schema(computed_schema(self.view)))

    def differing(self, computed: DataFrame, held: DataFrame) -> DataFrame:
        return differing(self.view, computed, held)

    def both(self, one: DataFrame, other: DataFrame) -> DataFrame:
        return one.unionByName(other)

    def _that_count(self, events: DataFrame) -> DataFrame:
        """What is read of events, without those of a value too small: the kernels leave them out, too."""
        events, where = events.select(*event_columns(self.view)), self.view.over.where
        if where is None or where.column not in events.columns:
            return events
        return events.where(F.col(where.column) >= where.value)

    def _keep(self, frame: DataFrame) -> DataFrame:
        """A frame that is read more than once, until the end."""
        self._kept.append(kept(frame, StorageLevel.MEMORY_AND_DISK))
        return self._kept[-1]


def in_spark(
    spark: SparkSession, folder: Path, news: News, seen: Mapping[str, int], now: Mapping[str, int]
) -> InSpark:
    """The steps on the tables of a lake.

    Args:
        folder: of the lake.
        seen, now: versions of the sources; `seen` is empty where the table is made from scratch.
    """
    view, name = news.view, news.view.over.table.name
    events = read(spark, folder, name, version=now[name])
    if not seen:
        return InSpark(news, events)
    added = events.limit(0)
    if seen[name] < now[name]:
        feed = spark.read.format("delta").option("readChangeFeed", "true")
        feed = feed.option("startingVersion", seen[name] + 1).option("endingVersion", now[name])
        added = feed.load(str(folder / name)).where("_change_type = 'insert'")
    return InSpark(news, events, read(spark, folder, view.name), added)


def _pieces(
    rows: Callable[[pa.Table], pa.Table], key: str
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """What a worker does with a partition that is sorted by key."""

    def made(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for piece in whole_keys(iter(batches), key):
            yield from rows(piece).to_batches()

    return made


def facts_of(spark: SparkSession, folder: Path, view: View, now: Mapping[str, int]) -> DataFrame:
    """The rows of a view of facts, known since the beginning."""
    (name,) = now
    rows, where = read(spark, folder, name, version=now[name]), view.over.where
    if where is not None:
        rows = rows.where(F.col(where.column) >= where.value)
    columns = [F.col(of).alias(column) for column, of in columns_of_facts(view).items()]
    return rows.select(*columns, F.lit(BEGINNING).alias(EVENT_TIMESTAMP))


def differing(view: View, computed: DataFrame, held: DataFrame) -> DataFrame:
    """The computed rows that a table does not hold as they are; of its rows, the newest written count.

    A row from which later events go on differs by its `state`, too: equal features may stand for other sums.
    """
    columns = [*unique_columns(view), *(column.name for column in view.columns)]
    same = [F.col(f"computed.{name}").eqNullSafe(F.col(f"held.{name}")) for name in columns]
    newest = _newest_by(held, unique_columns(view), [CREATED_TIMESTAMP])
    if STATE in computed.columns:
        ours, theirs = (F.map_entries(f"{side}.{STATE}") for side in ("computed", "held"))
        same.append(ours.isNull() | ours.eqNullSafe(theirs))
    return computed.alias("computed").join(newest.alias("held"), reduce(Column.__and__, same), "left_anti")


def write(
    rows: DataFrame, folder: Path, view: View, now: Mapping[str, int], created: datetime, replace: bool
) -> int:
    """Append rows to a view's table, or replace all, in one commit that says what it has seen.

    Args:
        folder: of the lake.
        now: versions of the sources.
        created: the rows' `created_timestamp`; where the table has one as late, they get a later one.

    Returns:
        How many rows were written.
    """
    save = spark_tables.overwrite if replace else spark_tables.append
    stamp = created if replace else growing(folder, view.name, CREATED_TIMESTAMP, created)
    written = rows.withColumn(CREATED_TIMESTAMP, F.lit(stamp))
    save(written, folder, view.name, from_arrow_schema(stored_schema(view)), progress(folder, view, now))
    return int(last_commit(folder, view.name)["operationMetrics"]["numOutputRows"])


def _newest_by(rows: DataFrame, keys: list[str], instants: list[str]) -> DataFrame:
    """Of the rows with the same keys, the one that is newest."""
    newest_first = Window.partitionBy(*keys).orderBy(*(F.col(instant).desc() for instant in instants))
    return rows.withColumn("_place", F.row_number().over(newest_first)).where("_place = 1").drop("_place")
