"""Generate a synthetic click log: here, or by Spark where it is large.

Each block of rows becomes one file with a fixed name, by the config and its number alone, so the folder is
the same byte for byte whatever makes it. On a cluster it must lie on a file system that all workers share.
"""

from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from common.progress import Progress, ignore
from lake import session
from lake.session import StartSpark
from pipelines.sources.generated import generate_once, in_place, on_spark
from pipelines.sources.synthetic_clicks.config import ClicksConfig
from pipelines.sources.synthetic_clicks.rows import block_tables

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

    def write(new: Path) -> list[str]:
        for name in (ROWS, LIKELIHOOD):
            (new / name).mkdir()
        if config.rows > session.FEW:
            return on_spark(spark(), config.blocks, partial(write_block, config, folder=new))
        for block in range(config.blocks):
            (on_progress or ignore)("blocks", block, config.blocks)
            write_block(config, block, new)
        return []

    generate_once(folder, config.marker, write)


def write_block(config: ClicksConfig, block: int, folder: Path) -> None:
    """Write the two files of a block.

    Raises:
        OSError: the disk refuses.
    """
    for name, rows in zip((ROWS, LIKELIHOOD), block_tables(config, block), strict=True):
        with in_place(folder / name / f"part-{block:05d}.parquet") as path:
            pq.write_table(rows, path, compression="zstd", compression_level=LEVEL)
