"""`user_recent_likes`: the last movies that a user liked, newest first, and their genres."""

from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from feature_repo.schema import EVENT_TIMESTAMP, GENRE_SEPARATOR, LIKED_RATING
from pipelines import kernels
from pipelines.running import in_time, last_event, sorted_by_id

PLACE = "place"
"""Orders the likes of one instant; above 0 in new ones."""


def compute(ratings: DataFrame, movies: DataFrame, before: DataFrame | None = None) -> DataFrame:
    """One row per user and instant at which the user liked something.

    Args:
        before: rows of an earlier result, at most one a user: the lists go on from there. The ratings of such
            a user must all come later.
    """
    ids, facts = sorted_by_id(movies, F.concat_ws(GENRE_SEPARATOR, "genres").alias("genres"))
    likes = ratings.where(F.col("rating") >= LIKED_RATING).select(
        "user_id", EVENT_TIMESTAMP, "movie_id", F.col("movie_id").alias(PLACE)
    )
    if before is not None:
        likes = likes.unionByName(_likes_before(before))
    genres = facts.column("genres").combine_chunks()
    kernel = partial(kernels.recent_likes, movies=ids, genres=genres)
    return in_time("user_recent_likes", likes, kernel, order=[PLACE])


def _likes_before(before: DataFrame) -> DataFrame:
    """The likes that rows list, as likes again: all at the row's instant, the newest last."""
    listed = F.posexplode("user_recent_liked_movie_ids").alias("position", "movie_id")
    return before.select("user_id", last_event(), listed).select(
        "user_id", EVENT_TIMESTAMP, "movie_id", (-F.col("position")).cast("bigint").alias(PLACE)
    )
