"""What a store that keeps the newest rows can do, beyond Feast's interface."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, runtime_checkable

import pandas as pd
from feast import FeatureView
from feast.repo_config import RepoConfig

from feature_repo.feast_internals import OnlineRow

NEVER = -(2**63)
"""The order of an instant that is missing."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Tally:
    """What a store has of a view, told without looking at each row.

    Args:
        rows: how many there are.
        digest: a sum over all of them, which differs where rows were exchanged for older ones.
    """

    rows: int
    digest: int


@runtime_checkable
class KeepsNewest(Protocol):
    """A store in which an older row never replaces a newer one."""

    def write(self, config: RepoConfig, view: FeatureView, rows: Sequence[OnlineRow], whatever: bool) -> int:
        """Write rows; return how many were refused as older than what is there.

        Args:
            whatever: refuse none: for a table that was replaced.
        """

    def keep_only(self, config: RepoConfig, view: FeatureView, keys: set[bytes]) -> None:
        """Remove a view's rows of all keys but these (serialised)."""

    def is_empty(self, config: RepoConfig, view: FeatureView) -> bool:
        """Whether the store has no row of a view."""

    def expect(self, config: RepoConfig, view: FeatureView, rows: int) -> None:
        """Note that a view has so many rows, and which; a later `write` notes what it changes of that."""

    def tallies(self, config: RepoConfig, view: FeatureView) -> tuple[Tally, Tally | None]:
        """What the store has of a view, and what it ought to have by what was noted; None if nothing was."""


class WritesNewest:
    """Feast's own way to write, for a store that is `KeepsNewest`; a base that comes before Feast's class."""

    def online_write_batch(
        self: KeepsNewest,
        config: RepoConfig,
        table: FeatureView,
        data: list[OnlineRow],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows; those that are older than what is there are left out."""
        self.write(config, table, data, whatever=False)
        if progress:
            progress(len(data))


def order(row: OnlineRow) -> tuple[int, int]:
    """What rows of one key compare by: event and created timestamp in microseconds since 1970."""
    _, _, event, created = row
    return microseconds(event), microseconds(created)


def microseconds(moment: datetime | None) -> int:
    """An instant in microseconds since 1970, naive ones in UTC; `NEVER` for a missing one."""
    if moment is None or pd.isna(moment):
        return NEVER
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def instant(microseconds: int) -> datetime:
    """The instant (UTC) that lies so many microseconds after 1970 began."""
    return _EPOCH + timedelta(microseconds=microseconds)
