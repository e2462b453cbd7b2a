"""What a home should hold, as plain lists and dictionaries: what the machine holds the product to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from feature_repo.define.column import EVENT_TIMESTAMP
from feature_repo.define.domain import Domain
from feature_repo.define.view import View
from validation.audit.oracle import events_by_key, feature_rows, features_at

START = datetime(2020, 1, 1, tzinfo=UTC)
Row = dict[str, Any]


class Rating(NamedTuple):
    """A line of a file of ratings, good or bad; `second` counts from `START`."""

    user: int
    movie: int
    stars: float
    second: int

    @property
    def line(self) -> str:
        """As it stands in a file."""
        at = int(START.timestamp()) + self.second
        return f"{self.user},{self.movie},{self.stars},{at}"

    @property
    def is_possible(self) -> bool:
        """Whether it breaks no rule by itself."""
        return self.user > 0 and 0.5 <= self.stars <= 5 and self.stars * 2 == int(self.stars * 2)


class Film(NamedTuple):
    """A line of a catalogue."""

    title: str
    genres: tuple[str, ...]
    year: int | None

    def line(self, movie: int) -> str:
        """As it stands in a file."""
        year = f" ({self.year})" if self.year else ""
        return f'{movie},"{self.title}{year}",{"|".join(self.genres) or "(no genres listed)"}'


@dataclass(frozen=True, eq=False)
class Lake:
    """The clean tables; not changed, but replaced.

    Args:
        events: stars by user, movie and second.
        films: by id.
        posters: rows of the table of posters, by movie.
    """

    events: Mapping[tuple[int, int, int], float]
    films: Mapping[int, Film]
    posters: Mapping[int, Row]
    _rows: dict[View, list[Row]] = field(default_factory=dict)

    @property
    def tables(self) -> dict[str, list[Row]]:
        """As rows, in the columns that features are computed from."""
        return {
            "ratings": [
                {"user_id": user, "movie_id": movie, "rating": stars, EVENT_TIMESTAMP: instant(second)}
                for (user, movie, second), stars in self.events.items()
            ],
            "movies": [
                {
                    "movie_id": movie,
                    "title": film.title,
                    "genres": sorted(film.genres),
                    "release_year": film.year,
                }
                for movie, film in self.films.items()
            ],
            "posters": list(self.posters.values()),
            "users": [],  # the steps' sources tell nothing of them
        }

    def rows(self, view: View) -> list[Row]:
        """The rows that a view should have, by the plain loop; looked up the second time."""
        if view not in self._rows:
            self._rows[view] = feature_rows(view, self.tables)
        return self._rows[view]

    def newest(self, view: View) -> dict[int, Row]:
        """By key, the row that should be online."""
        return {row[view.by.name]: row for row in self.rows(view)}

    def at(self, view: View, key: int, moment: datetime) -> Row | None:
        """A key's features at an instant, by the plain loop; None where nothing is known."""
        return features_at(view, events_by_key(view, self.tables).get(key, []), moment)


def instant(second: float) -> datetime:
    return START + timedelta(seconds=second)


@dataclass(frozen=True)
class Taken:
    """What became of the lines of a file."""

    accepted: int
    known: int
    quarantined: int


def take_in(lake: Lake, lines: Iterable[Rating]) -> tuple[Lake, Taken]:
    """Add ratings: the first of those with the same user, movie and second counts; what the lake has with
    other stars, or of a movie that is not in the catalogue, does not."""
    events, seen = dict(lake.events), set()
    accepted = known = quarantined = 0
    for line in lines:
        name = (line.user, line.movie, line.second)
        good = line.is_possible and name not in seen
        if line.is_possible:
            seen.add(name)
        if not good or line.movie not in lake.films or lake.events.get(name, line.stars) != line.stars:
            quarantined += 1
        elif name in lake.events:
            known += 1
        else:
            events[name] = line.stars
            accepted += 1
    return replace(lake, events=events, _rows={}), Taken(accepted, known, quarantined)


@dataclass
class Model:
    """What should be where.

    Args:
        domain: the declarations of the code that runs.
        lake: the clean tables.
        computed: by view, the lake that its table's rows follow from.
        online: by view, the lake that its online rows follow from; None where some were lost, or where a
            command was killed, so that nothing is known until they are brought online again.
    """

    domain: Domain
    lake: Lake
    computed: dict[str, Lake]
    online: dict[str, Lake | None]

    def compute(self, names: Iterable[str]) -> None:
        """These views' tables were brought up to date."""
        for name in names:
            self.computed[name] = self.lake

    def send(self, names: Iterable[str]) -> None:
        """These views' newest rows were brought online."""
        for name in names:
            self.online[name] = self.computed[name]

    def lose_online(self) -> None:
        """Nothing is known of what is online."""
        self.online = dict.fromkeys(self.online)
