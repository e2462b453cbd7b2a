"""Ratings and a catalogue as the lake has them, for measurements; the same for the same numbers."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

MOVIES = 10_000
GENRES = (
    "Action",
    "Adventure",
    "Animation",
    "Children",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
)
GENRES += (
    "Film-Noir",
    "Horror",
    "IMAX",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
RATINGS_A_USER = 100
START, SPAN = datetime(2000, 1, 1, tzinfo=UTC), 18 * 365 * 86_400
INSTANT = pa.timestamp("us", "UTC")


def choose_movies(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n,) ids as unequally popular as MovieLens' movies: rank r has weight (r + 60)^-1.1."""
    weights = (np.arange(1, MOVIES + 1) + 60.0) ** -1.1
    return rng.choice(MOVIES, n, p=weights / weights.sum()) + 1


def catalogue(rng: np.random.Generator) -> pa.Table:
    """One to four genres a movie; one movie in fifty has no year."""
    genres = [sorted(rng.choice(GENRES, rng.integers(1, 5), replace=False).tolist()) for _ in range(MOVIES)]
    years = rng.integers(1930, 2019, MOVIES)
    return pa.table(
        {
            "movie_id": np.arange(1, MOVIES + 1),
            "title": [f"Film {movie}" for movie in range(1, MOVIES + 1)],
            "genres": pa.array(genres, pa.list_(pa.string())),
            "release_year": pa.array(years, mask=rng.random(MOVIES) < 0.02),
        }
    )


def ratings(rng: np.random.Generator, n: int) -> pa.Table:
    """Sorted by time. Users have log-normally many ratings, in sittings; a third share user and second."""
    users = max(n // RATINGS_A_USER, 10)
    activity = np.exp(1.2 * rng.standard_normal(users))
    # Some too many, as a movie that comes twice in a second is left out.
    drawn = n + n // 20 + 100
    user = np.sort(rng.choice(users, drawn, p=activity / activity.sum()))
    seconds = np.where(rng.random(drawn) < 0.35, 0, rng.exponential(25, drawn).astype(np.int64))
    sitting = rng.random(drawn) < 0.02
    seconds = np.where(sitting, rng.exponential(60 * 86_400, drawn).astype(np.int64), seconds)
    joined = rng.integers(0, SPAN, users)
    opens = np.append(True, user[1:] != user[:-1])
    elapsed = np.cumsum(seconds)
    # Who would go on beyond the last day goes on from the first: ratings of the future are no ratings.
    at = (joined[user] + elapsed - elapsed[opens][np.cumsum(opens) - 1]) % SPAN
    movie = choose_movies(rng, drawn)
    pair = np.unique((user * MOVIES + movie - 1) * np.int64(2**40) + at, return_index=True)[1]
    kept = rng.permutation(pair)[:n]
    kept = kept[np.argsort(at[kept], kind="stable")]
    return pa.table(
        {
            "user_id": user[kept] + 1,
            "movie_id": movie[kept],
            "rating": rng.integers(1, 11, n) / 2,
            "event_timestamp": pa.array((at[kept] + int(START.timestamp())) * 1_000_000).cast(INSTANT),
        }
    )


def write_lake(lake: Path, events: pa.Table, movies: pa.Table) -> None:
    """Both as Delta tables with a change data feed; no posters, whose features are not measured."""
    from deltalake import write_deltalake

    for name, table in (("ratings", events), ("movies", movies)):
        write_deltalake(lake / name, table, configuration={"delta.enableChangeDataFeed": "true"})
