"""What every feature is at every label, by one loop over the events in time."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from feature_repo.schema import RATING_STEP
from validation.audit.movie_oracle import (
    Calendar,
    Movie,
    Movies,
    Posters,
    Rating,
    Sums,
    User,
    snapshot,
    take_in_of_user,
)

__all__ = ["Movie", "Rating", "features_at_labels"]


def features_at_labels(
    ratings: Iterable[Rating], movies: Movies, posters: Posters, calendar: Calendar
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
                users[rating.user], rated[rating.movie], rating.movie, movies, posters, calendar
            )
        for rating in together:
            take_in_of_user(users[rating.user], rating, movies, posters)
            rated[rating.movie].add(round(rating.stars / RATING_STEP))
    return found
