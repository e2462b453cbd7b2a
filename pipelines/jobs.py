"""The feature jobs: what each reads, and its pure `compute`."""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from common.errors import MarqueeError
from feature_repo.schema import CREATED_TIMESTAMP
from pipelines import (
    lake,
    movie_content,
    movie_poster_colour,
    movie_rating_stats,
    user_poster_taste,
    user_rating_stats,
    user_recent_likes,
)


@dataclass(frozen=True, slots=True)
class Job:
    """One feature table: it has the job's name.

    Args:
        inputs: the tables that `compute` takes, in its order.
        compute: frames in, the table without `created_timestamp` out; no effects.
    """

    inputs: tuple[str, ...]
    compute: Callable[..., DataFrame]


JOBS: dict[str, Job] = {
    "movie_content": Job(("movies",), movie_content.compute),
    "movie_poster_colour": Job(("posters",), movie_poster_colour.compute),
    "movie_rating_stats": Job(("ratings",), movie_rating_stats.compute),
    "user_rating_stats": Job(("ratings", "movies"), user_rating_stats.compute),
    "user_recent_likes": Job(("ratings", "movies"), user_recent_likes.compute),
    "user_poster_taste": Job(("ratings", "posters"), user_poster_taste.compute),
}


def job_names(asked: Iterable[str]) -> list[str]:
    """The jobs asked for, in the order in which they are listed; all where none is asked for.

    Raises:
        MarqueeError: there is no such job.
    """
    names = list(asked)
    for name in names:
        if name not in JOBS:
            near = difflib.get_close_matches(name, JOBS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the jobs are {', '.join(JOBS)}."
            raise MarqueeError(f"There is no job '{name}': {hint}")
    return [name for name in JOBS if not names or name in names]


def run_job(spark: SparkSession, folder: Path, name: str, created: datetime | None = None) -> int:
    """Compute one feature table from the lake in `folder` and replace it there.

    Args:
        created: the `created_timestamp` of its rows; now where None.

    Returns:
        The number of rows written.
    """
    job = JOBS[name]
    frames = [lake.read(spark, folder, table) for table in job.inputs]
    rows = job.compute(*frames).withColumn(CREATED_TIMESTAMP, F.lit(created or datetime.now(UTC)))
    lake.overwrite(rows, folder, name)
    return lake.read(spark, folder, name).count()
