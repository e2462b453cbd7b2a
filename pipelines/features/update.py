"""What became of a feature table."""

from dataclasses import dataclass
from typing import Literal

How = Literal["rebuilt", "updated", "nothing new"]


@dataclass(frozen=True, slots=True)
class Update:
    """What became of a feature table.

    Args:
        table: its name.
        how: what was done.
        rows: written.
        new_events: that an incremental update took in.
        late_keys: keys that were computed anew, for the sake of late events or of a changed catalogue.
    """

    table: str
    how: How
    rows: int
    new_events: int = 0
    late_keys: int = 0
