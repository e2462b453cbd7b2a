"""Tables that run along with the ratings: what is known of a key after each instant at which it has an event.

Events are sorted by key and instant once, and one pass over them makes the rows
(`pipelines.features.kernels`). It can be resumed: the newest row of each key carries its totals in the column
`state`, and new events that all come after it need nothing else.

Rows are a Spark frame or, where they are few, an Arrow table; the kernels are the same.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import cloudpickle
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from feature_repo.schema import CREATED_TIMESTAMP, EVENT_TIMESTAMP, GENRE_SEPARATOR, KNOWN_AFTER, TABLES
from pipelines.features import kernels
from pipelines.features.kernels import Events, Floats, Ints, Outputs
from pipelines.features.stored import STATE, stored_schema

cloudpickle.register_pickle_by_value(kernels)  # type: ignore[no-untyped-call]

Rows: TypeAlias = DataFrame | pa.Table
EARLIER = f"{EVENT_TIMESTAMP} - INTERVAL '{KNOWN_AFTER.microseconds}' MICROSECOND"
TOTALS = "totals"


def last_event() -> Column:
    """When the last event of a feature row happened."""
    return F.expr(EARLIER).alias(EVENT_TIMESTAMP)


def last_events(rows: pa.Table) -> pa.ChunkedArray:
    """The same of rows in Arrow."""
    return pc.subtract(rows.column(EVENT_TIMESTAMP), pa.scalar(KNOWN_AFTER, pa.duration("us")))


def in_time(name: str, events: Rows, kernel: Callable[..., pa.Table], order: Sequence[str] = ()) -> Rows:
    """A feature table without `created_timestamp`: each key's events go to `kernel` together, in time.

    Args:
        name: of the table.
        events: with the table's key and `event_timestamp`.
        kernel: rows of whole keys → the table's rows; `schema=` says in which types.
        order: columns that order the events of one instant.
    """
    key = TABLES[name].key[0].name
    schema = StructType([field for field in stored_schema(name) if field.name != CREATED_TIMESTAMP])
    in_arrow = to_arrow_schema(schema)
    make = partial(kernel, schema=in_arrow)
    if isinstance(events, pa.Table):
        in_order = events.sort_by([(column, "ascending") for column in (key, EVENT_TIMESTAMP, *order)])
        return make(in_order) if in_order.num_rows else in_arrow.empty_table()

    def pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in kernels.whole_keys(iter(batches), key):
            yield from make(rows).to_batches()

    return (
        events.repartition(key).sortWithinPartitions(key, EVENT_TIMESTAMP, *order).mapInArrow(pieces, schema)
    )


def running_totals(
    name: str,
    ratings: Rows,
    totals: Sequence[str],
    sums: Callable[[Events], Floats],
    outputs: Callable[[Floats], Outputs],
    movies: Ints | None = None,
    before: Rows | None = None,
) -> Rows:
    """A table of running totals up to and including each instant; events of one instant count together.

    Args:
        name, totals, sums, outputs, movies: of the table, and as in `kernels.running_totals`.
        before: rows of an earlier result, at most one a key, that carry `state`: totals go on from there. The
            ratings of such a key must all come later.
    """
    key = TABLES[name].key[0].name
    # Ids that are the key come once.
    columns = list(dict.fromkeys((key, "movie_id", EVENT_TIMESTAMP, "rating")))
    events = ratings.select(columns)
    if isinstance(events, pa.Table):
        events = (
            events
            if before is None
            else pa.concat_tables([events, _totals_in_arrow(before, key, totals)], promote_options="default")
        )
    elif before is not None:
        events = events.withColumn(TOTALS, F.lit(None).cast("array<double>")).unionByName(
            _totals_in_spark(before, key, totals)
        )
    kernel = partial(
        kernels.running_totals, key=key, names=tuple(totals), movies=movies, sums=sums, outputs=outputs
    )
    return in_time(name, events, kernel)


def _totals_in_spark(before: DataFrame, key: str, totals: Sequence[str]) -> DataFrame:
    """Earlier rows as events that stand for all that went before."""
    earlier = F.array(*(F.coalesce(F.col(STATE)[total], F.lit(0.0)) for total in totals))
    given = {EVENT_TIMESTAMP: last_event(), "rating": F.lit(0.0)}
    if key != "movie_id":
        given["movie_id"] = F.lit(0).cast("bigint")
    return before.select(key, earlier.alias(TOTALS), *(value.alias(to) for to, value in given.items()))


def _totals_in_arrow(before: pa.Table, key: str, totals: Sequence[str]) -> pa.Table:
    """The same."""
    n, width = before.num_rows, len(totals)
    state = before.column(STATE).combine_chunks()
    offsets = state.offsets.to_numpy()
    row = np.repeat(np.arange(n), np.diff(offsets))
    names, values = (part[offsets[0] : offsets[-1]] for part in (state.keys, state.items))
    total = pc.index_in(names, pa.array(totals, pa.string())).fill_null(-1).to_numpy()
    known = total >= 0
    earlier = np.zeros((n, width))
    earlier[row[known], total[known]] = values.to_numpy(zero_copy_only=False)[known]
    given = {
        key: before.column(key),
        TOTALS: pa.ListArray.from_arrays(pa.array(np.arange(n + 1) * width, pa.int32()), earlier.ravel()),
        EVENT_TIMESTAMP: last_events(before),
        "rating": np.zeros(n),
    }
    return pa.table(given if key == "movie_id" else given | {"movie_id": np.zeros(n, np.int64)})


def powers_of(prefix: str) -> list[str]:
    """Names of the three totals of `kernels.powers`."""
    return [f"{prefix}_{total}" for total in ("n", "sum", "squares")]


def sorted_by_id(catalogue: Rows, *columns: str) -> tuple[Ints, pa.Table]:
    """A catalogue's movie ids, sorted, and these columns in the same order, on the driver."""
    facts = catalogue.select(["movie_id", *columns])
    facts = facts if isinstance(facts, pa.Table) else facts.toArrow()
    facts = facts.sort_by("movie_id")
    return np.asarray(facts.column("movie_id").to_numpy()), facts.drop_columns("movie_id")


def joined(genres: pa.ChunkedArray) -> pa.Array:
    """(n,) lists of genres, each as one string; "" for none."""
    return pc.fill_null(pc.binary_join(genres, GENRE_SEPARATOR), "").combine_chunks()
