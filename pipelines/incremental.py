"""Keeping a feature table up to date with what is new in its sources.

Each commit to a feature table says which versions of its sources it has seen, so table and progress cannot
part. From there, Delta's change data feed gives the new ratings, and per key there are two cases:

- All of its new events come after its newest row: totals go on from that row's `state`.
- Some are late: the key is computed anew from all its events, and the rows that differ from what the table
  holds are appended. They carry a later `created_timestamp`, so what was known before can still be rebuilt;
  readers take the newest.

Where catalogue facts changed, which may touch any row, everything is computed anew and what differs is
appended. Where a source was rewritten, or rows left it, or the table's declaration has changed, the table is
replaced.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from feature_repo.schema import CREATED_TIMESTAMP, EVENT_TIMESTAMP, RATINGS, TABLES
from pipelines import lake
from pipelines.job import Job
from pipelines.lake import RUNNING, STATE
from pipelines.running import last_event

How = Literal["rebuilt", "updated", "nothing new"]


@dataclass(frozen=True, slots=True)
class Update:
    """What became of a feature table.

    Args:
        table: its name.
        how: what was done.
        rows: written.
        new_ratings: that an incremental update took in.
        late_keys: of these, keys that were computed anew for the sake of late events.
    """

    table: str
    how: How
    rows: int
    new_ratings: int = 0
    late_keys: int = 0


def update(spark: SparkSession, folder: Path, job: Job, created: datetime) -> Update:
    """Bring one feature table up to date in one commit, or in none where nothing is new.

    Args:
        folder: of the lake.
        created: the `created_timestamp` of new rows.
    """
    now = {name: _version(spark, folder, name) for name in job.inputs}
    seen = _seen(spark, folder, job.name)
    if seen is None or set(seen) != set(now) or not lake.as_declared(spark, folder, job.name):
        return rebuild(spark, folder, job, created)
    changed = [name for name in job.inputs if seen[name] != now[name]]
    if not changed:
        return Update(job.name, "nothing new", 0)
    feeds = {name: _changes(spark, folder, name, seen[name], now[name]) for name in changed}
    if any(feed.where("_change_type != 'insert'").take(1) for feed in feeds.values()):
        return rebuild(spark, folder, job, created)
    frames = {name: lake.read_stored(spark, folder, name, now[name]) for name in job.inputs}
    stored = lake.read_stored(spark, folder, job.name)
    if job.name not in RUNNING or changed != [RATINGS.name]:
        rows = _differing(job.compute(*frames.values()), stored, job.name)
        return Update(job.name, "updated", _append(rows, spark, folder, job.name, created, now))
    new = feeds[RATINGS.name].select(*RATINGS.column_names).persist()
    try:
        newest = _newest_states(stored, job.key).persist()
        keys = _keys(new, newest, job.key).persist()
        late = keys.where("is_late").select(job.key)
        on_time = keys.where("NOT is_late").select(job.key)
        others = [frame for name, frame in frames.items() if name != RATINGS.name]
        resumed = job.compute(
            new.join(on_time, job.key, "left_semi"),
            *others,
            before=newest.join(on_time, job.key, "left_semi"),
        )
        rows = resumed
        late_keys = late.count()
        if late_keys:
            history = frames[RATINGS.name].join(F.broadcast(late), job.key, "left_semi")
            held = stored.join(F.broadcast(late), job.key, "left_semi")
            rows = rows.unionByName(_differing(job.compute(history, *others), held, job.name))
        written = _append(rows, spark, folder, job.name, created, now)
        return Update(job.name, "updated", written, new.count(), late_keys)
    finally:
        for frame in (new, newest, keys):
            frame.unpersist()


def rebuild(spark: SparkSession, folder: Path, job: Job, created: datetime) -> Update:
    """Compute a feature table from all of its sources, and replace it."""
    now = {name: _version(spark, folder, name) for name in job.inputs}
    frames = [lake.read_stored(spark, folder, name, now[name]) for name in job.inputs]
    rows = job.compute(*frames).withColumn(CREATED_TIMESTAMP, F.lit(created))
    lake.overwrite(rows, folder, job.name, json.dumps({"seen": now}))
    return Update(job.name, "rebuilt", lake.read(spark, folder, job.name).count())


def current(rows: DataFrame, name: str) -> DataFrame:
    """Of a feature table's rows, those that readers take: per key and instant the newest written."""
    unique = [column.name for column in TABLES[name].key] + [EVENT_TIMESTAMP]
    newest_first = Window.partitionBy(*unique).orderBy(F.col(CREATED_TIMESTAMP).desc())
    return rows.withColumn("place", F.row_number().over(newest_first)).where("place = 1").drop("place")


def _differing(computed: DataFrame, stored: DataFrame, name: str) -> DataFrame:
    """Rows that the table does not hold as they now are."""
    unique = [column.name for column in TABLES[name].key] + [EVENT_TIMESTAMP]
    values = [column.name for column in TABLES[name].feature_columns]
    same = [F.col(f"computed.{column}").eqNullSafe(F.col(f"held.{column}")) for column in unique + values]
    held = current(stored, name).select(*unique, *values).alias("held")
    condition = same[0]
    for equal in same[1:]:
        condition = condition & equal
    return computed.alias("computed").join(held, condition, "left_anti")


def _newest_states(stored: DataFrame, key: str) -> DataFrame:
    """The newest row of each key: the newest of those that carry `state`."""
    newest_first = Window.partitionBy(key).orderBy(
        F.col(EVENT_TIMESTAMP).desc(), F.col(CREATED_TIMESTAMP).desc()
    )
    states = stored.where(F.col(STATE).isNotNull())
    return states.withColumn("place", F.row_number().over(newest_first)).where("place = 1").drop("place")


def _keys(new: DataFrame, newest: DataFrame, key: str) -> DataFrame:
    """The keys that have new ratings, and whether any of these is late: not after the key's newest row."""
    first = new.groupBy(key).agg(F.min(EVENT_TIMESTAMP).alias("first"))
    last = newest.select(key, last_event().alias("last"))
    is_late = F.coalesce(F.col("first") <= F.col("last"), F.lit(False))
    return first.join(last, key, "left").select(key, is_late.alias("is_late"))


def _append(
    rows: DataFrame, spark: SparkSession, folder: Path, name: str, created: datetime, now: Mapping[str, int]
) -> int:
    """Append rows in one commit that says what it has seen; the number of rows."""
    lake.append(rows.withColumn(CREATED_TIMESTAMP, F.lit(created)), folder, name, json.dumps({"seen": now}))
    commit = DeltaTable.forPath(spark, str(folder / name)).history(1).collect()[0]
    return int(commit["operationMetrics"]["numOutputRows"])


def _version(spark: SparkSession, folder: Path, name: str) -> int:
    """The newest version of a table."""
    if not lake.exists(folder, name):
        lake.read(spark, folder, name)  # says what to do
    return int(DeltaTable.forPath(spark, str(folder / name)).history(1).collect()[0]["version"])


def _seen(spark: SparkSession, folder: Path, name: str) -> dict[str, int] | None:
    """The source versions that a feature table is up to date with; None where it does not say."""
    if not lake.exists(folder, name):
        return None
    # Maintenance commits say nothing: look further back.
    history = DeltaTable.forPath(spark, str(folder / name)).history()
    said = history.where(F.col("userMetadata").isNotNull() & (F.col("userMetadata") != ""))
    newest = said.orderBy(F.col("version").desc()).select("userMetadata").first()
    return None if newest is None else dict(json.loads(newest[0])["seen"])


def _changes(spark: SparkSession, folder: Path, name: str, seen: int, now: int) -> DataFrame:
    """The change data feed of a table after version `seen` up to `now`."""
    feed = spark.read.format("delta").option("readChangeFeed", "true")
    return feed.option("startingVersion", seen + 1).option("endingVersion", now).load(str(folder / name))
