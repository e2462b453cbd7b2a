"""`movie_rating_stats`: running count, mean and deviation of the ratings that a movie got."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.lake import STATE
from pipelines.running import count, known_from, mean_and_std, moment_sums, running_totals


def compute(ratings: DataFrame, before: DataFrame | None = None) -> DataFrame:
    """One row per movie and instant at which it was rated; `before` as in `running_totals`."""
    sums = moment_sums("movie_rating", F.col("rating"))
    totals = running_totals(ratings, "movie_id", sums, before)
    return totals.select(
        "movie_id", count("movie_rating"), *mean_and_std("movie_rating"), known_from(), STATE
    )
