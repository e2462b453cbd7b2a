"""Pictures as raw rows: opened and measured when they are asked for, in threads or by Spark's workers."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from feature_repo.domains.movies.posters import STATISTICS
from pipelines.sources.poster_statistics import measure_file
from pipelines.sources.readings import as_it_is, whole_number
from pipelines.sources.source import Fault, Raw, Rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NAMED = pa.schema([("movie_id", pa.string()), ("source", pa.string())])
MEASURED = pa.schema(
    [
        *NAMED,
        ("problem", pa.string()),
        ("sha256", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        *((name, pa.float64()) for name in STATISTICS),
        ("row", pa.int64()),
        ("record", pa.string()),
    ]
)
"""One row a picture: `source` is its path, and `record` too; `row` is null. `problem`, such as "is empty", is
null for a picture that was measured; the measurements are null for one that was not."""
READINGS = (
    whole_number("movie_id", kind="a whole number, which a poster's name has to be"),
    as_it_is("file", "source"),
    *(as_it_is(name) for name in ("sha256", "width", "height", *STATISTICS)),
)
READABLE = Fault("poster_is_readable", "problem IS NOT NULL", "concat('the file ', problem)")


def posters_of(files: Sequence[tuple[str, str]]) -> Raw:
    """Pictures as raw rows of `posters`. A file that is no picture breaks `poster_is_readable`.

    Args:
        files: the movie's id as it was read and the picture's path, which every worker can read.
    """
    names, paths = ([file[at] for file in files] for at in range(2))
    named = pa.table([names, paths], schema=NAMED)
    rows = Rows(len(files), lambda: measure_in_threads(named), lambda spark: measure_on_spark(named, spark))
    return Raw(rows, READINGS, faults=(READABLE,))


def measure_in_threads(posters: pa.Table) -> pa.Table:
    """Read, decode and measure pictures; decoding and arithmetic leave Python's lock.

    Args:
        posters: as `NAMED`.

    Returns:
        As `MEASURED`, in the same order.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(pool.map(_measured, posters.to_pylist()))
    return pa.Table.from_pylist(rows, schema=MEASURED)


def measure_on_spark(posters: pa.Table, spark: "SparkSession") -> "DataFrame":
    """Read, decode and measure pictures where Spark's workers are: only names and numbers move.

    Args:
        posters: as `NAMED`.

    Returns:
        As `MEASURED`, in no order.
    """
    from pyspark.sql.pandas.types import from_arrow_schema

    tasks = 2 * spark.sparkContext.defaultParallelism
    named = spark.createDataFrame(posters).repartition(tasks)
    return named.mapInArrow(_measure_batches, from_arrow_schema(MEASURED))


def _measure_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        rows = [_measured(row) for row in batch.to_pylist()]
        yield pa.RecordBatch.from_pylist(rows, schema=MEASURED)


def _measured(poster: dict[str, str]) -> dict[str, object]:
    path = poster["source"]
    return {**poster, **measure_file(Path(path)), "row": None, "record": path}
