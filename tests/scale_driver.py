"""A program on a Spark cluster that is held up amid its work, for the tests to kill what they like then.

`python -m tests.scale_driver HOME GATES` builds every feature table and joins features to labels. Then it
does one job and the join again, with the ratings held up until there is a file GATES/read/go. It makes a
folder GATES/write, and does the job once more, held up while writing the table until there is a file
GATES/write/go. A task that is held up says so by a file beside `go`, which holds the folder that its worker
runs it in.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

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


def main(home: Path, gates: Path) -> None:
    settings = load_settings(home)
    spark = start_spark(settings)
    while spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() < 3:  # the driver and two workers
        time.sleep(0.1)
    session.FEW = -1  # these few rows too are to be computed by the cluster
    read, overwrite = in_spark.read, spark_tables.overwrite
    labels = pq.read_table(home / "labels.parquet")

    def compute(name: str) -> None:
        run_job(lambda: spark, settings.lake, DOMAIN, name, full=True, created=CREATED)

    def join_into(file: str) -> None:
        pq.write_table(point_in_time(open_store(settings), DOMAIN, SERVICE, labels), home / file)

    def slow(spark: Any, folder: Path, name: str, **which: Any) -> DataFrame:
        frame = read(spark, folder, name, **which)
        held_up = waiting(gates / "read", first_hand_on=False)
        return frame.mapInArrow(held_up, frame.schema) if name == RATINGS.name else frame

    def slowly(df: DataFrame, *rest: Any) -> None:
        overwrite(df.mapInArrow(waiting(gates / "write", first_hand_on=True), df.schema), *rest)

    for name in job_names(DOMAIN):
        compute(name)
    join_into("joined.parquet")
    with mock.patch.object(in_spark, "read", slow):
        compute(HELD_UP)
    join_into("joined_again.parquet")
    (gates / "write").mkdir()
    with mock.patch.object(spark_tables, "overwrite", slowly):
        compute(HELD_UP)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
