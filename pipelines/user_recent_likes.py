"""`user_recent_likes`: the last movies that a user liked, newest first, and their genres."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from feature_repo.schema import (
    EVENT_TIMESTAMP,
    GENRE_SEPARATOR,
    LIKED_RATING,
    PADDING_GENRE,
    PADDING_ID,
    RECENT_LIKES,
)
from pipelines.running import known_from


def compute(ratings: DataFrame, movies: DataFrame) -> DataFrame:
    """One row per user and instant at which the user liked something."""
    joined_genres = F.concat_ws(GENRE_SEPARATOR, "genres").alias("joined_genres")
    likes = ratings.where(F.col("rating") >= LIKED_RATING).join(
        F.broadcast(movies.select("movie_id", joined_genres)), "movie_id"
    )
    in_order = Window.partitionBy("user_id").orderBy(EVENT_TIMESTAMP, "movie_id")

    def newest_first(column: str, padding: int | str) -> Column:
        earlier = (F.lag(column, back, padding).over(in_order) for back in range(1, RECENT_LIKES))
        return F.array(F.col(column), *earlier)

    return (
        likes.select(
            "user_id",
            EVENT_TIMESTAMP,
            newest_first("movie_id", PADDING_ID).alias("user_recent_liked_movie_ids"),
            newest_first("joined_genres", PADDING_GENRE).alias("user_recent_liked_genres"),
            F.lead(EVENT_TIMESTAMP).over(in_order).alias("next"),
        )
        # Likes of one instant become known together: only the last of them has all.
        .where(F.col("next").isNull() | (F.col("next") > F.col(EVENT_TIMESTAMP)))
        .select("user_id", "user_recent_liked_movie_ids", "user_recent_liked_genres", known_from())
    )
