"""What a feature job is."""

from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import DataFrame

from feature_repo.schema import TABLES


@dataclass(frozen=True, slots=True)
class Job:
    """The making of one feature table.

    Args:
        name: of the job and its table.
        inputs: the tables that `compute` takes, in its order.
        compute: frames in, the table without `created_timestamp` out; no effects. That of a table that grows
            with the ratings takes these first, and `before=` to go on from earlier rows.
    """

    name: str
    inputs: tuple[str, ...]
    compute: Callable[..., DataFrame]

    @property
    def key(self) -> str:
        return TABLES[self.name].key[0].name
