"""Stamps of writing that grow within a table, whatever the clock says.

Of two rows of one key and instant, readers take the one that was written later. The clock of a machine may be
set back, and the clocks of two machines differ, so a clock alone does not say which one that is.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from lake.tables import rows_of

_STEP = timedelta(microseconds=1)
_MICROSECONDS = pa.timestamp("us", "UTC")


def growing(lake: Path, name: str, column: str, now: datetime) -> datetime:
    """What to stamp rows with that are about to be added: `now`, or just after the table's newest stamp.

    Args:
        lake: its folder.
        name: of the table.
        column: that holds the stamps.

    Raises:
        MarqueeError: the table is not there.
    """
    return later_than(rows_of(lake, name), column, now)


def later_than(held: pads.Dataset, column: str, now: datetime) -> datetime:
    """`now`, or one microsecond after the newest instant of a column where that is not before it."""
    if column not in held.schema.names:
        return now
    stamps = {column: pads.field(column).cast(_MICROSECONDS)}
    found = (pc.max(batch.column(0)).as_py() for batch in held.scanner(stamps).to_batches())
    newest = max((stamp for stamp in found if stamp is not None), default=None)
    return now if newest is None else max(now.astimezone(UTC), newest + _STEP)
