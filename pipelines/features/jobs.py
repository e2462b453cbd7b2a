"""The feature jobs."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import SparkSession

from common.errors import unknown
from pipelines.features import (
    movie_content,
    movie_poster_colour,
    movie_rating_stats,
    user_poster_taste,
    user_rating_stats,
    user_recent_likes,
)
from pipelines.features.incremental import rebuild, update
from pipelines.features.job import Job, Update

JOBS: dict[str, Job] = {
    job.name: job
    for job in (
        Job("movie_content", ("movies",), movie_content.compute),
        Job("movie_poster_colour", ("posters",), movie_poster_colour.compute),
        Job("movie_rating_stats", ("ratings",), movie_rating_stats.compute),
        Job("user_rating_stats", ("ratings", "movies"), user_rating_stats.compute),
        Job("user_recent_likes", ("ratings", "movies"), user_recent_likes.compute),
        Job("user_poster_taste", ("ratings", "posters"), user_poster_taste.compute),
    )
}


def job_names(asked: Iterable[str]) -> list[str]:
    """The jobs asked for, in the order in which they are listed; all where none is asked for.

    Raises:
        MarqueeError: there is no such job.
    """
    names = list(asked)
    for name in names:
        if name not in JOBS:
            raise unknown("job", name, JOBS)
    return [name for name in JOBS if not names or name in names]


def run_job(
    spark: SparkSession, folder: Path, name: str, full: bool = False, created: datetime | None = None
) -> Update:
    """Bring one feature table of the lake in `folder` up to date.

    Args:
        full: compute it from all of its sources and replace it, whatever is new.
        created: the `created_timestamp` of rows written; now where None.
    """
    step = rebuild if full else update
    return step(spark, folder, JOBS[name], created or datetime.now(UTC))
