"""Running totals per key: what is known of a key after each instant at which something happened to it.

Totals can be resumed. The newest row of each key carries its totals in the column `state`; new events that
all come after it need nothing else.
"""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from feature_repo.schema import EVENT_TIMESTAMP, KNOWN_AFTER
from pipelines.lake import STATE

LATER = f"{EVENT_TIMESTAMP} + INTERVAL '{KNOWN_AFTER.microseconds}' MICROSECOND"
EARLIER = f"{EVENT_TIMESTAMP} - INTERVAL '{KNOWN_AFTER.microseconds}' MICROSECOND"


def known_from() -> Column:
    """The instant from which a row is known whose last event happened at `event_timestamp`."""
    return F.expr(LATER).alias(EVENT_TIMESTAMP)


def last_event() -> Column:
    """The inverse: when the last event of a feature row happened."""
    return F.expr(EARLIER).alias(EVENT_TIMESTAMP)


def total(name: str) -> Column:
    """The column of a total; its name may hold anything, such as a genre."""
    return F.col("`" + name.replace("`", "``") + "`")


def running_totals(
    events: DataFrame,
    key: str,
    sums: Mapping[str, Column],
    before: DataFrame | None = None,
    least: Mapping[str, Column] | None = None,
) -> DataFrame:
    """Totals up to and including each instant.

    Events of one instant are added up first and count together, so the result has one row per key and
    instant and does not depend on their order.

    Args:
        events: rows with `key` and `event_timestamp`.
        sums: name → expression over `events` to be summed.
        before: rows of an earlier result, at most one a key, that carry `state`: totals go on from there. The
            events of such a key must all come later.
        least: name → expression over `events` whose least value is carried along.

    Returns:
        `key`, `event_timestamp` (of the last event), one running total or least value per name, and `state`:
        all of these by name on the newest row of each key, null on the others.
    """
    least = least or {}
    # Hash partitioning by the key alone serves both the aggregation and the window: one shuffle.
    per_instant = (
        events.repartition(key)
        .groupBy(key, EVENT_TIMESTAMP)
        .agg(
            *(F.sum(value.cast("double")).alias(name) for name, value in sums.items()),
            *(F.min(value.cast("double")).alias(name) for name, value in least.items()),
        )
        .withColumn("is_new", F.lit(True))
    )
    if before is not None:
        earlier = [F.coalesce(F.col(STATE)[name], F.lit(0.0)).alias(name) for name in sums]
        earlier += [F.col(STATE)[name].alias(name) for name in least]
        per_instant = per_instant.unionByName(
            before.select(key, last_event(), *earlier, F.lit(False).alias("is_new"))
        )
    in_order = Window.partitionBy(key).orderBy(EVENT_TIMESTAMP)
    so_far = in_order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    carried = [*sums, *least]
    state = F.map_from_arrays(F.array(*map(F.lit, carried)), F.array(*map(total, carried)))
    return (
        per_instant.select(
            key,
            EVENT_TIMESTAMP,
            "is_new",
            F.lead(EVENT_TIMESTAMP).over(in_order).isNull().alias("is_newest"),
            *(F.sum(total(name)).over(so_far).alias(name) for name in sums),
            *(F.min(total(name)).over(so_far).alias(name) for name in least),
        )
        .where("is_new")
        .withColumn(STATE, F.when(F.col("is_newest"), state))
    )


def moment_sums(prefix: str, value: Column, origin: float = 0.0) -> dict[str, Column]:
    """What to sum for a value's mean and deviation: how often it is there, it, and its square.

    Ratings, years and poster statistics lie on binary grids, so these sums are exact in float64: they do not
    depend on the order of addition, nor on how events are cut into batches.

    Args:
        prefix: `{entity}_{input}`.
        value: may be null, which counts for nothing.
        origin: subtracted first, to keep squares small.
    """
    shifted = value.cast("double") - F.lit(origin)
    return {
        f"{prefix}_n": F.when(value.isNotNull(), 1).otherwise(0),
        f"{prefix}_sum": F.coalesce(shifted, F.lit(0.0)),
        f"{prefix}_squares": F.coalesce(shifted * shifted, F.lit(0.0)),
    }


def count(prefix: str) -> Column:
    """`{prefix}_count` out of the totals of `moment_sums`."""
    return F.col(f"{prefix}_n").cast("bigint").alias(f"{prefix}_count")


def mean_and_std(prefix: str, origin: float = 0.0) -> tuple[Column, Column]:
    """`{prefix}_mean` and `{prefix}_std` out of the totals of `moment_sums`; null where n = 0."""
    n = F.nullif(F.col(f"{prefix}_n"), F.lit(0.0))
    values, squares = F.col(f"{prefix}_sum"), F.col(f"{prefix}_squares")
    variance = (squares - values * values / n) / n
    return (
        (F.lit(origin) + values / n).alias(f"{prefix}_mean"),
        # Not `greatest`, which would make a missing variance 0.
        F.sqrt(F.when(variance < 0, 0.0).otherwise(variance)).alias(f"{prefix}_std"),
    )
