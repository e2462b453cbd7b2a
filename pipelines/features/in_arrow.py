"""The steps of the incremental law on Arrow tables, in this process.

What is saved is starting a JVM, and some ten jobs of Spark a table, which a push or a daily delivery would
mostly wait for.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from feature_repo.define.column import CREATED_TIMESTAMP, EVENT_TIMESTAMP, KNOWN_AFTER
from feature_repo.define.view import View
from lake import tables
from lake.stamps import growing
from pipelines.features import comparison
from pipelines.features.computation import (
    FIRST,
    INSTANT,
    computed_schema,
    event_columns,
    kept_columns,
    order_of,
    stored_schema,
    unique_columns,
)
from pipelines.features.news import News
from pipelines.features.pieces import ROWS_AT_ONCE, STATE, counted, whole_keys
from pipelines.features.progress import progress


class TooManyError(Exception):
    """There are more events to compute than this process should hold."""


class InArrow:
    """The law's steps (`pipelines.features.incremental.Executor`) for few rows.

    Args:
        news: what is to be taken in.
        events: all of them.
        stored: the table's rows; None where it is made from scratch.
        most, most_again: how many events that count anew, and events of late keys, may be taken in.
    """

    def __init__(
        self, news: News, events: pads.Dataset, stored: pads.Dataset | None, most: int, most_again: int
    ) -> None:
        self.news, self.view, self.key = news, news.view, news.view.by.name
        self.events, self.stored = events, stored
        self.most, self.most_again = most, most_again

    def all_events(self) -> pa.Table:
        return self.events.to_table(columns=event_columns(self.view))

    def new_events(self) -> pa.Table:
        news, columns = self.news, event_columns(self.view)
        assert news.added is not None
        self._check(news.added.count_rows(), self.most)
        if news.touched is None:
            events = news.added.to_table(columns=columns)
        else:
            assert news.computation.catalogue is not None
            of_touched = pc.field(news.computation.catalogue.key).isin(news.touched)
            self._check(self.events.count_rows(filter=of_touched), self.most)
            others = news.added.to_table(columns=columns, filter=~of_touched)
            events = pa.concat_tables([others, self.events.to_table(columns=columns, filter=of_touched)])
        return counted(events, news.computation.catalogue, news.computation.where)[0]

    def keys_of(self, events: pa.Table) -> pa.Table:
        firsts = events.group_by(self.key).aggregate([(EVENT_TIMESTAMP, "min")])
        return firsts.rename_columns({f"{EVENT_TIMESTAMP}_min": FIRST})

    def newest(self, keys: pa.Table) -> pa.Table:
        columns = [self.key, EVENT_TIMESTAMP, CREATED_TIMESTAMP, STATE, *kept_columns(self.view)]
        has_state = pc.field(STATE).is_valid() & self._are(keys)
        assert self.stored is not None
        rows = self.stored.to_table(columns=columns, filter=has_state)
        rows = _newest_by(rows, [self.key], [EVENT_TIMESTAMP, CREATED_TIMESTAMP])
        return rows.append_column(FIRST, self._first(rows, keys))

    def late(self, newest: pa.Table) -> pa.Table:
        is_late = pc.greater_equal(last_events(newest), newest.column(FIRST))
        return newest.filter(is_late).select([self.key, FIRST])

    def count(self, rows: pa.Table) -> int:
        return int(rows.num_rows)

    def without(self, rows: pa.Table, keys: pa.Table) -> pa.Table:
        return rows.filter(~self._are(keys))

    def history(self, keys: pa.Table) -> pa.Table:
        self._check(self.events.count_rows(filter=self._are(keys)), self.most_again)
        return self.events.to_table(columns=event_columns(self.view), filter=self._are(keys))

    def held(self, keys: pa.Table) -> pa.Table:
        assert self.stored is not None
        return self.stored.to_table(filter=self._are(keys))

    def after_first(self, rows: pa.Table, keys: pa.Table) -> pa.Table:
        return rows.filter(pc.greater(rows.column(EVENT_TIMESTAMP), self._first(rows, keys)))

    def compute(self, events: pa.Table, before: pa.Table | None = None) -> pa.Table:
        computation = self.news.computation
        rows, _ = counted(events, computation.catalogue, computation.where)
        if before is not None and before.num_rows:
            earlier = before.select([self.key, STATE, *kept_columns(self.view)])
            earlier = earlier.append_column(EVENT_TIMESTAMP, last_events(before))
            rows = pa.concat_tables([rows, earlier], promote_options="default")
        rows = rows.sort_by([(name, "ascending") for name in order_of(self.view)]).combine_chunks()
        batches = rows.to_batches(max_chunksize=ROWS_AT_ONCE)
        pieces = [computation.rows(piece) for piece in whole_keys(iter(batches), self.key)]
        return pa.concat_tables([computed_schema(self.view).empty_table(), *pieces])

    def differing(self, computed: pa.Table, held: pa.Table) -> pa.Table:
        return differing(self.view, computed, held)

    def both(self, one: pa.Table, other: pa.Table) -> pa.Table:
        return pa.concat_tables([one, other])

    def _are(self, keys: pa.Table) -> pc.Expression:
        return pc.field(self.key).isin(keys.column(self.key).combine_chunks())

    def _first(self, rows: pa.Table, keys: pa.Table) -> pa.ChunkedArray:
        """(n,) `FIRST` of each row's key."""
        return keys.column(FIRST).take(pc.index_in(rows.column(self.key), keys.column(self.key)))

    def _check(self, events: int, most: int) -> None:
        if events > most:
            raise TooManyError


def last_events(rows: pa.Table) -> pa.ChunkedArray:
    """(n,) when the last event of each feature row happened."""
    return pc.subtract(rows.column(EVENT_TIMESTAMP), pa.scalar(KNOWN_AFTER, pa.duration("us")))


def differing(view: View, computed: pa.Table, held: pa.Table) -> pa.Table:
    """The computed rows that a table does not hold as they are; of its rows, the newest written count.

    A row from which later events go on differs by its `state`, too: equal features may stand for other sums.
    """
    unique = unique_columns(view)
    newest = _newest_by(held, unique, [CREATED_TIMESTAMP])
    differs = comparison.differing(computed, newest, unique, [column.name for column in view.columns])
    if STATE in computed.column_names:
        goes_on = computed.column(STATE).is_valid().to_numpy()
        going_on = computed.filter(pa.array(goes_on))
        differs[goes_on] |= comparison.differing(going_on, newest, unique, [STATE])
    return computed.filter(pa.array(differs))


def write(
    rows: pa.Table, folder: Path, view: View, now: Mapping[str, int], created: datetime, replace: bool
) -> int:
    """Append rows to a view's table, or replace all, in one commit that says what it has seen.

    Args:
        folder: of the lake.
        now: versions of the sources.
        created: the rows' `created_timestamp`; where the table has one as late, they get a later one.

    Returns:
        How many rows were written.
    """
    stamp = created
    if rows.num_rows and not replace:
        stamp = growing(folder, view.name, CREATED_TIMESTAMP, created)
    written = rows.append_column(CREATED_TIMESTAMP, pa.repeat(pa.scalar(stamp, INSTANT), rows.num_rows))
    save = tables.overwrite if replace else tables.append
    schema = stored_schema(view)
    save(written.select(schema.names).cast(schema), folder, view.name, progress(folder, view, now))
    return int(rows.num_rows)


def _newest_by(rows: pa.Table, keys: list[str], instants: list[str]) -> pa.Table:
    """Of the rows with the same keys, the one that is newest; sorted by key."""
    rows = rows.sort_by([(name, "ascending") for name in (*keys, *instants)])
    closes = np.zeros(rows.num_rows, np.bool_)
    closes[-1:] = True
    for name in keys:
        found = rows.column(name).combine_chunks()
        closes[:-1] |= pc.not_equal(found[1:], found[:-1]).to_numpy(zero_copy_only=False)
    return rows.filter(pa.array(closes))
