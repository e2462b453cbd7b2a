"""From a view's declaration to what makes its rows: a function of plain values, and what it depends on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from feature_repo.arrow import arrow_schema
from feature_repo.define import operation as op
from feature_repo.define.column import (
    BEGINNING,
    CREATED_TIMESTAMP,
    EVENT_TIMESTAMP,
    PADDING,
    Column,
)
from feature_repo.define.view import View
from pipelines.features import kernels
from pipelines.features.kernels import Kernel
from pipelines.features.pieces import STATE, STATE_TYPE, JoinedRows, counted

INSTANT = pa.timestamp("us", "UTC")
FIRST = "_first"
"""In a table of keys: when the first of a key's events happened that counts anew."""


def stored_schema(view: View) -> pa.Schema:
    """A view's table as it is stored: the declared columns and, where it runs along with events, `state`.

    The newest row of each key keeps its totals there: the next events go on from them. Readers never see it.
    """
    declared = arrow_schema(view.table)
    return declared if view.is_timeless else declared.append(pa.field(STATE, STATE_TYPE))


def computed_schema(view: View) -> pa.Schema:
    """A view's rows as they are computed: as stored, without `created_timestamp`."""
    stored = stored_schema(view)
    return stored.remove(stored.get_field_index(CREATED_TIMESTAMP))


def digest(view: View) -> str:
    """A word that differs where a view is computed otherwise: rows of another computation are not gone on
    from. What only people or models read makes no difference."""
    told = {
        "kernels": kernels.VERSION,
        "by": _told(view.by),
        "tables": [(table.name, [_told(column) for column in table.key]) for table in view.over.tables],
        "where": condition(view.over.where),
        "features": [_told_of(view, operation) for operation in view.features],
    }
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _told(column: Column) -> list[Any]:
    return [column.name, column.type.value, column.length, getattr(column.role, "separator", "")]


def _told_of(view: View, operation: op.Operation) -> list[Any]:
    of = getattr(operation, "of", None)
    read = view.over.column(of) if of is not None else None
    return [
        type(operation).__name__,
        [_told(column) for column in op.made_by(operation)],
        read and [*_told(read), read.step],
        getattr(operation, "origin", None),
        condition(getattr(operation, "where", None)),
    ]


def condition(where: op.AtLeast | None) -> tuple[str, float] | None:
    """A condition as plain values: a column and its least value."""
    return None if where is None else (where.column, where.value)


def unique_columns(view: View) -> list[str]:
    """Key and instant: what a row is of."""
    return [view.by.name, EVENT_TIMESTAMP]


# --- what is read -----------------------------------------------------------------------------------------


def order_of(view: View) -> list[str]:
    """The columns that events are sorted by: the key, the instant, and the other keys, which order the events
    of one instant."""
    others = [column.name for column in view.over.table.key if column != view.by]
    return [view.by.name, EVENT_TIMESTAMP, *others]


def event_columns(view: View) -> list[str]:
    """The columns of the events that a view is computed from."""
    return [name for name in view.over.table.column_names if name in {*order_of(view), *_read_by(view)}]


def catalogue_columns(view: View) -> list[str]:
    """The columns of what is joined, its key first; events have precedence over it."""
    joined = view.over.joined
    if joined is None:
        return []
    own = view.over.table.column_names
    return [
        joined.key[0].name,
        *(name for name in joined.column_names if name in _read_by(view) and name not in own),
    ]


def kept_columns(view: View) -> list[str]:
    """The features of an earlier row that are needed to go on from it, beside its `state`."""
    return [operation.column.name for operation in view.features if isinstance(operation, op.LastK)]


def _read_by(view: View) -> set[str]:
    read = {getattr(operation, "of", None) for operation in view.features}
    conditions = (view.over.where, *(getattr(operation, "where", None) for operation in view.features))
    read |= {condition.column for condition in conditions if condition is not None}
    return {name for name in read if name is not None}


# --- rows -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Computation:
    """What makes a view's rows of events; everything in it is plain values, to be sent to workers.

    Args:
        catalogue: what is joined to the events; None for nothing.
        where: a column and its least value; None for all events.
        rows: events of whole keys, sorted as `order_of` says, perhaps with earlier rows that have `state` →
            the view's rows.
    """

    catalogue: JoinedRows | None
    where: tuple[str, float] | None
    rows: partial[pa.Table]


def computation(view: View, joined: pa.Table | None = None) -> Computation:
    """How a view's rows are computed from its events.

    Args:
        view: not of facts.
        joined: what is joined to the events, with `catalogue_columns`; None for nothing.
    """
    catalogue = None if joined is None else catalogue_of(joined)
    lists = {} if joined is None else _lists(joined)
    where = condition(view.over.where)
    rows = partial(
        kernels.rows_of_piece,
        key=view.by.name,
        catalogue=catalogue,
        where=where,
        kernels=[_kernel(view, operation, lists) for operation in view.features],
        schema=computed_schema(view),
    )
    return Computation(catalogue, where, rows)


def catalogue_of(joined: pa.Table) -> JoinedRows:
    """A catalogue to join; its key is the first column."""
    key, *names = joined.column_names
    columns = {name: joined.column(name).combine_chunks() for name in names if name not in _lists(joined)}
    return JoinedRows(key, joined.column(key).combine_chunks(), columns)


def _lists(joined: pa.Table) -> dict[str, pa.Array]:
    """The columns of a catalogue that are lists."""
    return {
        field.name: joined.column(field.name).combine_chunks()
        for field in joined.schema
        if pa.types.is_list(field.type)
    }


def _kernel(view: View, operation: op.Operation, lists: Mapping[str, pa.Array]) -> Kernel:
    match operation:
        case op.Count(column):
            return partial(kernels.count, column=column.name)
        case op.MeanStd(of, mean, std, origin):
            step = view.over.column(of).step
            assert step is not None, "a declaration is checked when it is made"
            return partial(kernels.mean_std, of=of, step=step, origin=origin, mean=mean.name, std=std.name)
        case op.FirstAt(column):
            return partial(kernels.first_at, column=column.name)
        case op.LastAt(column):
            return partial(kernels.last_at, column=column.name)
        case op.TopK(of, column, where):
            return partial(
                kernels.top_k,
                of=of,
                words=kernels.words_of(lists[of]) if of in lists else None,
                where=condition(where),
                column=column.name,
                k=column.length or 0,
                padding=PADDING[column.type],
            )
        case op.LastK(of, column):
            separator = getattr(column.role, "separator", "")
            return partial(
                kernels.last_k,
                of=of,
                values=kernels.joined_words(lists[of], separator) if of in lists else None,
                column=column.name,
                k=column.length or 0,
                padding=PADDING[column.type],
                separator=separator,
            )
        case op.Fact():
            raise ValueError(f"{view.name}: facts are not computed from events")


def facts_of(view: View, catalogue: pa.Table) -> pa.Table:
    """The rows of a view of facts, known since the beginning."""
    rows, _ = counted(catalogue, None, condition(view.over.where))
    known = pa.repeat(pa.scalar(BEGINNING, INSTANT), rows.num_rows)
    columns = {name: rows.column(of) for name, of in columns_of_facts(view).items()}
    schema = computed_schema(view)
    columns[EVENT_TIMESTAMP] = known
    return pa.table([columns[name] for name in schema.names], schema.names).cast(schema)


def columns_of_facts(view: View) -> dict[str, str]:
    """The key and the features of a view of facts, each with the catalogue's column that it is."""
    features = {
        operation.column.name: operation.of for operation in view.features if isinstance(operation, op.Fact)
    }
    return {view.by.name: view.by.name, **features}
