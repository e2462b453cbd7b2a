"""Generate a synthetic click log, whole or not at all: here, or by Spark where it is large.

Each block of rows becomes one file with a fixed name, by the config and its number alone, so the folder is
the same byte for byte whatever makes it. On a cluster it must lie on a file system that all workers share.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from common.errors import MarqueeError
from common.files import cannot_write, folder_atomically, write_atomically
from common.progress import Progress, ignore
from lake import session
from lake.session import StartSpark
from pipelines.sources.synthetic.job import MARKER, in_place, made_from
from pipelines.sources.synthetic_clicks.config import ClicksConfig
from pipelines.sources.synthetic_clicks.rows import block_tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS, LIKELIHOOD = "rows.parquet", "likelihood.parquet"
LEVEL = 1
"""Of zstd: the files are read once or twice."""


def generate(
    spark: StartSpark, config: ClicksConfig, folder: Path, on_progress: Progress | None = None
) -> None:
    """Write `rows.parquet` into `folder`, and `likelihood.parquet`, each position's true click probability.

    The same config is not generated twice; another replaces the folder.

    Raises:
        MarqueeError: the folder is not ours to replace, or it cannot be written.
    """
    folder = folder.absolute()
    if made_from(folder) == config.marker:
        return
    if folder.exists() and made_from(folder) is None and not (folder.is_dir() and not any(folder.iterdir())):
        raise MarqueeError(
            f"Cannot generate into {folder}: it is something else; name a folder that is empty or new."
        )
    with folder_atomically(folder) as new:
        try:
            for name in (ROWS, LIKELIHOOD):
                (new / name).mkdir()
            if config.rows <= session.FEW:
                for block in range(config.blocks):
                    (on_progress or ignore)("blocks", block, config.blocks)
                    write_block(config, block, new)
                failures: list[str] = []
            else:
                failures = _on_spark(spark(), config, new)
        except OSError as error:
            raise cannot_write(folder, error) from error
        if failures:
            raise cannot_write(folder, OSError(0, failures[0]))
        write_atomically(new / MARKER, json.dumps(config.marker, indent=2) + "\n")


def write_block(config: ClicksConfig, block: int, folder: Path) -> None:
    """Write the two files of a block.

    Raises:
        OSError: the disk refuses.
    """
    for name, rows in zip((ROWS, LIKELIHOOD), block_tables(config, block), strict=True):
        with in_place(folder / name / f"part-{block:05d}.parquet") as path:
            pq.write_table(rows, path, compression="zstd", compression_level=LEVEL)


def _on_spark(spark: "SparkSession", config: ClicksConfig, folder: Path) -> list[str]:
    """Write all blocks, one Spark partition each; what the disk refused, in words."""
    target = str(folder)

    def do(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for block in batch.column("id").to_pylist():
                try:
                    write_block(config, block, Path(target))
                except OSError as error:
                    failure = pa.array([error.strerror or str(error)])
                    yield pa.RecordBatch.from_arrays([failure], names=["failure"])

    count = config.blocks
    rows = spark.range(0, count, 1, count).mapInArrow(do, "failure STRING").collect()
    return [row["failure"] for row in rows]
