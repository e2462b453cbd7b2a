"""What every feature is, by a plain loop over rows: slow, obvious, and sharing no code with the pipelines.

It interprets a view's declaration. The audits hold tables and stores to it. Sums are of integers, whole steps
of their column, until the last division.
"""

import math
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, Protocol

from feature_repo.define import operation as op
from feature_repo.define.column import BEGINNING, EVENT_TIMESTAMP, KNOWN_AFTER, PADDING, Column
from feature_repo.define.view import Over, View

Row = Mapping[str, Any]
"""A row of a table: column → value. Instants are `datetime`s in UTC, lists are lists, None is no value."""
Tables = Mapping[str, Iterable[Row]]
"""The rows of each table, by its name, in any order."""


def features_at(view: View, events: Iterable[Row], instant: datetime) -> dict[str, Any] | None:
    """A key's features at an instant: from its events strictly before, or its facts.

    Args:
        events: the key's, from `events_by_key`.

    Returns:
        The features by name; None where nothing is known.
    """
    known = Known(view)
    for event in events:
        if known_from(view, event) > instant:
            break  # so are all after it
        known.take_in(event)
    return known.values() if known.is_any else None


def feature_rows(view: View, tables: Tables) -> list[dict[str, Any]]:
    """All rows of a view: key, `event_timestamp` and features, sorted by key and instant."""
    rows = []
    for key, events in sorted(events_by_key(view, tables).items()):
        known = Known(view)
        for instant, together in groupby(events, key=lambda event: known_from(view, event)):
            for event in together:
                known.take_in(event)
            rows.append({view.by.name: key, EVENT_TIMESTAMP: instant, **known.values()})
    return rows


def known_from(view: View, event: Row) -> datetime:
    """The instant from which an event counts in a view's features; facts count since the beginning."""
    return BEGINNING if view.is_timeless else event[EVENT_TIMESTAMP] + KNOWN_AFTER


def events_by_key(view: View, tables: Tables) -> dict[Any, list[Row]]:
    """The rows that a view is computed from, by its key: in time, and at one instant by their other keys."""
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in _read(view.over, tables):
        found[row[view.by.name]].append(row)
    others = [column.name for column in view.over.table.key if column.name != view.by.name]
    for rows in found.values():
        rows.sort(key=lambda row: (known_from(view, row), *(row[name] for name in others)))
    return dict(found)


def _read(over: Over, tables: Tables) -> Iterator[Row]:
    """The rows of a table, with what is joined to them."""
    joined: dict[Any, Row] = {}
    if over.joined is not None:
        (key,) = (column.name for column in over.joined.key)
        joined = {row[key]: row for row in tables[over.joined.name]}
    for row in tables[over.table.name]:
        if over.where is not None and not _holds(over.where, row):
            continue
        if over.joined is None:
            yield row
        elif row[key] in joined:
            yield {**joined[row[key]], **row}


def _holds(condition: op.AtLeast, row: Row) -> bool:
    value = row[condition.column]
    return value is not None and value >= condition.value


# --- what is known of a key -------------------------------------------------------------------------------


class Memory(Protocol):
    """What one operation remembers of a key's events."""

    def take_in(self, event: Row) -> None:
        """Learn an event; they come in the order of `events_by_key`."""

    def values(self) -> tuple[Any, ...]:
        """The operation's features now, in the order of its columns; after at least one event."""


class Known:
    """What is known of one key of a view: nothing at first.

    Args:
        view: whose features these are.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.is_any = False
        self.tallies = [tally(operation, view.over) for operation in view.features]

    def take_in(self, event: Row) -> None:
        """Learn an event of the key, from `events_by_key`, in its order."""
        self.is_any = True
        for each in self.tallies:
            each.take_in(event)

    def values(self) -> dict[str, Any]:
        """The features by name; after at least one event."""
        values = [value for each in self.tallies for value in each.values()]
        return dict(zip((column.name for column in self.view.columns), values, strict=True))


def tally(operation: op.Operation, over: Over) -> Memory:
    """An operation, before its first event."""
    match operation:
        case op.Count():
            return _Count()
        case op.MeanStd():
            step = over.column(operation.of).step
            if step is None:
                raise ValueError(f"{operation.of} has no step, so its sums are not exact")
            return _MeanStd(operation.of, step)
        case op.FirstAt():
            return _FirstAt()
        case op.LastAt():
            return _LastAt()
        case op.TopK():
            return _TopK(operation)
        case op.LastK():
            return _LastK(operation)
        case op.Fact():
            return _Fact(operation.of)


@dataclass
class _Count:
    n: int = 0

    def take_in(self, event: Row) -> None:  # noqa: ARG002
        self.n += 1

    def values(self) -> tuple[int]:
        return (self.n,)


@dataclass
class _MeanStd:
    """Sums of whole steps, hence exact."""

    of: str
    step: float
    n: int = 0
    total: int = 0
    squares: int = 0

    def take_in(self, event: Row) -> None:
        if event[self.of] is not None:
            steps = round(event[self.of] / self.step)
            self.n += 1
            self.total += steps
            self.squares += steps * steps

    def values(self) -> tuple[float | None, float | None]:
        if not self.n:
            return None, None
        mean = self.total / self.n * self.step
        return mean, math.sqrt(self.n * self.squares - self.total * self.total) / self.n * self.step


@dataclass
class _FirstAt:
    first: datetime | None = None

    def take_in(self, event: Row) -> None:
        if self.first is None or event[EVENT_TIMESTAMP] < self.first:
            self.first = event[EVENT_TIMESTAMP]

    def values(self) -> tuple[datetime | None]:
        return (self.first and self.first.replace(microsecond=0),)


@dataclass
class _LastAt:
    last: datetime | None = None

    def take_in(self, event: Row) -> None:
        if self.last is None or event[EVENT_TIMESTAMP] > self.last:
            self.last = event[EVENT_TIMESTAMP]

    def values(self) -> tuple[datetime | None]:
        return (self.last and self.last.replace(microsecond=0),)


@dataclass
class _TopK:
    operation: op.TopK
    times: Counter[str] = field(default_factory=Counter)

    def take_in(self, event: Row) -> None:
        if self.operation.where is None or _holds(self.operation.where, event):
            self.times.update(set(event[self.operation.of] or ()))

    def values(self) -> tuple[list[str]]:
        words = sorted(self.times, key=lambda word: (-self.times[word], word))
        return (_padded(words, self.operation.column),)


@dataclass
class _LastK:
    operation: op.LastK
    newest_first: deque[Any] = field(default_factory=deque)

    def take_in(self, event: Row) -> None:
        value = event[self.operation.of]
        if isinstance(value, list):
            value = getattr(self.operation.column.role, "separator", "").join(value)
        self.newest_first.appendleft(value)

    def values(self) -> tuple[list[Any]]:
        return (_padded(list(self.newest_first), self.operation.column),)


@dataclass
class _Fact:
    of: str
    value: Any = None

    def take_in(self, event: Row) -> None:
        self.value = event[self.of]

    def values(self) -> tuple[Any]:
        return (self.value,)


def _padded(values: list[Any], column: Column) -> list[Any]:
    assert column.length is not None, f"{column.name} has no length"
    return [*values, *[PADDING[column.type]] * column.length][: column.length]


# --- comparison -------------------------------------------------------------------------------------------

TOLERANCE = 1e-8
"""Deviations come out of a difference of two large sums: float64 does not give them to the last bit."""


def same(got: Any, want: Any) -> bool:
    """Whether a value is what it should be: numbers with a fraction to `TOLERANCE`, all else exactly."""
    if isinstance(want, float) and isinstance(got, float):
        return math.isclose(got, want, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(got == want)
