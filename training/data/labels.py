"""Labels: who rated what, when, and whether they liked it."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from common.errors import MarqueeError
from feature_repo import schema

LIKED = "liked"
ORDER = (schema.EVENT_TIMESTAMP, *(column.name for column in schema.RATINGS.key))
"""Labels are sorted by these, so that one Delta version always gives the same rows in the same order."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The rating events as labels.

    Args:
        table: `user_id`, `movie_id`, `event_timestamp`, `rating`, `liked` (bool), sorted by `ORDER`.
        version: the Delta version of `ratings` that they were read from.
        threshold: the rating from which on a movie counts as liked.
    """

    table: pa.Table
    version: int
    threshold: float


def read_labels(lake: Path, *, threshold: float = schema.LIKED_RATING, version: int | None = None) -> Labels:
    """Read the labels from the Delta table `ratings` of the lake.

    Args:
        lake: the folder that holds the Delta tables.
        threshold: `liked` is `rating >= threshold`.
        version: the Delta version to read; the newest where None.

    Raises:
        MarqueeError: there is no such table or version, or it holds no rows.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    path = lake / schema.RATINGS.name
    try:
        delta = DeltaTable(path, version=version)
        columns = [*ORDER, "rating"]
        table = delta.to_pyarrow_table(columns=columns)
    except TableNotFoundError as error:
        raise MarqueeError(f"There are no ratings at {path}: run `marquee pipeline run` first.") from error
    except (DeltaError, OSError) as error:
        of = "" if version is None else f" at version {version}"
        raise MarqueeError(f"Cannot read the ratings at {path}{of}: {error}.") from error
    if table.num_rows == 0:
        raise MarqueeError(f"The table of ratings at {path} is empty: there is nothing to train on.")
    return Labels(as_labels(table, threshold), delta.version(), threshold)


def as_labels(ratings: pa.Table, threshold: float = schema.LIKED_RATING) -> pa.Table:
    """Sort ratings by `ORDER` and add the column `liked`.

    Args:
        ratings: with the columns of `ORDER` and `rating`.
        threshold: `liked` is `rating >= threshold`.
    """
    names = [column.name for column in schema.RATINGS.key] + [schema.EVENT_TIMESTAMP, "rating"]
    table = ratings.select(names).sort_by([(name, "ascending") for name in ORDER])
    return table.append_column(LIKED, pc.greater_equal(table["rating"], threshold))
