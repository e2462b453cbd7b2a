"""Bringing online what changed in the tables since it last was.

What a view's online rows are up to date with stands in the online store (`record`). It is written last, after
rows that have to go are gone, so a send that was killed is repeated.

A key is sent if its newest row is new. Each key is sent, older rows replace newer ones, and keys that the
table lacks are removed, so that what is online is the table's, where that cannot be known: without a record;
where the table was replaced (overwritten, restored, made anew, put back from a copy) or has other features;
where rows are missing online or are others than were written (evicted, deleted, put back from an older copy),
as the store's tallies tell.
"""

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
from feast import FeatureStore, FeatureView

from common.errors import MarqueeError
from common.progress import Progress
from feature_repo.applied import applied_views
from feature_repo.feast_internals import (
    OnlineRow,
    entity_key,
    key_types,
    online_store,
    read_online,
    rows_of,
    serialised_key,
    write_online,
)
from feature_repo.offline.latest import latest_rows
from feature_repo.offline.tables import (
    dataset,
    delta_table,
    file_source,
    locate,
    require_columns,
    storage_options,
)
from feature_repo.online.newest import KeepsNewest, microseconds
from feature_repo.online.record import Record, record_key, rows_missing, sent_record, write_record
from lake.changes import added_rows
from lake.tables import commit_digest

BATCH = 10_000
"""Rows that go to the online store at a time."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What went online for one view.

    Args:
        view: its name, which is that of its table.
        since: the table's version that was online before; None where all keys were sent.
        version: the one that is online now.
        rows: sent, one a key.
        refused: of these, the ones that the store left out as older than what it has.
        missing: rows that were online and had gone; they are back.
        lost: rows that went while they were sent.
        seconds: that it took.
    """

    view: str
    since: int | None
    version: int
    rows: int
    refused: int
    missing: int
    lost: int
    seconds: float


def send_changed(
    store: FeatureStore, views: Sequence[str] | None = None, on_progress: Progress | None = None
) -> list[Sent]:
    """Send the keys whose newest row changed since what was last sent; one sender a store at a time.

    Args:
        store: an applied store.
        views: names of the views; all by default.
        on_progress: called with view, rows written so far, rows in all.

    Raises:
        MarqueeError: nothing is applied yet, a view is unknown, or its table is not built or lacks a column
            of it; then nothing is sent. Or the store let go of rows while others were sent.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Feast's own
        wanted = applied_views(store, views)
        for view in wanted:
            source = file_source(view.batch_source)
            columns = [*key_types(view), *(feature.name for feature in view.features)]
            require_columns(
                store.config, view.name, source.path, dataset(store.config, source).schema, columns
            )
        sent = [_send_view(store, view, on_progress) for view in wanted]
    lost = [part.view for part in sent if part.lost]
    if lost:
        rows, names = sum(part.lost for part in sent), ", ".join(lost)
        raise MarqueeError(
            f"The online store let go of {rows} rows of {names} while they were sent: give it memory for all"
            " of them and no policy that evicts (marquee doctor looks for one), then run marquee features"
            " materialize."
        )
    return sent


def _send_view(store: FeatureStore, view: FeatureView, on_progress: Progress | None) -> Sent:
    started = time.perf_counter()
    source = file_source(view.batch_source)
    table = delta_table(store.config, source)
    held, missing = sent_record(store, view), rows_missing(store, view)
    version, features = table.version(), [feature.name for feature in view.features]
    folder = Path(locate(store.config, source.path))
    goal = Record(str(table.metadata().id), version, features, commit_digest(folder, version))
    added = None
    if held is not None and missing is None and _was(held, goal, folder):
        if held.version == version:
            return Sent(view.name, version, version, 0, 0, 0, 0, time.perf_counter() - started)
        added = added_rows(table, held.version, storage_options(source))
    newest = newest_rows(store, view, added)
    if added is None:
        write_record(store, view, None)
    refused = _write(store, view, newest, added is None, on_progress)
    if added is None:
        _settle(store, view, newest)
    write_record(store, view, goal)
    return Sent(
        view.name,
        since=held.version if held is not None and added is not None else None,
        version=goal.version,
        rows=newest.num_rows,
        refused=refused,
        missing=missing or 0,
        lost=rows_missing(store, view) or 0,
        seconds=time.perf_counter() - started,
    )


def _was(held: Record, goal: Record, folder: Path) -> bool:
    """Whether what is online is an earlier version of a table, or this one, with the same features.

    Of tables elsewhere than in files the number alone tells.
    """
    if (held.table, held.features) != (goal.table, goal.features):
        return False
    return held.commit in ("", commit_digest(folder, held.version))


def newest_rows(store: FeatureStore, view: FeatureView, among: pads.Dataset | None = None) -> pa.Table:
    """The newest row of each of a view's keys, as its table has it.

    Args:
        among: some of the table's rows: only keys whose newest row is one of these.
    """
    source = file_source(view.batch_source)
    return latest_rows(
        store.config,
        source,
        list(key_types(view)),
        [feature.name for feature in view.features],
        source.timestamp_field,
        source.created_timestamp_column or None,
        among=among,
    )


def _write(
    store: FeatureStore, view: FeatureView, newest: pa.Table, everything: bool, on_progress: Progress | None
) -> int:
    """Write rows in batches; the number of those refused as older than what is there.

    Args:
        newest: one row a key.
        everything: that the table has: refuse none.
    """
    online, refused = online_store(store), 0
    for start in range(0, newest.num_rows, BATCH):
        batch = newest.slice(start, BATCH)
        rows = rows_of(batch, view)
        if isinstance(online, KeepsNewest):
            refused += online.write(store.config, view, rows, whatever=everything)
        else:
            fresh = rows if everything else _not_older(store, view, rows)
            write_online(store, view, fresh)
            refused += len(rows) - len(fresh)
        if on_progress:
            on_progress(view.name, start + batch.num_rows, newest.num_rows)
    return refused


def _settle(store: FeatureStore, view: FeatureView, newest: pa.Table) -> None:
    """After all of a table was written: note what is there, and remove rows of keys that the table lacks.

    A store that cannot, keeps them.
    """
    online, config, rows = online_store(store), store.config, newest.num_rows + 1  # one is the record's
    if not isinstance(online, KeepsNewest):
        return
    online.expect(config, view, rows)
    there, _ = online.tallies(config, view)
    if there.rows > rows:
        values = zip(*(newest[name].to_pylist() for name in key_types(view)), strict=True)
        keys = [record_key(view), *(entity_key(view, value) for value in values)]
        online.keep_only(config, view, {serialised_key(config, key) for key in keys})
        online.expect(config, view, rows)


def _not_older(store: FeatureStore, view: FeatureView, rows: list[OnlineRow]) -> list[OnlineRow]:
    """For a store that would take anything: the rows that are not older than what it has.

    It tells event timestamps only; of rows with the same, the one to be sent is the table's newest.
    """
    names = [feature.name for feature in view.features][:1]
    held = read_online(store, view, [row[0] for row in rows], names)
    return [
        row
        for row, (moment, _) in zip(rows, held, strict=True)
        if moment is None or microseconds(row[2]) >= microseconds(moment)
    ]
