"""Running statistics per key: what is known of a key after each instant at which something happened to it."""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from feature_repo.schema import EVENT_TIMESTAMP, KNOWN_AFTER


def known_from(instant: str = EVENT_TIMESTAMP) -> Column:
    """The instant from which a row is known whose last event happened at `instant`."""
    micros = KNOWN_AFTER.microseconds
    return (F.col(instant) + F.expr(f"INTERVAL '{micros}' MICROSECOND")).alias(EVENT_TIMESTAMP)


def running_sums(events: DataFrame, key: str, sums: Mapping[str, Column]) -> DataFrame:
    """Totals up to and including each instant.

    Events of one instant are added up first and count together, so the result has one row per key and
    instant and does not depend on their order.

    Args:
        events: rows with `key` and `event_timestamp`.
        sums: name → expression over `events` to be summed.

    Returns:
        `key`, `event_timestamp` (of the last event) and one running total per name.
    """
    # Hash partitioning by the key alone serves both the aggregation and the window: one shuffle.
    per_instant = (
        events.repartition(key)
        .groupBy(key, EVENT_TIMESTAMP)
        .agg(*(F.sum(value).alias(name) for name, value in sums.items()))
    )
    so_far = (
        Window.partitionBy(key)
        .orderBy(EVENT_TIMESTAMP)
        .rowsBetween(Window.unboundedPreceding, Window.currentRow)
    )
    return per_instant.select(key, EVENT_TIMESTAMP, *(F.sum(name).over(so_far).alias(name) for name in sums))


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


def mean_and_std(prefix: str, origin: float = 0.0) -> tuple[Column, Column]:
    """`{prefix}_mean` and `{prefix}_std` out of the totals of `moment_sums`; null where n = 0."""
    n = F.nullif(F.col(f"{prefix}_n"), F.lit(0))
    total, squares = F.col(f"{prefix}_sum"), F.col(f"{prefix}_squares")
    variance = (squares - total * total / n) / n
    return (
        (F.lit(origin) + total / n).alias(f"{prefix}_mean"),
        # Not `greatest`, which would make a missing variance 0.
        F.sqrt(F.when(variance < 0, 0.0).otherwise(variance)).alias(f"{prefix}_std"),
    )
