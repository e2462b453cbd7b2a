"""What a store that keeps the newest rows can do, beyond Feast's interface."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol, runtime_checkable

import pandas as pd
from feast import FeatureView
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
"""Key, values by feature, event and created timestamp, as Feast hands rows to a store; naive ones are UTC."""

NEVER = -(2**63)
"""The order of an instant that is missing."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@runtime_checkable
class KeepsNewest(Protocol):
    """A store in which an older row never replaces a newer one."""

    def write(self, config: RepoConfig, view: FeatureView, rows: Sequence[Row], whatever: bool) -> int:
        """Write rows; return how many were refused as older than what is there.

        Args:
            whatever: refuse none: for a table that was replaced.
        """

    def keep_only(self, config: RepoConfig, view: FeatureView, keys: set[bytes]) -> None:
        """Remove a view's rows of all keys but these (serialised)."""


def order(row: Row) -> tuple[int, int]:
    """What rows of one key compare by: event and created timestamp in microseconds since 1970."""
    _, _, event, created = row
    return microseconds(event), microseconds(created)


def microseconds(moment: datetime | None) -> int:
    """Since 1970; `NEVER` for a missing instant."""
    if moment is None or pd.isna(moment):
        return NEVER
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def instant(microseconds: int) -> datetime:
    """The inverse."""
    return _EPOCH + timedelta(microseconds=microseconds)
