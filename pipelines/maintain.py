"""Maintenance of a Delta table: small files made into few, clustered by key, and old versions removed.

What is in a table does not change, nor what its change data feed says: jobs, materialisation and readers of
the newest version go on as if nothing had been.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from delta.tables import DeltaTable
from pyspark.sql import Row, SparkSession

from common.errors import MarqueeError
from feature_repo.define.domain import Domain
from feature_repo.define.table import QUARANTINE
from lake.tables import require_rows
from pipelines.features.incremental import oldest_seen

RETAIN = timedelta(days=30)
"""For how long old versions can be read, unless asked otherwise."""
HOUR = timedelta(hours=1)
_SETTINGS = {
    # Several files, so that several tasks write and read them, and statistics leave whole ones out.
    "spark.databricks.delta.optimize.maxFileSize": str(128 * 2**20),
    "spark.databricks.io.skipping.mdc.sortWithinFiles": "true",
    # Vacuum lists folders in so many tasks, by default 10,000.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",
    # The period is the caller's to choose: only one command at a time writes a lake.
    "spark.databricks.delta.retentionDurationCheck.enabled": "false",
}


@dataclass(frozen=True, slots=True)
class Maintained:
    """What became of a table.

    Args:
        table: its name.
        files: of the newest version, before and after.
        size: of its data, old versions' too, in bytes, before and after.
        versions: the oldest and the newest that can be read.
    """

    table: str
    files: tuple[int, int]
    size: tuple[int, int]
    versions: tuple[int, int]


def maintain(
    spark: SparkSession,
    folder: Path,
    domain: Domain,
    name: str,
    retain: timedelta = RETAIN,
    keep: int | None = None,
) -> Maintained:
    """Compact a table, cluster it by its key, and remove what only versions older than `retain` need.

    A table that nothing was written to since the last time is not written again. Nor is a log, which was
    written whole, in few files and in the order of its rows.

    Args:
        folder: of the lake.
        domain: whose tables they are.
        name: of the table, or of the quarantine.
        retain: how long ago a version may have been replaced and still be readable.
        keep: a version that must stay readable, and all since it, however old; None for none. What feature
            tables have not seen yet of a source always stays.

    Raises:
        MarqueeError: there is no such table, it cannot be read, or the period is negative.
    """
    if retain < timedelta(0):
        raise MarqueeError(f"Versions cannot be kept for {retain.days} days: give 0 or more.")
    require_rows(folder, name)
    path = folder / name
    table = DeltaTable.forPath(spark, str(path))
    files, size = _files(table), _size(path)
    with _settings(spark):
        is_log = name != QUARANTINE and domain.tables[name].kind == "log"
        if not is_log and _written_since_optimised(table):
            if name == QUARANTINE:
                table.optimize().executeCompaction()
            else:
                table.optimize().executeZOrderBy(*(key.name for key in domain.tables[name].key))
        commits = _commits(table)
        # A version's files are needed until the next one has replaced it. A clock that was set back may have
        # stamped a later commit earlier.
        kept = [version for version in (keep, _unseen(folder, domain, name, commits)) if version is not None]
        since = [commit.timestamp for commit in commits if kept and commit.version > min(kept)]
        replaced = min(since, default=None)
        hours = retain // HOUR  # vacuum rounds to whole ones
        if replaced is not None:
            hours = max(hours, (datetime.now() - replaced) // HOUR + 1)
        cutoff = datetime.now() - hours * HOUR
        table.vacuum(hours)
    readable = [commit.version for commit, after in pairwise(commits) if after.timestamp >= cutoff]
    oldest, newest = min([*readable, commits[-1].version]), _commits(table)[-1].version
    return Maintained(name, (files, _files(table)), (size, _size(path)), (oldest, newest))


def _unseen(folder: Path, domain: Domain, name: str, commits: Sequence[Row]) -> int | None:
    """The first version that brought rows which some feature table has not taken in; None for none."""
    seen = oldest_seen(folder, domain, name)
    if seen is None:
        return None
    written = (commit.version for commit in commits if not _is_maintenance(commit))
    return next((version for version in written if version > seen), None)


def _is_maintenance(commit: Row) -> bool:
    return bool(commit.operation == "OPTIMIZE" or commit.operation.startswith("VACUUM"))


def _written_since_optimised(table: DeltaTable) -> bool:
    """Whether the last commit that changed which files there are was a write."""
    kinds = [commit.operation for commit in _commits(table) if not commit.operation.startswith("VACUUM")]
    return bool(kinds[-1] != "OPTIMIZE")


def _commits(table: DeltaTable) -> list[Row]:
    """`version`, `timestamp` (of the local clock) and `operation` of each commit, oldest first."""
    return table.history().select("version", "timestamp", "operation").orderBy("version").collect()


def _files(table: DeltaTable) -> int:
    return int(table.detail().select("numFiles").collect()[0][0])


def _size(path: Path) -> int:
    """Of all data files in the folder; the log is no part of it."""
    return sum(file.stat().st_size for file in path.glob("**/*.parquet") if "_delta_log" not in file.parts)


@contextmanager
def _settings(spark: SparkSession) -> Iterator[None]:
    before = spark.conf.getAll
    for name, value in _SETTINGS.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name in _SETTINGS:
            if name in before:
                spark.conf.set(name, before[name])
            else:
                spark.conf.unset(name)
