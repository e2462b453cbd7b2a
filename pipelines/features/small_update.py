"""Taking few new ratings into a feature table: on Arrow tables in this process, without a job of Spark.

The cases, the kernels and what ends up in the table are those of `pipelines.features.incremental`.
What is saved is some ten jobs of Spark a table, which a push or a daily delivery would mostly wait for.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from deltalake import DeltaTable

from feature_repo.schema import CREATED_TIMESTAMP, EVENT_TIMESTAMP, RATINGS, TABLES
from lake.changes import added_rows
from lake.duckdb import connection as duckdb_connection
from lake.tables import append
from pipelines.features.job import Job, Update
from pipelines.features.running import last_events
from pipelines.features.stored import STATE, progress

MOST_NEW = 500_000
"""New ratings, at most, that are few."""
MOST_AGAIN = 5_000_000
"""Ratings of late keys, at most, that are computed anew in memory: some 200 bytes each."""
INSTANT = pa.timestamp("us", "UTC")


def take_in(
    folder: Path, job: Job, created: datetime, seen: Mapping[str, int], now: Mapping[str, int]
) -> Update | None:
    """Append what follows from new ratings.

    Args:
        folder: of the lake.
        created: the `created_timestamp` of new rows.
        seen, now: versions of the job's sources, of which only the ratings' differ.

    Returns:
        None, and nothing done, where there is too much to do or more happened to the ratings than additions.
    """
    added = added_rows(_table(folder, RATINGS.name, now[RATINGS.name]), seen[RATINGS.name])
    if added is None or added.count_rows() > MOST_NEW:
        return None
    new = added.to_table()
    facts = [
        _table(folder, name, now[name]).to_pyarrow_table() for name in job.inputs if name != RATINGS.name
    ]
    stored = _table(folder, job.name).to_pyarrow_dataset()
    first = new.group_by(job.key).aggregate([(EVENT_TIMESTAMP, "min")]).sort_by(job.key)
    newest = _newest_states(stored, job.key, first.column(job.key))
    # Late is what does not come after its key's newest row.
    is_late = pc.greater_equal(last_events(newest), _first_of(newest, first, job.key))
    late = newest.filter(is_late).select([job.key])
    late_keys = late.column(job.key)
    of_late = pc.field(job.key).isin(late_keys)
    ratings = _table(folder, RATINGS.name, now[RATINGS.name]).to_pyarrow_dataset()
    if late.num_rows and ratings.count_rows(filter=of_late) > MOST_AGAIN:
        return None
    on_time = new.filter(pc.invert(pc.is_in(new.column(job.key), late_keys)))
    rows = job.compute(on_time, *facts, before=newest.filter(pc.invert(is_late)))
    if late.num_rows:
        again, held = (
            table.filter(pc.greater(table.column(EVENT_TIMESTAMP), _first_of(table, first, job.key)))
            for table in (
                job.compute(ratings.to_table(filter=of_late), *facts),
                stored.to_table(filter=of_late),
            )
        )
        rows = pa.concat_tables([rows, _differing(again, held, job.name)])
    written = rows.append_column(CREATED_TIMESTAMP, pa.repeat(pa.scalar(created, INSTANT), rows.num_rows))
    append(written, folder, job.name, progress(now))
    return Update(job.name, "updated", rows.num_rows, new.num_rows, late.num_rows)


def _table(folder: Path, name: str, version: int | None = None) -> DeltaTable:
    return DeltaTable(folder / name, version=version)


def _newest_states(stored: pads.Dataset, key: str, keys: pa.ChunkedArray) -> pa.Table:
    """The newest row of each of these keys: the newest of those that carry `state`; sorted by key."""
    rows = stored.to_table(filter=pc.field(STATE).is_valid() & pc.field(key).isin(keys))
    newest_last = [(key, "ascending"), (EVENT_TIMESTAMP, "ascending"), (CREATED_TIMESTAMP, "ascending")]
    rows = rows.sort_by(newest_last)
    found = rows.column(key).to_numpy()
    return rows.filter(pa.array(np.append(found[1:] != found[:-1], True)[: len(found)]))


def _first_of(rows: pa.Table, first: pa.Table, key: str) -> pa.ChunkedArray:
    """(n,) the instant of the first new event of each row's key."""
    return first.column(f"{EVENT_TIMESTAMP}_min").take(pc.index_in(rows.column(key), first.column(key)))


def _differing(computed: pa.Table, held: pa.Table, name: str) -> pa.Table:
    """Rows that the table does not hold as they now are."""
    unique = [column.name for column in TABLES[name].key] + [EVENT_TIMESTAMP]
    compared = unique + [column.name for column in TABLES[name].feature_columns]
    same = " AND ".join(f'computed."{column}" IS NOT DISTINCT FROM held."{column}"' for column in compared)
    with duckdb_connection() as connection:
        place = pa.array(np.arange(computed.num_rows))
        connection.register("again", computed.select(compared).append_column("place", place))
        connection.register("stored", held.select([*compared, CREATED_TIMESTAMP]))
        found = connection.sql(
            f"""WITH held AS (
                SELECT * FROM stored QUALIFY
                    row_number() OVER (PARTITION BY {", ".join(unique)} ORDER BY {CREATED_TIMESTAMP} DESC) = 1
            )
            SELECT place FROM again AS computed ANTI JOIN held ON {same} ORDER BY place"""
        ).to_arrow_table()
    return computed.take(found.column("place"))
