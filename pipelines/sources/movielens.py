"""MovieLens, in every layout that GroupLens and RecBole publish."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from common.errors import MarqueeError
from feature_repo.domains.movies.tables import GENRE_SEPARATOR, MOVIES, POSTERS, RATINGS, USERS
from pipelines.sources.delimited import fields, find_columns, split_quoted, surplus
from pipelines.sources.lines import ENCODING, GUESSED, first_lines, line_rows, read_lines
from pipelines.sources.movielens_catalogue import (
    Reader,
    atomic_movies,
    atomic_names,
    csv_movies,
    dat_movies,
    item_movies,
    read_catalogue,
    wrong_header,
)
from pipelines.sources.movielens_users import (
    ATOMIC_USERS,
    DAT_USERS,
    ITEM_USERS,
    UsersLayout,
    user_places,
    users_of,
)
from pipelines.sources.posters import posters_of
from pipelines.sources.readings import instant, number, text, whole_number, words
from pipelines.sources.source import Raw, Source, rows_of

UNDERSTOOD = (
    "ratings.csv + movies.csv (ml-latest, 20M, 25M, 32M), ratings.dat + movies.dat (1M, 10M), "
    "u.data + u.item (100K), *.inter + *.item (RecBole)"
)
PICTURES = (".jpg", ".jpeg", ".png")

RATING_FIELDS = ("user_id", "movie_id", "rating", "timestamp")
RATING_COLUMNS = {"user_id": (), "movie_id": ("item_id",), "rating": (), "timestamp": ()}
"""The fields of a rating, and what else files call them."""
RATING_READINGS = (
    whole_number("user_id"),
    whole_number("movie_id"),
    number("rating"),
    instant("event_timestamp", "timestamp"),
)
MOVIE_READINGS = (
    whole_number("movie_id"),
    text("title"),
    words("genres", separator=GENRE_SEPARATOR),
    whole_number("release_year"),
)


# --- the layouts ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Layout:
    """How one family of releases is laid out.

    Args:
        ratings, movies: file names, or patterns.
        separator: between the fields of a rating.
        rating_names: reads the columns of the ratings off the header line, in the file's order; None where
            there is no header.
        movies_reader: reads the catalogue.
        users: how a file of users is laid out, which may lie beside the ratings; None where there is never
            one.
    """

    ratings: str
    movies: str
    separator: str
    rating_names: Callable[[Path, str], list[str]] | None
    movies_reader: Reader
    users: UsersLayout | None = None


def _csv_names(_: Path, line: str) -> list[str]:
    return [name.strip() for name in split_quoted(line)]


def _atomic_names(path: Path, line: str) -> list[str]:
    return atomic_names(path, line, "user_id:token\titem_id:token\trating:float\ttimestamp:float")


LAYOUTS = (
    Layout("ratings.csv", "movies.csv", ",", _csv_names, csv_movies),
    Layout("ratings.dat", "movies.dat", "::", None, dat_movies, DAT_USERS),
    Layout("u.data", "u.item", "\t", None, item_movies, ITEM_USERS),
    Layout("*.inter", "*.item", "\t", _atomic_names, atomic_movies, ATOMIC_USERS),
)
EXPECTED = {
    ",": "userId,movieId,rating,timestamp",
    "\t": "user_id:token\titem_id:token\trating:float\ttimestamp:float",
}


# --- reading --------------------------------------------------------------------------------------------


def read_movielens(folder: Path, posters: Path | None = None, first_movies: int | None = None) -> Source:
    """Read a folder in any GroupLens layout, or in RecBole's; which one is seen from the file names.

    The catalogue is read now; ratings, users and pictures when they are asked for.

    Args:
        folder: holds the ratings, the catalogue, and in some layouts the users.
        posters: a folder of pictures named `<movieId>.jpg` (or .jpeg, .png); others are left alone.
        first_movies: keep movies with ids up to this one, and their ratings and posters.

    Raises:
        MarqueeError: a file or folder is missing, empty, or has another header.
    """
    folder = folder.absolute()
    if first_movies is not None and first_movies < 1:
        raise MarqueeError(f"The number of first movies must be at least 1, not {first_movies}.")
    layout, ratings_path, movies_path = check_folder(folder)
    users_path = _users(folder, layout)
    tables = {RATINGS.name: _ratings(ratings_path, layout, first_movies)}
    pictures = ""
    if posters is not None:
        shown = _pictures(posters.absolute(), first_movies)
        tables[POSTERS.name] = posters_of(shown)
        pictures = f", {len(shown):,} posters of {posters}"
    tables[MOVIES.name], notes = _movies(movies_path, layout, first_movies)
    if users_path is not None and layout.users is not None:
        tables[USERS.name] = users_of(users_path, layout.users)
    files = [path.name for path in (ratings_path, movies_path, users_path) if path is not None]
    read = f"{', '.join(files[:-1])} and {files[-1]}"
    subset = "" if first_movies is None else f", movies 1 to {first_movies}"
    return Source(
        name="movielens",
        description=f"MovieLens: {read} of {folder}{subset}{pictures}",
        tables=tables,
        notes=notes,
    )


def check_folder(folder: Path) -> tuple[Layout, Path, Path]:
    """The layout of a folder, its ratings and its catalogue: what can be seen without reading it all.

    Raises:
        MarqueeError: a file or the folder is missing or empty, or the ratings have another header.
    """
    layout, ratings, movies = _find(folder)
    users = _users(folder, layout)
    paths = [path for path in (ratings, movies, users) if path is not None]
    for path in paths:
        if not first_lines(path, 1):
            raise MarqueeError(f"{path} is empty; it should hold MovieLens data.")
    # First of all the header: where it is missing, a single line is a row.
    _rating_places(ratings, layout)
    if users is not None and layout.users is not None:
        user_places(users, layout.users)
    for path in paths:
        if layout.rating_names is not None and len(first_lines(path, 2)) == 1:
            raise MarqueeError(f"{path} has a first line and no rows below it; a header and rows are needed.")
    return layout, ratings, movies


def _rating_places(path: Path, layout: Layout) -> tuple[dict[str, int], int]:
    """Where the fields of a rating are in a line, by the file's first one, and how many fields there are."""
    first = first_lines(path, 1)[0][1]
    if layout.rating_names is None:
        if len(first.split(layout.separator)) < len(RATING_FIELDS):
            raise MarqueeError(
                f"{path}, line 1: expected {layout.separator.join(RATING_FIELDS)!r}, found {first[:120]!r}."
            )
        return {name: place for place, name in enumerate(RATING_FIELDS)}, len(RATING_FIELDS)
    names = layout.rating_names(path, first)
    places, _, why = find_columns(names, RATING_COLUMNS)
    if why.startswith("has several"):
        raise MarqueeError(f"{path} {why}.")
    if why:
        raise wrong_header(path, EXPECTED[layout.separator], first)
    return places, len(names)


def _find(folder: Path) -> tuple[Layout, Path, Path]:
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise MarqueeError(f"The folder {folder} {what}; give one that holds {UNDERSTOOD}.")
    for layout in LAYOUTS:
        ratings, movies = _matches(folder, layout.ratings), _matches(folder, layout.movies)
        if ratings and movies:
            if len(ratings) > 1 or len(movies) > 1:
                names = ", ".join(path.name for path in ratings + movies)
                raise MarqueeError(
                    f"{folder} holds several data sets ({names}); give a folder with one {layout.ratings} "
                    f"and one {layout.movies}."
                )
            return layout, ratings[0], movies[0]
        if ratings or movies:
            there, lacking = (ratings, layout.movies) if ratings else (movies, layout.ratings)
            raise MarqueeError(f"{folder} has {there[0].name} but no {lacking}; both are needed.")
    inner = [path for path in sorted(folder.iterdir()) if path.is_dir() and _holds_layout(path)]
    if inner:
        raise MarqueeError(f"There are no ratings in {folder} itself; did you mean {inner[0]}?")
    entries = sorted(path.name for path in folder.iterdir())
    found = ", ".join(entries[:8]) + (f" and {len(entries) - 8} more" if len(entries) > 8 else "")
    raise MarqueeError(f"{folder} holds none of {UNDERSTOOD}; found {found or 'nothing'}.")


def _users(folder: Path, layout: Layout) -> Path | None:
    """The file of users beside the ratings; None where there is none.

    Raises:
        MarqueeError: there are several.
    """
    found = [] if layout.users is None else _matches(folder, layout.users.files)
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise MarqueeError(f"{folder} holds several files of users ({names}); leave one, or none, there.")
    return found[0] if found else None


def _matches(folder: Path, pattern: str) -> list[Path]:
    found = [*folder.glob(pattern), *folder.glob(f"{pattern}.gz")]
    return sorted(path for path in found if path.is_file())


def _holds_layout(folder: Path) -> bool:
    return any(_matches(folder, layout.ratings) and _matches(folder, layout.movies) for layout in LAYOUTS)


def _keep(movie_id: str, first_movies: int | None) -> bool:
    """Whether a movie is asked for. What is no number is kept: the quarantine will say so."""
    try:
        return first_movies is None or float(movie_id) <= first_movies
    except ValueError:
        return True


def _movies(path: Path, layout: Layout, first_movies: int | None) -> tuple[Raw, tuple[str, ...]]:
    """The raw catalogue, and sentences on what was left out of it."""
    lines = read_lines(path)
    movies, notes = read_catalogue(path, lines, layout.movies_reader)
    kept = [row for row in movies if _keep(row[2].movie_id, first_movies)]
    columns = {
        "movie_id": [movie.movie_id for _, _, movie in kept],
        "title": [movie.title for _, _, movie in kept],
        "genres": [movie.genres for _, _, movie in kept],
        "release_year": [movie.release_year for _, _, movie in kept],
        "record": [line for _, line, _ in kept],
        "source": [str(path)] * len(kept),
    }
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    numbers = [number for number, _, _ in kept]
    table = table.append_column("row", pa.array(numbers, pa.int64()))
    guessed = [number in lines.guessed for number in numbers]
    table = table.append_column(GUESSED, pa.array(guessed, pa.bool_()))
    return Raw(rows_of(table), MOVIE_READINGS, guesses=(ENCODING,)), notes


def check_posters(folder: Path) -> None:
    """Refuse a folder of posters that is none.

    Raises:
        MarqueeError: it is not there, or is a file.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise MarqueeError(
            f"The posters' folder {folder} {what}; give one of pictures named <movieId>.jpg, or none."
        )


def _pictures(folder: Path, first_movies: int | None) -> list[tuple[str, str]]:
    """Name and path of each picture of a folder that is asked for."""
    check_posters(folder)
    files = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURES and not path.name.startswith(".") and path.is_file()
    )
    if not files:
        raise MarqueeError(f"There are no pictures named <movieId>.jpg in {folder}.")
    return [(path.stem, str(path)) for path in files if _keep(path.stem, first_movies)]


def _ratings(path: Path, layout: Layout, first_movies: int | None) -> Raw:
    """The lines of a file of ratings, and how their fields are read."""
    places, width = _rating_places(path, layout)
    rows = line_rows(path, header=layout.rating_names is not None)
    quoted = layout.separator == ","
    # What is no number is kept, as in the catalogue.
    movie = whole_number("movie_id").value
    return Raw(
        rows,
        RATING_READINGS,
        fields(places, width, layout.separator, quoted),
        surplus(places, width, layout.separator, quoted),
        guesses=(ENCODING,),
        asked="" if first_movies is None else f"({movie}) <= {first_movies}",
    )
