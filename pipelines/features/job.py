"""What a feature job is, and what it did."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from feature_repo.schema import TABLES

How = Literal["rebuilt", "updated", "nothing new"]


@dataclass(frozen=True, slots=True)
class Job:
    """The making of one feature table.

    Args:
        name: of the job and its table.
        inputs: the tables that `compute` takes, in its order.
        compute: frames in, the table without `created_timestamp` out; no effects. That of a table that grows
            with the ratings takes these first, and `before=` to go on from earlier rows; Arrow tables do as
            well as Spark frames, and make one.
    """

    name: str
    inputs: tuple[str, ...]
    compute: Callable[..., Any]

    @property
    def key(self) -> str:
        return TABLES[self.name].key[0].name


@dataclass(frozen=True, slots=True)
class Update:
    """What became of a feature table.

    Args:
        table: its name.
        how: what was done.
        rows: written.
        new_ratings: that an incremental update took in.
        late_keys: of these, keys that were computed anew for the sake of late events.
    """

    table: str
    how: How
    rows: int
    new_ratings: int = 0
    late_keys: int = 0
