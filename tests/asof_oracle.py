"""What a point-in-time join means, in plain loops. Shares no code with the engines; slow and obvious.

Times are whole microseconds, None where missing; rows are dictionaries.
"""

from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class OracleView:
    """One view: its rows, which columns are what, and which label column each key is matched with."""

    rows: list[Row]
    keys: dict[str, str]
    """Column of the view: column of the labels."""
    features: dict[str, str]
    """Column of the view: name in the result."""
    timestamp: str = "event_timestamp"
    created: str | None = "created_timestamp"
    ttl: int | None = None
    """Microseconds."""
    tags: list[str] = field(default_factory=list)


def join(
    labels: list[Row], views: list[OracleView], timestamp: str = "event_timestamp", only_created: bool = False
) -> list[Row]:
    """Every label row once, in order, with the features that were known at its instant.

    With `only_created`, rows that were written after the label's instant do not exist.
    """
    result = []
    for label in labels:
        row = dict(label)
        for view in views:
            best = best_row(view, label, label[timestamp], only_created)
            for column, name in view.features.items():
                row[name] = None if best is None else best[column]
        result.append(row)
    return result


def best_row(view: OracleView, label: Row, at: int, only_created: bool) -> Row | None:
    """The row that holds at an instant, by looking at all of them."""
    best: Row | None = None
    for row in view.rows:
        matches = True
        for of_view, of_label in view.keys.items():
            if row[of_view] is None or label[of_label] is None or row[of_view] != label[of_label]:
                matches = False
        if not matches or row[view.timestamp] is None or row[view.timestamp] > at:
            continue
        if only_created and view.created is not None:
            written = row[view.created]
            if written is None or written > at:
                continue
        if best is None or newer(row, best, view):
            best = row
    if best is not None and view.ttl is not None and best[view.timestamp] < at - view.ttl:
        return None
    return best


def newer(row: Row, other: Row, view: OracleView) -> bool:
    """Whether a row replaces another of its key: later instant, or the same and written later."""
    if row[view.timestamp] != other[view.timestamp]:
        return bool(row[view.timestamp] > other[view.timestamp])
    if view.created is None or row[view.created] is None:
        return False
    return other[view.created] is None or bool(row[view.created] > other[view.created])


def latest(view: OracleView, start: int | None, end: int | None) -> dict[tuple[Any, ...], Row]:
    """The newest row of each key with start <= timestamp <= end; rows with a null key are nobody's."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in view.rows:
        key = tuple(row[name] for name in view.keys)
        at = row[view.timestamp]
        if None in key or at is None or (start is not None and at < start) or (end is not None and at > end):
            continue
        if key not in found or newer(row, found[key], view):
            found[key] = row
    return found
