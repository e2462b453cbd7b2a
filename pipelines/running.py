"""Tables that run along with the ratings: what is known of a key after each instant at which it has an event.

Events are sorted by key and instant once, and one pass over them makes the rows (`pipelines.kernels`). It can
be resumed: the newest row of each key carries its totals in the column `state`, and new events that all come
after it need nothing else.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark import cloudpickle
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from feature_repo.schema import CREATED_TIMESTAMP, EVENT_TIMESTAMP, KNOWN_AFTER, TABLES
from pipelines import kernels
from pipelines.kernels import Events, Floats, Ints, Outputs
from pipelines.lake import STATE, stored_schema

cloudpickle.register_pickle_by_value(kernels)  # type: ignore[no-untyped-call]

EARLIER = f"{EVENT_TIMESTAMP} - INTERVAL '{KNOWN_AFTER.microseconds}' MICROSECOND"
TOTALS = "totals"


def last_event() -> Column:
    """When the last event of a feature row happened."""
    return F.expr(EARLIER).alias(EVENT_TIMESTAMP)


def in_time(
    name: str, events: DataFrame, kernel: Callable[..., pa.Table], order: Sequence[str] = ()
) -> DataFrame:
    """A feature table without `created_timestamp`: each key's events go to `kernel` together, in time.

    Args:
        name: of the table.
        events: with the table's key and `event_timestamp`.
        kernel: rows of whole keys → the table's rows; `schema=` says in which types.
        order: columns that order the events of one instant.
    """
    key = TABLES[name].key[0].name
    schema = StructType([field for field in stored_schema(name) if field.name != CREATED_TIMESTAMP])
    make = partial(kernel, schema=to_arrow_schema(schema))

    def pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in kernels.whole_keys(iter(batches), key):
            yield from make(rows).to_batches()

    return (
        events.repartition(key).sortWithinPartitions(key, EVENT_TIMESTAMP, *order).mapInArrow(pieces, schema)
    )


def running_totals(
    name: str,
    ratings: DataFrame,
    totals: Sequence[str],
    sums: Callable[[Events], Floats],
    outputs: Callable[[Floats], Outputs],
    movies: Ints | None = None,
    before: DataFrame | None = None,
) -> DataFrame:
    """A table of running totals up to and including each instant; events of one instant count together.

    Args:
        name, totals, sums, outputs, movies: of the table, and as in `kernels.running_totals`.
        before: rows of an earlier result, at most one a key, that carry `state`: totals go on from there. The
            ratings of such a key must all come later.
    """
    key = TABLES[name].key[0].name
    # Ids that are the key come once.
    columns = list(dict.fromkeys((key, "movie_id", EVENT_TIMESTAMP, "rating")))
    events = ratings.select(*columns)
    if before is not None:
        earlier = F.array(*(F.coalesce(F.col(STATE)[total], F.lit(0.0)) for total in totals))
        given = {EVENT_TIMESTAMP: last_event(), "rating": F.lit(0.0)}
        if key != "movie_id":
            given["movie_id"] = F.lit(0).cast("bigint")
        events = events.withColumn(TOTALS, F.lit(None).cast("array<double>")).unionByName(
            before.select(key, earlier.alias(TOTALS), *(value.alias(to) for to, value in given.items()))
        )
    kernel = partial(
        kernels.running_totals, key=key, names=tuple(totals), movies=movies, sums=sums, outputs=outputs
    )
    return in_time(name, events, kernel)


def powers_of(prefix: str) -> list[str]:
    """Names of the three totals of `kernels.powers`."""
    return [f"{prefix}_{total}" for total in ("n", "sum", "squares")]


def sorted_by_id(catalogue: DataFrame, *columns: str | Column) -> tuple[Ints, pa.Table]:
    """A catalogue's movie ids, sorted, and these columns in the same order, on the driver."""
    facts = catalogue.select("movie_id", *columns).toArrow().sort_by("movie_id")
    return np.asarray(facts.column("movie_id").to_numpy()), facts.drop_columns("movie_id")
