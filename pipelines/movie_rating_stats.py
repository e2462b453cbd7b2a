"""`movie_rating_stats`: running count, mean and deviation of the ratings that a movie got."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.running import known_from, mean_and_std, moment_sums, running_sums


def compute(ratings: DataFrame) -> DataFrame:
    """One row per movie and instant at which it was rated."""
    sums = running_sums(ratings, "movie_id", moment_sums("movie_rating", F.col("rating")))
    return sums.select(
        "movie_id",
        F.col("movie_rating_n").alias("movie_rating_count"),
        *mean_and_std("movie_rating"),
        known_from(),
    )
