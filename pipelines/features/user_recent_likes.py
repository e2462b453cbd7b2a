"""`user_recent_likes`: the last movies that a user liked, newest first, and their genres."""

from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from feature_repo.schema import EVENT_TIMESTAMP, LIKED_RATING
from pipelines.features import kernels
from pipelines.features.running import Rows, in_time, joined, last_event, last_events, sorted_by_id

PLACE = "place"
"""Orders the likes of one instant; above 0 in new ones."""


def compute(ratings: Rows, movies: Rows, before: Rows | None = None) -> Rows:
    """One row per user and instant at which the user liked something.

    Args:
        before: rows of an earlier result, at most one a user: the lists go on from there. The ratings of such
            a user must all come later.
    """
    ids, facts = sorted_by_id(movies, "genres")
    likes = _in_arrow(ratings, before) if isinstance(ratings, pa.Table) else _in_spark(ratings, before)
    kernel = partial(kernels.recent_likes, movies=ids, genres=joined(facts.column("genres")))
    return in_time("user_recent_likes", likes, kernel, order=[PLACE])


def _in_spark(ratings: DataFrame, before: DataFrame | None) -> DataFrame:
    """The likes; those that rows list are likes again, all at the row's instant, the newest last."""
    likes = ratings.where(F.col("rating") >= LIKED_RATING).select(
        "user_id", EVENT_TIMESTAMP, "movie_id", F.col("movie_id").alias(PLACE)
    )
    if before is None:
        return likes
    listed = F.posexplode("user_recent_liked_movie_ids").alias("position", "movie_id")
    return likes.unionByName(
        before.select("user_id", last_event(), listed).select(
            "user_id", EVENT_TIMESTAMP, "movie_id", (-F.col("position")).cast("bigint").alias(PLACE)
        )
    )


def _in_arrow(ratings: pa.Table, before: pa.Table | None) -> pa.Table:
    """The same."""
    likes = ratings.filter(pc.field("rating") >= LIKED_RATING)
    likes = likes.select(["user_id", EVENT_TIMESTAMP, "movie_id"]).append_column(
        PLACE, likes.column("movie_id")
    )
    if before is None:
        return likes
    listed = before.column("user_recent_liked_movie_ids").combine_chunks()
    row, movie = pc.list_parent_indices(listed), pc.list_flatten(listed)
    opens = listed.offsets.to_numpy()[row.to_numpy()] - listed.offsets.to_numpy()[0]
    given = {
        "user_id": before.column("user_id").take(row),
        EVENT_TIMESTAMP: last_events(before).take(row),
        "movie_id": movie,
        PLACE: opens - np.arange(len(movie)),
    }
    return pa.concat_tables([likes, pa.table(given)], promote_options="default")
