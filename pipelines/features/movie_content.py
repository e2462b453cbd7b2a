"""`movie_content`: what the catalogue says of a movie."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from feature_repo.schema import BEGINNING, EVENT_TIMESTAMP


def compute(movies: DataFrame) -> DataFrame:
    """One row per movie, known since the beginning."""
    return movies.select(
        "movie_id",
        F.col("genres").alias("movie_genres"),
        F.col("release_year").alias("movie_release_year"),
        F.lit(BEGINNING).alias(EVENT_TIMESTAMP),
    )
