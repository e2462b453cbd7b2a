"""Stamps of writing that grow within a table, whatever the clock says.

Of two rows of one key and instant, readers take the one that was written later. The clock of a machine may be
set back, and the clocks of two machines differ, so a clock alone does not say which one that is.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from deltalake import DeltaTable

from lake.tables import open_table

_STEP = timedelta(microseconds=1)
_MICROSECONDS = pa.timestamp("us", "UTC")
_BLUNT = timedelta(milliseconds=1)
"""By which the greatest instant of a file, as a table's log has it, may be too small."""


def growing(lake: Path, name: str, column: str, now: datetime) -> datetime:
    """What to stamp rows with that are about to be added: `now`, or just after the table's newest stamp.

    Args:
        lake: its folder.
        name: of the table.
        column: that holds the stamps.

    Raises:
        MarqueeError: the table is not there.
    """
    return later_than(open_table(lake, name), column, now)


def later_than(held: DeltaTable, column: str, now: datetime) -> datetime:
    """`now`, or one microsecond after the newest instant of a column where that is not before it.

    Rows are read only where the table's log does not show that all are older than `now`.
    """
    names = {field.name for field in held.schema().fields}
    if column not in names or _are_all_before(held, column, now):
        return now
    rows = held.to_pyarrow_dataset()
    stamps = {column: pads.field(column).cast(_MICROSECONDS)}
    found = (pc.max(batch.column(0)).as_py() for batch in rows.scanner(stamps).to_batches())
    newest = max((stamp for stamp in found if stamp is not None), default=None)
    return now if newest is None else max(now.astimezone(UTC), newest + _STEP)


def _are_all_before(held: DeltaTable, column: str, now: datetime) -> bool:
    """Whether the log says so of each file."""
    files, known = pa.table(held.get_add_actions(flatten=True)), f"max.{column}"
    if known not in files.column_names or files[known].null_count:
        return False
    newest = pc.max(files[known].cast(_MICROSECONDS)).as_py()
    return newest is None or newest + _BLUNT < now
