"""What every feature is at every label, by one loop over the events in time: slow, obvious, and shares no
code with the pipelines.

All arithmetic is in integers (half stars, years, 256ths of a colour level) until the last division.
"""

import math
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple


class Rating(NamedTuple):
    """One event; `instant` in any unit that orders."""

    user: int
    movie: int
    stars: float
    instant: int


class Movie(NamedTuple):
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
    ratings: Sums = field(default_factory=Sums)
    years: Sums = field(default_factory=Sums)
    genres: Counter[str] = field(default_factory=Counter)
    likes: deque[int] = field(default_factory=lambda: deque(maxlen=5))
    posters: dict[str, Sums] = field(default_factory=lambda: defaultdict(Sums))


def features_at_labels(
    ratings: Iterable[Rating],
    movies: Mapping[int, Movie],
    posters: Mapping[int, Mapping[str, float]],
) -> dict[tuple[int, int, int], dict[str, Any]]:
    """The features of each (user, movie, instant), from strictly earlier events only."""
    users: dict[int, User] = defaultdict(User)
    rated: dict[int, Sums] = defaultdict(Sums)
    found = {}
    in_time = sorted(ratings, key=lambda rating: (rating.instant, rating.user, rating.movie))
    for _, at_once in groupby(in_time, key=lambda rating: rating.instant):
        together = list(at_once)
        for rating in together:
            found[rating.user, rating.movie, rating.instant] = snapshot(
                users[rating.user], rated[rating.movie], rating.movie, movies, posters
            )
        for rating in together:
            take_in(users[rating.user], rated[rating.movie], rating, movies, posters)
    return found


def take_in(
    user: User,
    movie_ratings: Sums,
    rating: Rating,
    movies: Mapping[int, Movie],
    posters: Mapping[int, Mapping[str, float]],
) -> None:
    movie = movies[rating.movie]
    movie_ratings.add(int(rating.stars * 2))
    user.ratings.add(int(rating.stars * 2))
    if movie.year is not None:
        user.years.add(movie.year)
    if rating.stars >= 3.5:
        user.likes.appendleft(rating.movie)
        user.genres.update(movie.genres)
    for name, value in posters.get(rating.movie, {}).items():
        user.posters[name].add(int(value * 256))


def snapshot(
    user: User,
    movie_ratings: Sums,
    movie_id: int,
    movies: Mapping[int, Movie],
    posters: Mapping[int, Mapping[str, float]],
) -> dict[str, Any]:
    movie = movies[movie_id]
    row: dict[str, Any] = {
        "movie_rating_count": movie_ratings.n or None,
        "movie_rating_mean": movie_ratings.mean(0.5),
        "movie_rating_std": movie_ratings.std(0.5),
        "movie_genres": movie.genres,
        "movie_release_year": movie.year,
        "user_rating_count": user.ratings.n or None,
        "user_rating_mean": user.ratings.mean(0.5),
        "user_rating_std": user.ratings.std(0.5),
        "user_release_year_mean": user.years.mean(1),
        "user_release_year_std": user.years.std(1),
        "user_top_genres": None,
        "user_recent_liked_movie_ids": None,
        "user_recent_liked_genres": None,
        "user_poster_count": None,
    }
    if user.ratings.n:
        frequent = sorted(user.genres, key=lambda genre: (-user.genres[genre], genre))
        row["user_top_genres"] = [*frequent, "", "", ""][:3]
    if user.likes:
        row["user_recent_liked_movie_ids"] = (list(user.likes) + [0] * 5)[:5]
        genres = ["|".join(movies[liked].genres) for liked in user.likes]
        row["user_recent_liked_genres"] = (genres + [""] * 5)[:5]
    for name, value in posters.get(movie_id, {}).items():
        row[f"movie_poster_{name}"] = value
    for name, sums in user.posters.items():
        row["user_poster_count"] = sums.n
        row[f"user_poster_{name}_mean"] = sums.mean(1 / 256)
        row[f"user_poster_{name}_std"] = sums.std(1 / 256)
    return row
