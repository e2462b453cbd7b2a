"""`user_poster_taste`: running statistics of the posters of the movies that a user rated."""

from functools import reduce
from operator import or_

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from feature_repo.schema import POSTER_STATISTICS
from pipelines.lake import STATE
from pipelines.running import known_from, mean_and_std, moment_sums, running_totals


def compute(ratings: DataFrame, posters: DataFrame, before: DataFrame | None = None) -> DataFrame:
    """One row per user and instant at which the user rated a movie that has a poster; `before` as in
    `running_totals`."""
    seen = ratings.join(F.broadcast(posters.select("movie_id", *POSTER_STATISTICS)), "movie_id")
    prefixes = {statistic: f"user_poster_{statistic}" for statistic in POSTER_STATISTICS}
    moments = (moment_sums(prefix, F.col(statistic)) for statistic, prefix in prefixes.items())
    totals = running_totals(seen, "user_id", reduce(or_, moments), before)
    return totals.select(
        "user_id",
        # A poster has all its statistics, so any of their counts is the number of posters.
        F.col(f"{prefixes[POSTER_STATISTICS[0]]}_n").cast("bigint").alias("user_poster_count"),
        *(column for prefix in prefixes.values() for column in mean_and_std(prefix)),
        known_from(),
        STATE,
    )
