"""Rows of views by the pipelines, to be compared: computed at once, in batches, by Arrow or by Spark."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
from pyspark.sql import SparkSession

from feature_repo.define.column import CREATED_TIMESTAMP, EVENT_TIMESTAMP
from feature_repo.define.view import View
from pipelines.features.computation import (
    INSTANT,
    catalogue_columns,
    computation,
    computed_schema,
    facts_of,
    stored_schema,
)
from pipelines.features.in_arrow import InArrow
from pipelines.features.in_spark import InSpark
from pipelines.features.incremental import take_in
from pipelines.features.news import News, touched_keys
from pipelines.features.pieces import STATE

CREATED = datetime(2024, 1, 1, tzinfo=UTC)
MANY = 10**9
Tables = Mapping[str, pa.Table]


def news(view: View, tables: Tables, **new: Any) -> News:
    joined = None
    if view.over.joined is not None:
        joined = tables[view.over.joined.name].select(catalogue_columns(view))
    return News(view, computation(view, joined), **new)


def computed(view: View, tables: Tables, spark: SparkSession | None = None) -> pa.Table:
    """A view's rows out of whole tables, by Arrow or by Spark; `created_timestamp` is left out."""
    events = tables[view.over.table.name]
    if view.is_timeless:
        return facts_of(view, events)
    if spark is None:
        arrow = InArrow(news(view, tables), pads.dataset(events), None, MANY, MANY)
        return arrow.compute(arrow.all_events())
    with InSpark(news(view, tables), spark.createDataFrame(events)) as do:
        return do.compute(do.all_events()).toArrow().cast(computed_schema(view))


def grown(view: View, batches: Sequence[Tables], spark: SparkSession | None = None) -> tuple[pa.Table, int]:
    """A view's table after several deliveries.

    Args:
        batches: events as they arrive, and the whole catalogue at the time.

    Returns:
        All rows as they are stored, and how many late keys there were in all.
    """
    name = view.over.table.name
    stored, late = with_created(view, computed(view, batches[0], spark), 0), 0
    for place in range(1, len(batches)):
        events = pa.concat_tables([batch[name] for batch in batches[: place + 1]])
        added, touched = batches[place][name], None
        if view.over.joined is not None:
            columns, joined = catalogue_columns(view), view.over.joined.name
            before, after = (batches[at][joined].select(columns) for at in (place - 1, place))
            touched = touched_keys(view, before, after)
            assert touched is not None
        what = news(view, batches[place], added=pads.dataset(added), touched=touched)
        if spark is None:
            rows, late_keys = take_in(InArrow(what, pads.dataset(events), pads.dataset(stored), MANY, MANY))
        else:
            frames = [spark.createDataFrame(table) for table in (events, stored, added)]
            with InSpark(what, *frames) as do:
                found, late_keys = take_in(do)
                rows = found.toArrow().select(computed_schema(view).names).cast(computed_schema(view))
        stored = pa.concat_tables([stored, with_created(view, rows, place)])
        late += late_keys
    return stored, late


def with_created(view: View, rows: pa.Table, hour: int) -> pa.Table:
    created = pa.scalar(CREATED + timedelta(hours=hour), INSTANT)
    rows = rows.append_column(CREATED_TIMESTAMP, pa.repeat(created, rows.num_rows))
    return rows.select(stored_schema(view).names)


def seen_by_readers(view: View, rows: pa.Table) -> list[dict[str, Any]]:
    """What readers see of rows, sorted: per key and instant the newest written. The newest row of each key
    has its `state`, from which the next events go on."""
    newest: dict[tuple[Any, datetime], dict[str, Any]] = {}
    in_time = rows.to_pylist(maps_as_pydicts="strict")
    if CREATED_TIMESTAMP in rows.column_names:
        in_time.sort(key=lambda row: row[CREATED_TIMESTAMP])
    for row in in_time:
        newest[row[view.by.name], row[EVENT_TIMESTAMP]] = row
    last = dict(sorted(newest))
    found = []
    for key, instant in sorted(newest):
        row = newest[key, instant]
        row.pop(CREATED_TIMESTAMP, None)
        if instant != last[key]:
            row.pop(STATE, None)
        found.append(row)
    return found
