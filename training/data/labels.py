"""Labels: a domain's events, and what a task makes of each."""

import math
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from common.errors import MarqueeError
from feature_repo.define.column import EVENT_TIMESTAMP
from feature_repo.define.domain import Domain
from feature_repo.define.rule import interval
from feature_repo.define.table import Table
from feature_repo.define.task import Binary, Ordinal, Task
from lake.damage import reading
from lake.tables import exists, require_rows
from training.data.columns import flag_values, number_values


@dataclass(frozen=True, slots=True)
class LabelledEvents:
    """Events with their labels.

    Args:
        table: the events' keys, `event_timestamp`, the task's value and its label, sorted by `order_of`.
        version: the Delta version of the events that they were read from.
        task: that made the labels.
    """

    table: pa.Table
    version: int
    task: Task


def row_names(events: Table) -> tuple[str, ...]:
    """The columns that tell which event a row is, and when: its keys, then what orders events in time."""
    return tuple(dict.fromkeys((*(column.name for column in events.key), events.in_time)))


def order_of(events: Table) -> tuple[str, ...]:
    """What labels are sorted by, so that one Delta version always gives the same rows in the same order."""
    return (EVENT_TIMESTAMP, *(column.name for column in events.key))


def read_labels(
    lake: Path, domain: Domain, task: Task | None = None, *, version: int | None = None
) -> LabelledEvents:
    """Read the labels of a task from the domain's table of events.

    Args:
        lake: the folder that holds the Delta tables.
        domain: whose events.
        task: that makes the labels; the domain's first where None.
        version: the Delta version to read; the newest where None.

    Raises:
        MarqueeError: there is no such table or version, it holds no rows, or a row has no label.
    """
    task = task or domain.tasks[0]
    events = domain.events
    path = lake / events.name
    if not exists(lake, events.name):
        raise MarqueeError(f"There are no {events.name} at {path}: run `marquee pipeline ingest` first.")
    delta = require_rows(lake, events.name, version)
    with reading(path, version):
        table = delta.to_pyarrow_table(columns=[*order_of(events), task.of])
    if table.num_rows == 0:
        raise MarqueeError(f"The table of {events.name} at {path} is empty: there is nothing to train on.")
    return LabelledEvents(as_labels(table, events, task), delta.version(), task)


def as_labels(rows: pa.Table, events: Table, task: Task) -> pa.Table:
    """Sort events by `order_of` and add the task's label.

    Args:
        rows: events with the columns of `row_names` and the task's value.
        events: the table that they are of.
        task: what makes the labels. Rows that it has no label for are left out.

    Raises:
        MarqueeError: a row has no value, or none that the task allows.
    """
    names = [*row_names(events), task.of]
    table = rows.select(names).sort_by([(name, "ascending") for name in order_of(events)])
    return with_label(table, task)


def with_label(table: pa.Table, task: Task) -> pa.Table:
    """A table with the label of a task as its last column, made of the task's value.

    A binary task that leaves values out between its two classes leaves their rows out here.

    Raises:
        MarqueeError: a row has no value, or none that the task allows.
    """
    values = number_values(table[task.of], task.of)
    if isinstance(task, Binary) and task.below is not None:
        clear = pc.or_(pc.less(values, task.below), pc.greater_equal(values, task.at_least))
        table, values = table.filter(clear), values.filter(clear)
    labels = pc.greater_equal(values, task.at_least) if isinstance(task, Binary) else values
    _check_values(labels, task)
    return table if task.name == task.of else table.append_column(task.name, labels)


def given_label(table: pa.Table, task: Task) -> pa.Table:
    """A table whose label column is there already, read as what it plainly means.

    Raises:
        MarqueeError: a row has no label, or none that the task allows.
    """
    read = flag_values if isinstance(task, Binary) else number_values
    labels = read(table[task.name], task.name)
    _check_values(labels, task)
    return table.set_column(table.column_names.index(task.name), task.name, labels)


def check_events(rows: pa.Table, events: Table, value: str | None = None) -> None:
    """Refuse rows that are no events, as a gate would that judged them before they became rows of the lake.

    Args:
        rows: with the events' keys, as `readable_labels` gives them.
        events: the table that they are of.
        value: the column that labels are made of, where they are not there already.

    Raises:
        MarqueeError: a row lacks a key, or its value is outside the declared range or between steps; names
            the column and the row.
    """
    for key in events.key:
        if (missing := rows[key.name].null_count) > 0:
            row = pc.index(pc.is_null(rows[key.name]), True).as_py()
            raise MarqueeError(
                f"{missing:,} of {rows.num_rows:,} rows have no {key.name}, row {row + 1} first: fill or"
                " remove them."
            )
    if value is None:
        return
    column = events.column(value)
    values = number_values(rows[value], value)
    low, high = (math.nan if bound is None else bound for bound in (column.low, column.high))
    outside = pc.or_(pc.less(values, low), pc.greater(values, high))  # false of a bound that is NaN
    row = pc.index(outside, True).as_py()
    if row >= 0:
        raise MarqueeError(
            f"Column {value}, row {row + 1}, is {values[row].as_py():g}, outside {interval(column)}: mend or"
            " remove the row."
        )
    if column.step is None:
        return
    steps = pc.divide(values, column.step)
    row = pc.index(pc.equal(steps, pc.floor(steps)), False).as_py()
    if row >= 0:
        raise MarqueeError(
            f"Column {value}, row {row + 1}, is {values[row].as_py():.17g}, no multiple of {column.step:g}:"
            " mend or remove the row."
        )


def _check_values(labels: pa.ChunkedArray, task: Task) -> None:
    """Refuse a value that an ordinal task does not have.

    Raises:
        MarqueeError: names the row and the values that there are.
    """
    if not isinstance(task, Ordinal):
        return
    row = pc.index(pc.is_in(labels, pa.array(task.values, pa.float64())), False).as_py()
    if row >= 0:
        raise MarqueeError(
            f"Column {task.of}, row {row + 1}, is {labels[row].as_py():g}, which is none of the values of"
            f" {task.name}: {', '.join(f'{value:g}' for value in task.values)}."
        )
