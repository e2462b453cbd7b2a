"""Generate a synthetic data set: in processes here, or by Spark where it is large.

Each task computes a few blocks of users, or a few posters, and writes one file of its own with a fixed name;
the cut into files follows from the config alone. So the folder is the same byte for byte however many cores
work on it, and a task that is tried again only writes its file again. On a cluster the folder must lie on a
file system that all workers share.
"""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from common.children import deaf_to_ctrl_c, end_with_parent
from common.progress import Progress
from feature_repo.define.column import EVENT_TIMESTAMP
from lake import session
from lake.session import StartSpark
from pipelines.sources.generated import generate_once, in_place, on_spark
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

    def write(new: Path) -> list[str]:
        calibration = calibrate(config, plan_users(config))
        work = tasks(config)
        for name in (RATINGS, LIKELIHOOD, MOVIES, USERS, POSTERS):
            (new / name).mkdir()
        _write_movies(config, new / MOVIES)
        pq.write_table(profiles(config), new / USERS / FIRST_FILE)
        with _watched(new, len(work), on_progress):
            if config.ratings <= session.FEW:
                return _run_here(work, config, calibration, new)
            return on_spark(spark(), len(work), lambda number: _do(work[number], config, calibration, new))

    generate_once(folder, config.marker, write)


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
