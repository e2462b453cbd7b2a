"""What every feature is, by a loop over events: slow, obvious, and sharing no code with the pipelines.

The audits hold the tables and stores to it. All arithmetic is in integers (half stars, years, fractions of a
colour level) until the last division.
"""

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from feature_repo.schema import (
    GENRE_SEPARATOR,
    LIKED_RATING,
    PADDING_GENRE,
    PADDING_ID,
    POSTER_GRID,
    RATING_STEP,
    RECENT_LIKES,
    TOP_GENRES,
)


class Rating(NamedTuple):
    """One event; `instant` in any unit that orders."""

    user: int
    movie: int
    stars: float
    instant: int


class Movie(NamedTuple):
    """What the catalogue says; genres sorted."""

    genres: list[str]
    year: int | None


@dataclass
class Sums:
    """Exact running count, sum and sum of squares of integers."""

    n: int = 0
    total: int = 0
    squares: int = 0

    def add(self, value: int) -> None:
        self.n += 1
        self.total += value
        self.squares += value * value

    def mean(self, unit: float) -> float | None:
        return self.total / self.n * unit if self.n else None

    def std(self, unit: float) -> float | None:
        if not self.n:
            return None
        return math.sqrt(self.n * self.squares - self.total * self.total) / self.n * unit


@dataclass
class User:
    """What is known of a user."""

    ratings: Sums = field(default_factory=Sums)
    first: int | None = None
    years: Sums = field(default_factory=Sums)
    genres: Counter[str] = field(default_factory=Counter)
    likes: deque[int] = field(default_factory=lambda: deque(maxlen=RECENT_LIKES))
    posters: dict[str, Sums] = field(default_factory=lambda: defaultdict(Sums))


Movies = Mapping[int, Movie]
Posters = Mapping[int, Mapping[str, float]]
"""By movie and statistic."""
Calendar = Callable[[int], datetime]
"""From an instant in the events' unit to the time that it is."""


def since_1970(microseconds: int) -> datetime:
    """The calendar of events that count in microseconds."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def features_at(
    user_id: int,
    movie_id: int,
    instant: int,
    ratings: Iterable[Rating],
    movies: Movies,
    posters: Posters,
    calendar: Calendar = since_1970,
) -> dict[str, Any]:
    """The features of a user and a movie at an instant, from the strictly earlier ones of `ratings`.

    Args:
        ratings: at least all of the user's and all of the movie's; in any order.
    """
    user, rated = User(), Sums()
    earlier = (rating for rating in ratings if rating.instant < instant)
    for rating in sorted(earlier, key=lambda rating: (rating.instant, rating.movie)):
        if rating.user == user_id:
            take_in_of_user(user, rating, movies, posters)
        if rating.movie == movie_id:
            rated.add(round(rating.stars / RATING_STEP))
    return snapshot(user, rated, movie_id, movies, posters, calendar)


def take_in_of_user(user: User, rating: Rating, movies: Movies, posters: Posters) -> None:
    """Learn a rating that the user gave; those of one instant come in the order of their movies' ids."""
    movie = movies[rating.movie]
    user.ratings.add(round(rating.stars / RATING_STEP))
    user.first = rating.instant if user.first is None else min(user.first, rating.instant)
    if movie.year is not None:
        user.years.add(movie.year)
    if rating.stars >= LIKED_RATING:
        user.likes.appendleft(rating.movie)
        user.genres.update(movie.genres)
    for name, value in posters.get(rating.movie, {}).items():
        user.posters[name].add(round(value / POSTER_GRID))


def snapshot(
    user: User, rated: Sums, movie_id: int, movies: Movies, posters: Posters, calendar: Calendar
) -> dict[str, Any]:
    """The features by name; None, or absent, where nothing is known.

    Args:
        rated: the ratings that the movie got.
    """
    movie = movies[movie_id]
    row: dict[str, Any] = {
        "movie_rating_count": rated.n or None,
        "movie_rating_mean": rated.mean(RATING_STEP),
        "movie_rating_std": rated.std(RATING_STEP),
        "movie_genres": movie.genres,
        "movie_release_year": movie.year,
        "user_rating_count": user.ratings.n or None,
        "user_rating_mean": user.ratings.mean(RATING_STEP),
        "user_rating_std": user.ratings.std(RATING_STEP),
        "user_rating_first_at": None if user.first is None else calendar(user.first).replace(microsecond=0),
        "user_release_year_mean": user.years.mean(1),
        "user_release_year_std": user.years.std(1),
        "user_top_genres": None,
        "user_recent_liked_movie_ids": None,
        "user_recent_liked_genres": None,
        "user_poster_count": None,
    }
    if user.ratings.n:
        frequent = sorted(user.genres, key=lambda genre: (-user.genres[genre], genre))
        row["user_top_genres"] = [*frequent, *[PADDING_GENRE] * TOP_GENRES][:TOP_GENRES]
    if user.likes:
        row["user_recent_liked_movie_ids"] = [*user.likes, *[PADDING_ID] * RECENT_LIKES][:RECENT_LIKES]
        genres = [GENRE_SEPARATOR.join(movies[liked].genres) for liked in user.likes]
        row["user_recent_liked_genres"] = [*genres, *[PADDING_GENRE] * RECENT_LIKES][:RECENT_LIKES]
    for name, value in posters.get(movie_id, {}).items():
        row[f"movie_poster_{name}"] = value
    for name, sums in user.posters.items():
        row["user_poster_count"] = sums.n
        row[f"user_poster_{name}_mean"] = sums.mean(POSTER_GRID)
        row[f"user_poster_{name}_std"] = sums.std(POSTER_GRID)
    return row


def same(got: Any, want: Any) -> bool:
    """Whether a value is what it should be: numbers with a fraction to `TOLERANCE`, all else exactly."""
    if isinstance(want, float) and isinstance(got, float):
        return math.isclose(got, want, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(got == want)


TOLERANCE = 1e-8
"""Deviations come out of a difference of two large sums: float64 does not give them to the last bit."""
