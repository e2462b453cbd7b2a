"""What is new in the sources of a view since its table was brought up to date."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads

from feature_repo.define.view import View
from lake.changes import added_rows
from lake.tables import open_table
from pipelines.features.comparison import differing, places_in
from pipelines.features.computation import Computation, catalogue_columns, computation


@dataclass(frozen=True)
class News:
    """What is to be taken into the table of a view over events.

    Args:
        view: whose table it is.
        computation: what makes its rows of events.
        added: the events that were appended since; None where the table is made from scratch.
        touched: keys of joined rows that are new or changed since; None for none.
    """

    view: View
    computation: Computation
    added: pads.Dataset | None = None
    touched: pa.Array | None = None


def everything(folder: Path, view: View, now: Mapping[str, int]) -> News:
    """All that there is at versions of the sources, for a table that is made from scratch."""
    return News(view, computation(view, _joined(folder, view, now)))


def news_since(folder: Path, view: View, seen: Mapping[str, int], now: Mapping[str, int]) -> News | None:
    """What came between two versions of the sources.

    Returns:
        None where the table cannot go on from there: events were rewritten or left, joined rows left, or
        events may have stopped to count.
    """
    events = view.over.table.name
    added = added_rows(open_table(folder, events, now[events]), seen[events])
    if added is None:
        return None
    joined = _joined(folder, view, now)
    touched = None
    if view.over.joined is not None and seen[view.over.joined.name] != now[view.over.joined.name]:
        try:
            before = _joined(folder, view, seen)
        except (OSError, pa.ArrowException):  # the old version's files were removed
            return None
        assert before is not None and joined is not None
        touched = touched_keys(view, before, joined)
        if touched is None:
            return None
        touched = touched if len(touched) else None
    return News(view, computation(view, joined), added, touched)


def _joined(folder: Path, view: View, versions: Mapping[str, int]) -> pa.Table | None:
    """What is joined to the events, at a version."""
    if view.over.joined is None:
        return None
    name = view.over.joined.name
    rows = open_table(folder, name, versions[name]).to_pyarrow_dataset()
    return rows.to_table(columns=catalogue_columns(view))


def touched_keys(view: View, before: pa.Table, after: pa.Table) -> pa.Array | None:
    """The keys of joined rows that are new or changed; None where events may have stopped to count."""
    key, *values = after.column_names
    changed = differing(after, before, [key], values)
    is_new = places_in(after, before, [key]) < 0
    is_gone = places_in(before, after, [key]) < 0
    decides = view.over.where is not None and view.over.where.column in values
    if is_gone.any() or (decides and (changed & ~is_new).any()):
        return None
    return after.column(key).combine_chunks().filter(pa.array(changed))
