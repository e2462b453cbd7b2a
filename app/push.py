"""A new rating's way: checked, into the lake, into the features it touches, online."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from feast import FeatureStore

from feature_repo.online.send import Sent, send_changed
from feature_repo.schema import RATINGS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from pipelines.features.job import Update
    from pipelines.ingest.ingest import TableReport


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of new ratings.

    Args:
        ratings: how many were accepted, quarantined or known.
        updates: of the feature tables that ratings flow into; none where no rating was accepted.
        sent: what went online of these.
        seconds: by step: "ingest", "features", "online".
    """

    ratings: "TableReport"
    updates: tuple["Update", ...]
    sent: tuple[Sent, ...]
    seconds: dict[str, float]


def push(
    spark: "SparkSession",
    store: FeatureStore,
    ratings: pa.Table,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Pushed:
    """Take in new ratings, and bring online what follows from them.

    They may be late: what is online then is the newest row as it follows from all ratings. The caller holds
    the home for writing. A push that was killed is completed by the next one, or by running the pipelines
    and materialising.

    Args:
        spark: a session that lives on; starting one takes longer than a push.
        store: an applied store, whose lake this is.
        ratings: raw rows, as `pipelines.sources.new_ratings` makes them.
        on_progress: called with a word on the current step, steps done, steps in all.

    Raises:
        MarqueeError: the lake has no catalogue or no ratings yet, nothing is applied, or the disk refuses.
    """
    from pipelines.features.jobs import JOBS, run_job
    from pipelines.ingest.ingest import add_ratings

    lake = Path(store.config.offline_store.lake)
    jobs = [name for name, job in JOBS.items() if RATINGS.name in job.inputs]
    report = on_progress or _say_nothing
    started = time.perf_counter()
    report(RATINGS.name, 0, len(jobs) + 2)
    taken = add_ratings(spark, spark.createDataFrame(ratings), lake)
    seconds = {"ingest": time.perf_counter() - started}
    if not taken.accepted and not taken.known:
        return Pushed(taken, (), (), seconds)
    started = time.perf_counter()
    updates = []
    for position, name in enumerate(jobs):
        report(name, position + 1, len(jobs) + 2)
        updates.append(run_job(spark, lake, name))
    seconds["features"] = time.perf_counter() - started
    started = time.perf_counter()
    report("online", len(jobs) + 1, len(jobs) + 2)
    sent = send_changed(store, jobs)
    seconds["online"] = time.perf_counter() - started
    return Pushed(taken, tuple(updates), tuple(sent), seconds)


def _say_nothing(word: str, done: int, total: int) -> None:
    pass
