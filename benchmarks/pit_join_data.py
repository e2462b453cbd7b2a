"""Labels and views for `pit_join.py`: users and movies as unequal as MovieLens' are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MOVIES = 10_000
FEATURES = 4
SPAN = 10**15
# Of the 671 users of MovieLens-small's 100,004 ratings, half have 71 or fewer, and 1 % 1,291 or more.
RATINGS_A_USER = 149
LEAST_RATINGS = 19
ACTIVITY_DEVIATION = 1.3
VIEWS = {"user": "user_id", "movie": "movie_id"}
INSTANT = pa.timestamp("us", "UTC")


def movies(rng: np.random.Generator, n: int) -> np.ndarray:
    weights = (np.arange(1, MOVIES + 1) + 60.0) ** -1.1
    return rng.choice(MOVIES, n, p=weights / weights.sum()) + 1


def users(rng: np.random.Generator, rows: int, equal: bool) -> Callable[[int], np.ndarray]:
    """A function that draws so many users, each in proportion to how active it is."""
    if equal:
        count = max(rows // 100, 10)
        return lambda n: rng.integers(1, count + 1, n)
    count = max(rows // RATINGS_A_USER, 10)
    extra = rng.lognormal(-(ACTIVITY_DEVIATION**2) / 2, ACTIVITY_DEVIATION, count)
    activity = LEAST_RATINGS + (RATINGS_A_USER - LEAST_RATINGS) * extra
    return lambda n: rng.choice(count, n, p=activity / activity.sum()) + 1


def make(folder: Path, labels: int, rows: int, equal_users: bool) -> None:
    """Write labels, and each view as Delta and as Parquet."""
    from deltalake import write_deltalake

    rng = np.random.default_rng(0)
    draw_users = users(rng, rows, equal_users)
    for view, key in VIEWS.items():
        at = np.unique(rng.integers(1, SPAN, rows + rows // 100))
        at = rng.permutation(at)[:rows]
        keys = draw_users(rows) if view == "user" else movies(rng, rows)
        columns: dict[str, Any] = {key: keys}
        columns |= {f"{view}_{i}": rng.normal(size=rows) for i in range(FEATURES)}
        columns["event_timestamp"] = pa.array(at).cast(INSTANT)
        columns["created_timestamp"] = pa.array(at + 3_600_000_000).cast(INSTANT)
        table = pa.table(columns)
        write_deltalake(folder / "lake" / view, table)
        pq.write_table(table, folder / f"{view}.parquet")
    pq.write_table(
        pa.table(
            {
                "label_id": np.arange(labels),
                "user_id": draw_users(labels),
                "movie_id": movies(rng, labels),
                "event_timestamp": pa.array(rng.integers(1, SPAN, labels)).cast(INSTANT),
            }
        ),
        folder / "labels.parquet",
    )
