"""Generate a synthetic data set, whole or not at all: in processes here, or by Spark where it is large.

Each task computes a few blocks of users, or a few posters, and writes one file of its own with a fixed name;
the cut into files follows from the config alone. So the folder is the same byte for byte however many cores
work on it, and a task that is tried again only writes its file again. On a cluster the folder must lie on a
file system that all workers share.
"""

import json
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from common.children import deaf_to_ctrl_c, end_with_parent
from common.errors import MarqueeError
from common.files import cannot_write, folder_atomically, write_atomically
from common.progress import Progress
from feature_repo.define.column import EVENT_TIMESTAMP
from lake import session
from lake.session import StartSpark
from pipelines.sources.synthetic.catalogue import catalogue, titles
from pipelines.sources.synthetic.config import SyntheticConfig
from pipelines.sources.synthetic.posters import poster
from pipelines.sources.synthetic.profiles import profiles
from pipelines.sources.synthetic.ratings import (
    Calibration,
    block_events,
    blocks,
    calibrate,
    rate,
)
from pipelines.sources.synthetic.users import plan_users

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MARKER = "synthetic.json"
RATINGS, MOVIES, LIKELIHOOD, POSTERS = "ratings.parquet", "movies.parquet", "likelihood.parquet", "posters"
USERS = "users.parquet"

RATINGS_SCHEMA = pa.schema(
    [("user_id", pa.int64()), ("movie_id", pa.int64()), ("rating", pa.float64()), ("timestamp", pa.int64())]
)
MOVIES_SCHEMA = pa.schema(
    [("movie_id", pa.int64()), ("title", pa.string()), ("genres", pa.string()), ("release_year", pa.int64())]
)
LIKELIHOOD_SCHEMA = pa.schema(
    [
        ("user_id", pa.int64()),
        ("movie_id", pa.int64()),
        (EVENT_TIMESTAMP, pa.timestamp("us", tz="UTC")),
        ("like_probability", pa.float64()),
    ]
)
FIRST_FILE = "part-00000.parquet"
RATINGS_PER_FILE = 1_000_000
LEAST_FILES = 8
"""Of ratings, so that small data sets keep several cores busy too."""
POSTERS_PER_TASK = 64


@dataclass(frozen=True, slots=True)
class Portion:
    """What one task does: `units` are blocks of users (kind RATINGS) or movie ids (kind POSTERS)."""

    kind: str
    number: int
    units: tuple[int, ...]


def generate(
    spark: StartSpark,
    config: SyntheticConfig,
    folder: Path,
    on_progress: Progress | None = None,
) -> None:
    """Write `ratings.parquet`, `movies.parquet`, `users.parquet`, `likelihood.parquet` and `posters/` into
    `folder`.

    `likelihood.parquet` is the side table of true like-probabilities (`user_id, movie_id, event_timestamp,
    like_probability`); no table of the source that `read_synthetic` gives reads it. The same config is not
    generated twice: a finished folder says what it was made from. Another config replaces the folder.

    Raises:
        MarqueeError: the numbers of the config do not fit together, the folder is not ours to replace, or it
            cannot be written.
    """
    folder = folder.absolute()
    if made_from(folder) == config.marker:
        return
    if folder.exists() and not folder.is_dir():
        raise MarqueeError(f"Cannot generate into {folder}: it is a file; name a folder.")
    if folder.is_dir() and made_from(folder) is None and any(folder.iterdir()):
        raise MarqueeError(
            f"Cannot generate into {folder}: it holds something else; name a folder that is empty or new."
        )
    calibration = calibrate(config, plan_users(config))
    work = tasks(config)
    with folder_atomically(folder) as new:
        try:
            for name in (RATINGS, LIKELIHOOD, MOVIES, USERS, POSTERS):
                (new / name).mkdir()
            _write_movies(config, new / MOVIES)
            pq.write_table(profiles(config), new / USERS / FIRST_FILE)
        except OSError as error:
            raise cannot_write(folder, error) from error
        with _watched(new, len(work), on_progress):
            if config.ratings <= session.FEW:
                failures = _run_here(work, config, calibration, new)
            else:
                failures = _run_on_spark(spark(), work, config, calibration, new)
        if failures:
            raise cannot_write(folder, OSError(0, failures[0]))
        write_atomically(new / MARKER, json.dumps(config.marker, indent=2) + "\n")


def made_from(folder: Path) -> dict[str, Any] | None:
    """The marker of a finished folder; None where there is none."""
    try:
        marker = json.loads((folder / MARKER).read_text())
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) and "config" in marker else None


def tasks(config: SyntheticConfig) -> list[Portion]:
    """The work, cut into files by the config alone."""
    count = blocks(config)
    files = min(count, max(LEAST_FILES, -(-config.ratings // RATINGS_PER_FILE)))
    cuts = [count * number // files for number in range(files + 1)]
    ratings = [
        Portion(RATINGS, number, tuple(range(cuts[number], cuts[number + 1]))) for number in range(files)
    ]
    shown = [int(row) + 1 for row in catalogue(config).has_poster.nonzero()[0]]
    starts = range(0, len(shown), POSTERS_PER_TASK)
    posters = [
        Portion(POSTERS, number, tuple(shown[start : start + POSTERS_PER_TASK]))
        for number, start in enumerate(starts)
    ]
    return ratings + posters


def block_tables(config: SyntheticConfig, calibration: Calibration, block: int) -> tuple[pa.Table, pa.Table]:
    """Ratings of one block of users, and their like-probabilities."""
    events, rng = block_events(config, plan_users(config), block)
    probability, stars = rate(events, calibration, rng)
    ids = {"user_id": events.user_id, "movie_id": events.movie_id}
    ratings = pa.table({**ids, "rating": stars, "timestamp": events.timestamp}, schema=RATINGS_SCHEMA)
    moments = pa.array(events.timestamp * 1_000_000, type=pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    likelihood = pa.table(
        {**ids, EVENT_TIMESTAMP: moments, "like_probability": probability}, schema=LIKELIHOOD_SCHEMA
    )
    return ratings, likelihood


def _run_here(
    work: list[Portion], config: SyntheticConfig, calibration: Calibration, folder: Path
) -> list[str]:
    """Do all tasks in a process a core; what the disk refused, in words."""
    with ProcessPoolExecutor(
        os.cpu_count(), get_context("spawn"), initializer=end_with_parent, initargs=(os.getpid(),)
    ) as pool:
        try:
            with deaf_to_ctrl_c():
                done = [pool.submit(_do, task, config, calibration, folder) for task in work]
            errors = [future.exception() for future in done]
        except KeyboardInterrupt:
            for worker in active_children():
                worker.terminate()
            raise
    for error in errors:
        if error is not None and not isinstance(error, OSError):
            raise error
    return [error.strerror or str(error) for error in errors if isinstance(error, OSError)]


def _run_on_spark(
    spark: "SparkSession",
    work: list[Portion],
    config: SyntheticConfig,
    calibration: Calibration,
    folder: Path,
) -> list[str]:
    """Do all tasks, one Spark partition each; what the disk refused, in words."""
    target = str(folder)

    def do(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column("id").to_pylist():
                try:
                    _do(work[number], config, calibration, Path(target))
                except OSError as error:
                    failure = pa.array([error.strerror or str(error)])
                    yield pa.RecordBatch.from_arrays([failure], names=["failure"])

    rows = spark.range(0, len(work), 1, len(work)).mapInArrow(do, "failure STRING").collect()
    return [row["failure"] for row in rows]


def _do(task: Portion, config: SyntheticConfig, calibration: Calibration, folder: Path) -> None:
    """Write the files of one task."""
    if task.kind == POSTERS:
        for movie_id in task.units:
            with in_place(folder / POSTERS / f"{movie_id}.jpg") as path:
                path.write_bytes(poster(config, movie_id))
        return
    name = f"part-{task.number:05d}.parquet"
    with (
        in_place(folder / RATINGS / name) as events_path,
        in_place(folder / LIKELIHOOD / name) as likelihood_path,
        pq.ParquetWriter(events_path, RATINGS_SCHEMA) as events_file,
        pq.ParquetWriter(likelihood_path, LIKELIHOOD_SCHEMA) as likelihood_file,
    ):
        for block in task.units:
            events, likelihood = block_tables(config, calibration, block)
            events_file.write_table(events)
            likelihood_file.write_table(likelihood)


@contextmanager
def in_place(path: Path) -> Iterator[Path]:
    """A hidden path to write to, which becomes `path`; so that two tries at one task never mix."""
    hidden = path.with_name(f".{path.name}.{os.getpid()}")
    yield hidden
    hidden.replace(path)


def _write_movies(config: SyntheticConfig, folder: Path) -> None:
    movies = catalogue(config)
    columns = {
        "movie_id": range(1, config.movies + 1),
        "title": titles(config.movies),
        "genres": movies.genres(),
        "release_year": movies.release_year,
    }
    pq.write_table(pa.table(columns, schema=MOVIES_SCHEMA), folder / FIRST_FILE)


@contextmanager
def _watched(folder: Path, total: int, on_progress: Progress | None) -> Iterator[None]:
    """Report how many of the tasks' files are there, twice a second, while the body runs."""
    if on_progress is None:
        yield
        return
    ended = threading.Event()

    def report() -> None:
        ratings = sum(1 for _ in (folder / RATINGS).glob("part-*.parquet"))
        posters = sum(1 for _ in (folder / POSTERS).glob("[0-9]*.jpg"))
        on_progress(f"{posters:,} posters", min(ratings + -(-posters // POSTERS_PER_TASK), total), total)

    def watch() -> None:
        while not ended.wait(0.5):
            report()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    report()
