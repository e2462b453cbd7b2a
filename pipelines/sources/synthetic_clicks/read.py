"""A generated click log as a source."""

from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from common.errors import MarqueeError, in_words
from feature_repo.define.column import quoted
from feature_repo.domains.clicks.criteo import SYNTHETIC
from pipelines.sources.generated import made_from
from pipelines.sources.lines import escaped
from pipelines.sources.readings import as_it_is
from pipelines.sources.source import Raw, Rows, Source
from pipelines.sources.synthetic_clicks.job import LIKELIHOOD, ROWS
from pipelines.sources.synthetic_clicks.rows import ROWS_SCHEMA

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def read_clicks(folder: Path) -> Source:
    """The log that was generated into `folder`.

    Raises:
        MarqueeError: nothing (finished) was generated there, or some of it is gone or damaged.
    """
    folder = folder.absolute()
    made = made_from(folder)
    if made is None or not (folder / ROWS).is_dir():
        raise MarqueeError(
            f"No synthetic clicks in {folder}: `marquee pipeline ingest --source synthetic-clicks` makes them"
            " in the home."
        )
    config = made["config"]
    files = _whole(folder, config["rows"])
    record = ", '\t', ".join(f"coalesce(CAST({quoted(name)} AS STRING), '')" for name in ROWS_SCHEMA.names)
    raw = Raw(
        _rows(files, config["rows"]),
        tuple(as_it_is(name) for name in ROWS_SCHEMA.names),
        {"record": f"concat({record})"},
    )
    return Source(
        name=SYNTHETIC.name,
        description=f"synthetic clicks: {config['rows']:,} rows, seed {config['seed']}, Parquet in {folder}",
        tables={SYNTHETIC.events.name: raw},
        likelihood=folder / LIKELIHOOD,
    )


def _whole(folder: Path, rows: int) -> list[Path]:
    """The files of the rows, where all that was generated is there.

    Raises:
        MarqueeError: it is not.
    """
    files: list[Path] = []
    for name in (LIKELIHOOD, ROWS):
        files = sorted((folder / name).glob("*.parquet"))
        try:
            found = sum(pq.ParquetFile(file).metadata.num_rows for file in files)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(folder, in_words(error)) from error
        if found != rows:
            raise _damaged(folder, f"{name} has {found:,} rows, not {rows:,}")
    return files


def _damaged(folder: Path, why: str) -> MarqueeError:
    return MarqueeError(f"The synthetic clicks in {folder} are damaged ({why}): remove it, and run again.")


def _rows(files: list[Path], count: int) -> Rows:
    """The rows of Parquet files in their order, each with its file and its number in it."""

    def in_memory() -> pa.Table:
        return pa.concat_tables(pa.Table.from_batches(batches(str(file))) for file in files)

    def on_spark(spark: "SparkSession") -> "DataFrame":
        from pyspark.sql import DataFrame
        from pyspark.sql import functions as F
        from pyspark.sql.pandas.types import from_arrow_schema

        # File by file: together, Spark would read the largest first.
        reader = spark.read.schema(from_arrow_schema(ROWS_SCHEMA))
        frames = [
            reader.parquet(f"file://{escaped(file)}").select(
                *ROWS_SCHEMA.names,
                F.lit(str(file)).alias("source"),
                (F.col("_metadata.row_index") + 1).alias("row"),
            )
            for file in files
        ]
        return reduce(DataFrame.unionAll, frames)

    return Rows(count, in_memory, on_spark)


def with_origin(schema: pa.Schema) -> pa.Schema:
    """A schema with the columns that say where a row came from."""
    return schema.append(pa.field("source", pa.string())).append(pa.field("row", pa.int64()))


def batches(file: str) -> Iterator[pa.RecordBatch]:
    """The rows of one file, with where they came from."""
    before = 0
    for batch in pq.ParquetFile(file).iter_batches():
        numbers = pa.array(range(before + 1, before + batch.num_rows + 1), pa.int64())
        source = pa.repeat(file, batch.num_rows)
        before += batch.num_rows
        yield pa.RecordBatch.from_arrays([*batch.columns, source, numbers], schema=with_origin(ROWS_SCHEMA))
