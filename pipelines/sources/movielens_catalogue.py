"""MovieLens' catalogues, in each layout. They are small, and read line by line."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from common.errors import MarqueeError
from feature_repo.domains.movies.tables import GENRE_SEPARATOR
from pipelines.sources.delimited import find_columns, split_quoted
from pipelines.sources.lines import Lines
from pipelines.sources.titles import is_year, read_title

NO_GENRES = "(no genres listed)"
GENRES_100K = (
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
"""Order of the 0/1 flags that end a row of `u.item`."""
NO_GENRE = frozenset({"", "unknown", NO_GENRES})
NO_YEAR = frozenset({"", "unknown", "unkonwn"})
"""What stands for a missing year; the misspelt one is RecBole's."""


@dataclass(frozen=True, slots=True)
class MovieRow:
    """One row of a catalogue, as text.

    Args:
        movie_id: its id.
        title: without the year; None where the row lacks it.
        genres: joined by "|"; None where the row lacks them.
        release_year: a year, or what stands in its place and is no number; None where there is none.
        odd: numbers that stand where a year would, but are none.
    """

    movie_id: str
    title: str | None
    genres: str | None
    release_year: str | None
    odd: tuple[str, ...] = ()


Reader = Callable[[Path, Iterator[tuple[int, str]]], Iterator[tuple[int, str, MovieRow]]]
"""Reads a catalogue's numbered lines: line number, line, movie."""


def read_catalogue(
    path: Path, lines: Lines, reader: Reader
) -> tuple[list[tuple[int, str, MovieRow]], tuple[str, ...]]:
    """The movies of a catalogue with their lines, and sentences on what was left out.

    Args:
        path: of the file that has the lines.

    Raises:
        MarqueeError: the file cannot be read, or has another header.
    """
    movies = list(reader(path, lines.numbered()))
    odd = Counter(number for _, _, movie in movies for number in movie.odd)
    if not odd:
        return movies, ()
    shown = ", ".join(list(odd)[:3])
    note = (
        f"{path}: a number stands where the year would, but is none, in {odd.total():,} "
        f"{'title' if odd.total() == 1 else 'titles'} ({shown}); these movies have no year."
    )
    return movies, (note,)


def wrong_header(path: Path, expected: str, found: str) -> MarqueeError:
    """The sentence for a file whose first line is not what it should be."""
    shown = found if len(found) <= 120 else found[:117] + "..."
    return MarqueeError(f"{path}, line 1: expected the header {expected!r}, found {shown!r}.")


def join_genres(genres: list[str]) -> str:
    """Genres joined by "|"; what only says that none is known is left out."""
    stripped = (genre.strip() for genre in genres)
    return GENRE_SEPARATOR.join(genre for genre in stripped if genre not in NO_GENRE)


def csv_movies(path: Path, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str, MovieRow]]:
    """`movies.csv`: `movieId,title,genres`, in any order, and columns that are left alone."""
    header = next(lines)[1]
    names = [name.strip() for name in split_quoted(header)]
    wanted = {"movieId": (), "title": (), "genres": ()}
    places, _, why = find_columns(names, wanted)
    if why:
        raise wrong_header(path, ",".join(wanted), header)
    for number, line in lines:
        # One line at a time: a quote that is never closed spoils its own row only.
        fields = split_quoted(line)
        if len(fields) != len(names):
            yield number, line, _unreadable(line)
        else:
            yield number, line, _titled(*(fields[places[name]] for name in wanted))


def dat_movies(_: Path, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str, MovieRow]]:
    """`movies.dat`: `id::title::genres`."""
    for number, line in lines:
        fields = line.split("::")
        # A title may hold the separator; ids and genres do not.
        good = len(fields) >= 3
        titled = _titled(fields[0], "::".join(fields[1:-1]), fields[-1]) if good else _unreadable(line)
        yield number, line, titled


def item_movies(_: Path, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str, MovieRow]]:
    """`u.item`: `id|title|released|video|url|` and a flag for each genre."""
    for number, line in lines:
        fields = line.split("|")
        flags = fields[5:]
        if len(flags) != len(GENRES_100K) or not set(flags) <= {"0", "1"}:
            yield number, line, _unreadable(line)
            continue
        movie_id, titled, released = fields[:3]
        title = read_title(titled)
        year, odd = title.year, title.odd
        if year is None and (found := re.search(r"\b[0-9]{4}$", released.strip())):
            year, odd = (found[0], ()) if is_year(int(found[0])) else (None, (*odd, found[0]))
        genres = [genre for genre, flag in zip(GENRES_100K, flags, strict=True) if flag == "1"]
        yield number, line, MovieRow(movie_id, title.title, join_genres(genres), year, odd)


def atomic_movies(path: Path, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str, MovieRow]]:
    """RecBole's `*.item`: columns by name and type, separated by tabs."""
    header = next(lines)[1]
    expected = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"
    names = atomic_names(path, header, expected)

    def position(*candidates: str) -> int | None:
        return next((names.index(name) for name in candidates if name in names), None)

    id_at, title_at = position("item_id"), position("movie_title", "title")
    genres_at, year_at = position("class", "genre", "genres"), position("release_year", "year")
    if id_at is None or title_at is None or genres_at is None:
        raise wrong_header(path, expected, header)
    for number, line in lines:
        fields = line.split("\t")
        if len(fields) != len(names):
            yield number, line, _unreadable(line)
            continue
        title = read_title(fields[title_at])
        year, odd = _year_of("" if year_at is None else fields[year_at].strip())
        if year is None:
            # Some rows have the year in the title and something else ("V", for video) in its column.
            year, odd = title.year, (*title.odd, *odd)
        elif not (year.isascii() and year.isdigit()):
            year, odd = title.year or year, title.odd
        genres = fields[genres_at].replace(NO_GENRES, "").split(" ")
        yield (
            number,
            line,
            MovieRow(fields[id_at], title.title, join_genres(genres), year, () if year else odd),
        )


def atomic_names(path: Path, line: str, expected: str) -> list[str]:
    """Names of a RecBole header such as `user_id:token<TAB>item_id:token`, without their types."""
    fields = [field.strip().split(":") for field in line.split("\t")]
    if any(len(field) != 2 or not all(field) for field in fields):
        raise wrong_header(path, expected, line)
    return [name for name, _ in fields]


def _year_of(text: str) -> tuple[str | None, tuple[str, ...]]:
    """A year as a column has it, such as "1995.0", and a number that is none."""
    if text in NO_YEAR:
        return None, ()
    whole = re.fullmatch(r"(-?[0-9]{1,20})(?:[.]0*)?", text)
    if whole is None:
        number = re.fullmatch(r"[-+]?[0-9]*[.]?[0-9]+(?:[eE][-+]?[0-9]+)?", text)
        return (None, (text,)) if number else (text, ())
    return (whole[1], ()) if is_year(int(whole[1])) else (None, (text,))


def _titled(movie_id: str, titled: str, genres: str) -> MovieRow:
    title = read_title(titled)
    return MovieRow(movie_id, title.title, join_genres(genres.split("|")), title.year, title.odd)


def _unreadable(line: str) -> MovieRow:
    """A row that cannot be split into its fields: its id is no number, so it goes to the quarantine whole."""
    return MovieRow(line, None, None, None)
