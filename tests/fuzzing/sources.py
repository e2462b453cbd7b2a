"""Folders of ratings and a catalogue in each layout of MovieLens, as `pipeline ingest` reads them."""

from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from common.errors import MarqueeError
from feature_repo.domains.movies import DOMAIN
from pipelines.ingest import add, ingest
from pipelines.sources import lines
from pipelines.sources.movielens import read_movielens
from pipelines.sources.movielens_catalogue import GENRES_100K
from pipelines.sources.source import Source
from tests.fuzzing.damage import damaged
from tests.fuzzing.judged import Judged, judged
from tests.fuzzing.meaning import ROLES, whole
from tests.fuzzing.pushed import GOOD, UNKNOWN, Expected, check_ratings, compare, lines_left, meanings
from tests.fuzzing.sheets import Line, Sheet, change, encoded
from tests.raw_rows import no_spark

MOVIES = {
    1: ("Alien", ["Action", "War"], 1979),
    2: ("Brazil", ["Comedy", "Drama"], 1985),
    3: ("Ça ira", [], None),
    4: ("Dune", ["Action", "Drama"], 1984),
    5: ("American President, The", ["Drama"], 1995),
}


class Layout(NamedTuple):
    """How a folder is laid out: names of the files, separators, and whether fields may be quoted."""

    ratings: str
    movies: str
    separator: str
    between_movies: str
    header: list[str] | None
    movies_header: list[str] | None
    quotes: bool = False


LAYOUTS = (
    Layout("ratings.csv", "movies.csv", ",", ",", ["userId", "movieId", "rating", "timestamp"],
           ["movieId", "title", "genres"], quotes=True),
    Layout("ratings.dat", "movies.dat", "::", "::", None, None),
    Layout("u.data", "u.item", "\t", "|", None, None),
    Layout("x.inter", "x.item", "\t", "\t",
           ["user_id:token", "item_id:token", "rating:float", "timestamp:float"],
           ["item_id:token", "movie_title:token_seq", "release_year:token", "class:token_seq"]),
)  # fmt: skip


def sources(random: Random, folder: Path) -> str:
    """One folder, judged; one in twenty becomes a lake, or is added to one."""
    layout = random.choice((LAYOUTS[0], *LAYOUTS))
    ratings, movies = ratings_of(layout), movies_of(layout)
    for sheet in random.choice(((ratings,), (movies,), (ratings, movies))):
        change(random, sheet)
        if layout.ratings == "x.inter":
            sheet.names = sheet.names and [name if ":" in name else f"{name}:token" for name in sheet.names]
            sheet.must = sheet.must and all(name.split(":")[0].strip() for name in sheet.names or ())
            # Its catalogue has names by the letter.
            sheet.must = sheet.must and (
                sheet is ratings or {*(layout.movies_header or ())} <= {*(sheet.names or ())}
            )
    if random.random() < 0.02:  # so that what is damaged lies far below
        ratings.lines += [Line(None, " " * 10_000)] * 500
    rated, must = _write(random, folder / layout.ratings, ratings)
    listed, also = _write(random, folder / layout.movies, movies)
    first = random.choice((None, None, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "CHUNK", 1 << random.choice((22, 22, 20)))
        try:
            source = read_movielens(folder, first_movies=first)
        except MarqueeError:
            assert not (must and also), "a folder that can be read was refused"
            raise
        found = judged(source.tables)
    check_ratings(found["ratings"])
    if listed is not None:
        _compare_movies(found["movies"], listed, first)
    if rated is not None:
        asked = _asked(rated, first)
        assert found["ratings"].read == len(asked) or first is not None
        compare(found["ratings"], asked, {row["movie_id"] for row in found["movies"].good})
    if random.random() < 0.05:
        _take_in(random, folder, source, found)
    return "judged" if rated is None or listed is None else "compared"


def ratings_of(layout: Layout) -> Sheet:
    """Good ratings in a layout."""
    below = [Line([str(value) for value in row]) for row in GOOD]
    names = layout.header and [*layout.header]
    return Sheet([*ROLES], names, below, layout.separator, layout.quotes)


def movies_of(layout: Layout) -> Sheet:
    """A good catalogue in a layout; its roles are the places of its fields."""
    below = [Line(_fields(layout, movie)) for movie in MOVIES]
    names = layout.movies_header and [*layout.movies_header]
    roles: list[str | None] = [str(at) for at in range(len(below[0].cells or []))]
    return Sheet(roles, names, below, layout.between_movies, layout.quotes)


def _fields(layout: Layout, movie: int) -> list[str]:
    title, genres, year = MOVIES[movie]
    titled = f"{title} ({year})" if year else title
    if layout.movies == "u.item":
        return [str(movie), titled, "", "", "", *("1" if genre in genres else "0" for genre in GENRES_100K)]
    if layout.movies == "x.item":
        return [str(movie), title, str(year or "unkonwn"), " ".join(genres)]
    return [str(movie), titled, "|".join(genres) or "(no genres listed)"]


def _write(random: Random, file: Path, sheet: Sheet) -> tuple[Expected | None, bool]:
    """Write a sheet; what its rows mean as ratings, where that can be said, and whether it must be read."""
    whole_file = encoded(random, sheet)
    meant = meanings(sheet) if file.name in [layout.ratings for layout in LAYOUTS] else _listed(sheet)
    if random.random() < 0.25:
        file.write_bytes(data := damaged(random, whole_file))
        is_text = whole_file.isascii() and data.isascii()
        return lines_left(sheet, meant, whole_file, data) if is_text else None, False
    file.write_bytes(whole_file)
    first = sheet.numbered()[:1]
    can_begin = bool(first) and (sheet.names is not None or len(first[0][1].cells or []) >= len(sheet.roles))
    return meant if sheet.known else None, sheet.must and sheet.known and can_begin


def _listed(sheet: Sheet) -> Expected:
    """The movies of the lines of a catalogue that are as they were, `UNKNOWN` in place of others."""
    found: Expected = {}
    for number, line in sheet.numbered():
        values = sheet.values(line)
        movie = whole((values or {}).get("0", ""))
        same = movie in MOVIES and any(
            values == {str(at): cell for at, cell in enumerate(_fields(layout, movie))} for layout in LAYOUTS
        )
        found[number] = (movie, *MOVIES[movie]) if same and movie is not None else UNKNOWN
    return found


def _compare_movies(found: Judged, expected: Expected, first: int | None) -> None:
    good, twins = found.by_row(), found.twins()
    for number, meant in expected.items():
        row = good.pop(number, None)
        if meant is UNKNOWN or number in twins or (first is not None and meant[0] > first):
            continue
        names = ("movie_id", "title", "genres", "release_year")
        assert row is not None, f"movie {meant} was refused"
        values = tuple(row[name] for name in names)
        assert values == meant, f"row {number} is {values}, not {meant}"
    assert not good, f"movies that are not in the file: {good}"


def _asked(rated: Expected, first: int | None) -> Expected:
    """Without the ratings of movies that were not asked for."""
    if first is None:
        return rated
    return {
        number: meant
        for number, meant in rated.items()
        if meant is UNKNOWN or meant is None or meant.movie_id <= first
    }


def _take_in(random: Random, folder: Path, source: Source, found: dict[str, Judged]) -> None:
    """Into a lake; rows are counted as they were judged."""
    lake = folder / "lake"
    report = ingest(no_spark, source, lake, DOMAIN)
    again = random.random() < 0.5
    for name, table in (add(no_spark, source, lake, DOMAIN) if again else report).tables.items():
        if name in found:
            assert table.read == found[name].read
            assert table.read == table.accepted + table.known + table.changed + table.quarantined
            assert table.quarantined == len(found[name].bad)
