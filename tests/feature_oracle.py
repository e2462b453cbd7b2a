"""What every feature is at every label, by one loop over the events in time."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from feature_repo.define.column import EVENT_TIMESTAMP
from feature_repo.define.domain import Domain
from feature_repo.domains.movies import DOMAIN
from feature_repo.domains.movies.tables import MOVIES, POSTERS, RATINGS, USERS
from validation.audit.oracle import Known, Row, Tables, events_by_key, known_from


def known_at_labels(domain: Domain, tables: Tables) -> list[dict[str, Any]]:
    """Each event of a domain in the order of time, with all features from strictly earlier events: None where
    nothing is known."""
    arrivals = defaultdict(list)
    known: dict[tuple[str, Any], Known] = {}
    for view in domain.views:
        for key, events in events_by_key(view, tables).items():
            known[view.name, key] = Known(view)
            for instant, together in groupby(events, key=lambda event, view=view: known_from(view, event)):
                arrivals[instant].append((view.name, key, list(together)))
    values = {(view.name, None): dict.fromkeys(c.name for c in view.columns) for view in domain.views}
    instants, place = sorted(arrivals), 0
    rows = []
    for event in sorted(tables[domain.events.name], key=lambda event: event[EVENT_TIMESTAMP]):
        while place < len(instants) and instants[place] <= event[EVENT_TIMESTAMP]:
            for name, key, together in arrivals[instants[place]]:
                for earlier in together:
                    known[name, key].take_in(earlier)
                values[name, key] = known[name, key].values()
            place += 1
        row = dict(event)
        for view in domain.views:
            row |= values.get((view.name, event[view.by.name]), values[view.name, None])
        rows.append(row)
    return rows


# --- movies -----------------------------------------------------------------------------------------------


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


def movie_tables(
    ratings: Iterable[Rating],
    movies: Mapping[int, Movie],
    posters: Mapping[int, Mapping[str, float]],
    calendar: Callable[[int], datetime],
    users: Iterable[Row] = (),
) -> dict[str, list[Row]]:
    """Ratings and catalogues as rows of the lake's tables, in the columns that features are computed from.

    Args:
        posters: by movie and statistic.
        calendar: from an instant in the ratings' unit to the time that it is.
        users: rows of their table.
    """
    return {
        RATINGS.name: [
            {"user_id": r.user, "movie_id": r.movie, "rating": r.stars, EVENT_TIMESTAMP: calendar(r.instant)}
            for r in ratings
        ],
        MOVIES.name: [
            {"movie_id": movie, "genres": told.genres, "release_year": told.year}
            for movie, told in movies.items()
        ],
        POSTERS.name: [{"movie_id": movie, **values} for movie, values in posters.items()],
        USERS.name: list(users),
    }


def features_at_labels(
    ratings: Iterable[Rating],
    movies: Mapping[int, Movie],
    posters: Mapping[int, Mapping[str, float]],
    calendar: Callable[[int], datetime],
) -> dict[tuple[int, int, int], dict[str, Any]]:
    """The features of each (user, movie, instant), from strictly earlier events only; the arguments are those
    of `movie_tables`."""
    in_time = sorted(ratings, key=lambda rating: rating.instant)
    rows = known_at_labels(DOMAIN, movie_tables(in_time, movies, posters, calendar))
    return {
        (rating.user, rating.movie, rating.instant): row for rating, row in zip(in_time, rows, strict=True)
    }
