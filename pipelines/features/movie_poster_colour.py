"""`movie_poster_colour`: colour and texture of a movie's poster, as measured when it was read."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from feature_repo.schema import BEGINNING, EVENT_TIMESTAMP, POSTER_STATISTICS


def compute(posters: DataFrame) -> DataFrame:
    """One row per movie with a poster, known since the beginning."""
    return posters.select(
        "movie_id",
        *(F.col(statistic).alias(f"movie_poster_{statistic}") for statistic in POSTER_STATISTICS),
        F.lit(BEGINNING).alias(EVENT_TIMESTAMP),
    )
