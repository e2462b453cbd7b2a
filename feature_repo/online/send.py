"""Bringing online what changed in the tables since it last was.

What a view's online rows are up to date with stands in the online store (`record`). It is written last, so a
send that was killed is repeated.

A key is sent if its newest row is new; without a record, each key is. Where the table was replaced
(overwritten, restored, made anew) each key is sent too, and the online rows become those of the table: older
rows replace newer ones, and keys that it lacks are removed.
"""

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.dataset as pads
from feast import FeatureStore, FeatureView

from common.progress import Progress
from feature_repo.applied import applied_views
from feature_repo.feast_internals import (
    Row,
    key_types,
    online_store,
    read_online,
    rows_of,
    serialised_key,
    write_online,
)
from feature_repo.offline.latest import latest_rows
from feature_repo.offline.tables import dataset, delta_table, file_source, require_columns, storage_options
from feature_repo.online.newest import KeepsNewest, microseconds
from feature_repo.online.record import Record, record_key, sent_record, write_record
from lake.changes import added_rows

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
        seconds: that it took.
    """

    view: str
    since: int | None
    version: int
    rows: int
    refused: int
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
            of it; then nothing is sent.
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
        return [_send_view(store, view, on_progress) for view in wanted]


def _send_view(store: FeatureStore, view: FeatureView, on_progress: Progress | None) -> Sent:
    started = time.perf_counter()
    source = file_source(view.batch_source)
    table = delta_table(store.config, source)
    held = sent_record(store, view)
    goal = Record(str(table.metadata().id), table.version(), [feature.name for feature in view.features])
    if held == goal:
        return Sent(view.name, held.version, goal.version, 0, 0, time.perf_counter() - started)
    added = None
    if held is not None and held.table == goal.table:
        added = added_rows(table, held.version, storage_options(source))
    replaced = held is not None and added is None
    if held is not None and held.features != goal.features:
        added = None
    newest = newest_rows(store, view, added)
    refused = _write(store, view, newest, replaced, on_progress)
    write_record(store, view, goal)
    since = held.version if held is not None and added is not None else None
    return Sent(view.name, since, goal.version, newest.num_rows, refused, time.perf_counter() - started)


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
    store: FeatureStore, view: FeatureView, newest: pa.Table, replaced: bool, on_progress: Progress | None
) -> int:
    """Write rows in batches; the number of those refused as older than what is there.

    Args:
        newest: one row a key.
        replaced: refuse none, and if the store can, remove all others.
    """
    online, config = online_store(store), store.config
    keys, refused = {serialised_key(config, record_key(view))}, 0
    for start in range(0, newest.num_rows, BATCH):
        batch = newest.slice(start, BATCH)
        rows = rows_of(batch, view)
        if isinstance(online, KeepsNewest):
            refused += online.write(config, view, rows, whatever=replaced)
        else:
            fresh = rows if replaced else _not_older(store, view, rows)
            write_online(store, view, fresh)
            refused += len(rows) - len(fresh)
        if replaced:
            keys.update(serialised_key(config, key) for key, *_ in rows)
        if on_progress:
            on_progress(view.name, start + batch.num_rows, newest.num_rows)
    if replaced and isinstance(online, KeepsNewest):
        online.keep_only(config, view, keys)
    return refused


def _not_older(store: FeatureStore, view: FeatureView, rows: list[Row]) -> list[Row]:
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
