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
from pipelines.lake import STATE
from pipelines.running import known_from, last_event

MOVIES, GENRES = "user_recent_liked_movie_ids", "user_recent_liked_genres"


def compute(ratings: DataFrame, movies: DataFrame, before: DataFrame | None = None) -> DataFrame:
    """One row per user and instant at which the user liked something.

    Args:
        before: rows of an earlier result, at most one a user: the lists go on from there. The ratings of such
            a user must all come later.
    """
    joined_genres = F.concat_ws(GENRE_SEPARATOR, "genres").alias("joined_genres")
    likes = (
        ratings.where(F.col("rating") >= LIKED_RATING)
        .join(F.broadcast(movies.select("movie_id", joined_genres)), "movie_id")
        .select("user_id", EVENT_TIMESTAMP, F.col("movie_id").alias("order"), "movie_id", "joined_genres")
    )
    if before is not None:
        likes = likes.unionByName(_likes_before(before))
    in_order = Window.partitionBy("user_id").orderBy(EVENT_TIMESTAMP, "order")

    def newest_first(column: str, padding: int | str) -> Column:
        earlier = (F.lag(column, back, padding).over(in_order) for back in range(1, RECENT_LIKES))
        return F.array(F.col(column), *earlier)

    following = F.col("following")
    return (
        likes.select(
            "user_id",
            EVENT_TIMESTAMP,
            "order",
            newest_first("movie_id", PADDING_ID).alias(MOVIES),
            newest_first("joined_genres", PADDING_GENRE).alias(GENRES),
            F.lead(EVENT_TIMESTAMP).over(in_order).alias("following"),
        )
        # Likes of one instant become known together: only the last of them has all.
        .where((F.col("order") > 0) & (following.isNull() | (following > F.col(EVENT_TIMESTAMP))))
        .select(
            "user_id",
            MOVIES,
            GENRES,
            known_from(),
            # The row is its own state; that there is one marks the newest.
            F.when(following.isNull(), F.create_map().cast("map<string,double>")).alias(STATE),
        )
    )


def _likes_before(before: DataFrame) -> DataFrame:
    """The likes that rows list, as likes again: all at the row's instant, in order by `order` <= 0."""
    listed = F.posexplode(F.arrays_zip(MOVIES, GENRES)).alias("position", "like")
    return before.select("user_id", last_event(), listed).select(
        "user_id",
        EVENT_TIMESTAMP,
        (-F.col("position")).cast("bigint").alias("order"),
        F.col("like")[MOVIES].alias("movie_id"),
        F.col("like")[GENRES].alias("joined_genres"),
    )
