"""Keeping a feature table up to date with what is new in its sources.

Each commit to a feature table says which versions of its sources it has seen, so table and progress cannot
part. From there, Delta's change data feed gives the new ratings, and per key there are two cases:

- All of its new events come after its newest row: totals go on from that row's `state`.
- Some are late: the key is computed anew from all its events, and the rows that differ from what the table
  holds are appended. They carry a later `created_timestamp`, so what was known before can still be rebuilt;
  readers take the newest.

Few new ratings are taken in by this process itself (`pipelines.features.small_update`), many by Spark. Where
catalogue facts changed, which may touch any row, everything is computed anew and what differs is appended.
Where a source was rewritten, or rows left it, or the table's declaration has changed, the table is replaced.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from feature_repo.schema import CREATED_TIMESTAMP, EVENT_TIMESTAMP, FEATURE_TABLES, RATINGS, TABLES
from lake.spark_tables import SPARK_ERRORS, append, overwrite, read
from lake.tables import exists, last_commit, newest_version, said_of
from pipelines.features import small_update
from pipelines.features.job import Job, Update
from pipelines.features.running import last_event
from pipelines.features.stored import RUNNING, STATE, as_declared, progress, seen_in, stored_schema

FIRST = "first"
"""The first new event of a key."""


def update(spark: SparkSession, folder: Path, job: Job, created: datetime) -> Update:
    """Bring one feature table up to date in one commit, or in none where nothing is new.

    Args:
        folder: of the lake.
        created: the `created_timestamp` of new rows.
    """
    now = {name: newest_version(folder, name) for name in job.inputs}
    seen = _seen(folder, job.name)
    if seen is None or set(seen) != set(now) or not as_declared(folder, job.name):
        return rebuild(spark, folder, job, created)
    changed = [name for name in job.inputs if seen[name] != now[name]]
    if not changed:
        return Update(job.name, "nothing new", 0)
    if job.name in RUNNING and changed == [RATINGS.name]:
        done = small_update.take_in(folder, job, created, seen, now)
        if done is not None:
            return done
    feeds = {name: _changes(spark, folder, name, seen[name], now[name]).persist() for name in changed}
    try:
        if not all(map(_only_added, feeds.values())):
            return rebuild(spark, folder, job, created)
        return _take_in(spark, folder, job, created, now, feeds)
    finally:
        for feed in feeds.values():
            feed.unpersist()


def _take_in(
    spark: SparkSession,
    folder: Path,
    job: Job,
    created: datetime,
    now: Mapping[str, int],
    feeds: Mapping[str, DataFrame],
) -> Update:
    """Append what follows from the rows that were added to the sources."""
    frames = {name: read(spark, folder, name, version=now[name]) for name in job.inputs}
    stored = read(spark, folder, job.name)
    if job.name not in RUNNING or set(feeds) != {RATINGS.name}:
        rows = _differing(job.compute(*frames.values()), stored, job.name)
        return Update(job.name, "updated", _append(rows, folder, job.name, created, now))
    new = feeds[RATINGS.name].select(*RATINGS.column_names)
    first = new.groupBy(job.key).agg(F.min(EVENT_TIMESTAMP).alias(FIRST)).persist()
    newest = _newest_states(stored.join(F.broadcast(first), job.key), job.key).persist()
    # Late is what does not come after its key's newest row.
    is_late = last_event() >= F.col(FIRST)
    late = newest.where(is_late).select(job.key, FIRST).persist()
    try:
        others = [frame for name, frame in frames.items() if name != RATINGS.name]
        late_keys = late.count()
        if late_keys:
            on_time = new.join(F.broadcast(late), job.key, "left_anti")
            rows = job.compute(on_time, *others, before=newest.where(~is_late))
            history = frames[RATINGS.name].join(F.broadcast(late.select(job.key)), job.key, "left_semi")
            rows = rows.unionByName(
                _differing(
                    _after_first(job.compute(history, *others), late, job.key),
                    _after_first(stored, late, job.key),
                    job.name,
                )
            )
        else:
            rows = job.compute(new, *others, before=newest)
        written = _append(rows, folder, job.name, created, now)
        return Update(job.name, "updated", written, new.count(), late_keys)
    finally:
        for frame in (first, newest, late):
            frame.unpersist()


def rebuild(spark: SparkSession, folder: Path, job: Job, created: datetime) -> Update:
    """Compute a feature table from all of its sources, and replace it."""
    now = {name: newest_version(folder, name) for name in job.inputs}
    frames = [read(spark, folder, name, version=now[name]) for name in job.inputs]
    rows = job.compute(*frames).withColumn(CREATED_TIMESTAMP, F.lit(created))
    overwrite(rows, folder, job.name, stored_schema(job.name), progress(now))
    return Update(job.name, "rebuilt", _written(folder, job.name))


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


def _after_first(rows: DataFrame, late: DataFrame, key: str) -> DataFrame:
    """Of the late keys' rows, those known after the first late event: it touches no others."""
    touched = rows.join(F.broadcast(late), key).where(F.col(EVENT_TIMESTAMP) > F.col(FIRST))
    return touched.drop(FIRST)


def _append(rows: DataFrame, folder: Path, name: str, created: datetime, now: Mapping[str, int]) -> int:
    """Append rows in one commit that says what it has seen; the number of rows."""
    rows = rows.withColumn(CREATED_TIMESTAMP, F.lit(created))
    append(rows, folder, name, stored_schema(name), progress(now))
    return _written(folder, name)


def _written(folder: Path, name: str) -> int:
    """How many rows the newest commit to a table wrote."""
    return int(last_commit(folder, name)["operationMetrics"]["numOutputRows"])


def _seen(folder: Path, name: str) -> dict[str, int] | None:
    """The source versions that a feature table is up to date with; None where it does not say."""
    said = said_of(folder, name) if exists(folder, name) else ""
    return seen_in(said) if said else None


def _only_added(feed: DataFrame) -> bool:
    """Whether rows were added to a table and none left it, so far as its feed still tells."""
    try:
        return not feed.where("_change_type != 'insert'").take(1)
    except SPARK_ERRORS:
        # The files were vacuumed: what happened is not known any more.
        return False


def oldest_seen(folder: Path, source: str) -> int | None:
    """The version of a source that the feature table furthest behind has seen; None where none reads it."""
    versions = [(_seen(folder, table.name) or {}).get(source) for table in FEATURE_TABLES]
    return min((version for version in versions if version is not None), default=None)


def _changes(spark: SparkSession, folder: Path, name: str, seen: int, now: int) -> DataFrame:
    """The change data feed of a table after version `seen` up to `now`."""
    feed = spark.read.format("delta").option("readChangeFeed", "true")
    return feed.option("startingVersion", seen + 1).option("endingVersion", now).load(str(folder / name))
