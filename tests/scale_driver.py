"""A program on a Spark cluster that can be held up amid its work, for the tests to kill what they like then.

`python -m tests.scale_driver tables HOME GATE` builds every feature table and joins features to labels; then
it does one job and the join again, with the job's ratings held up until there is a file GATE/go.
`python -m tests.scale_driver write HOME GATE` computes one table anew and is held up while writing it.
A task that is held up says so by a file in GATE, which holds the folder that its worker runs it in.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame

from app.spark import start_spark
from common.settings import load_settings
from feature_repo.domains.movies import DOMAIN
from feature_repo.domains.movies.tables import RATINGS
from feature_repo.store import open_store
from lake import session, spark_tables
from pipelines.features import in_spark
from pipelines.features.jobs import job_names, run_job
from training.data.dataset import point_in_time

SERVICE = "mmdin_v1"
HELD_UP = "user_poster_taste"
"""The job that is held up: it joins tables, and aggregates within windows."""
CREATED = datetime(2024, 1, 1, tzinfo=UTC)
"""When all rows are said to be written, so that tables can be compared whole."""


def waiting(
    gate: Path, first_hand_on: bool
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Hands batches on once there is a file `go`, or waits for it after that."""

    def wait(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        if first_hand_on:
            yield from batches
        (gate / f"task-{os.getpid()}.part").write_text(str(Path.cwd()))
        (gate / f"task-{os.getpid()}.part").rename(gate / f"task-{os.getpid()}")
        while not (gate / "go").exists():
            time.sleep(0.05)
        yield from batches

    return wait


def main(mode: str, home: Path, gate: Path) -> None:
    settings = load_settings(home)
    spark = start_spark(settings)
    while spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() < 3:  # the driver and two workers
        time.sleep(0.1)
    session.FEW = -1  # these few rows too are to be computed by the cluster
    if mode == "write":
        overwrite = spark_tables.overwrite

        def held_up(df: DataFrame, *rest: Any) -> None:
            overwrite(df.mapInArrow(waiting(gate, first_hand_on=True), df.schema), *rest)

        spark_tables.overwrite = held_up
        run_job(lambda: spark, settings.lake, DOMAIN, HELD_UP, full=True)
        return
    for name in job_names(DOMAIN):
        run_job(lambda: spark, settings.lake, DOMAIN, name, full=True, created=CREATED)
    labels = pq.read_table(home / "labels.parquet")
    joined = point_in_time(open_store(settings), DOMAIN, SERVICE, labels)
    pq.write_table(joined, home / "joined.parquet")
    read = in_spark.read

    def slow(spark: Any, folder: Path, name: str, **which: Any) -> DataFrame:
        frame = read(spark, folder, name, **which)
        return frame.mapInArrow(waiting(gate, False), frame.schema) if name == RATINGS.name else frame

    in_spark.read = slow
    run_job(lambda: spark, settings.lake, DOMAIN, HELD_UP, full=True, created=CREATED)
    pq.write_table(
        point_in_time(open_store(settings), DOMAIN, SERVICE, labels), home / "joined_again.parquet"
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
