"""MovieLens, in every layout that GroupLens and RecBole publish.

Ratings are read by Spark, one line a row, and never pass through the driver. Catalogues are small and are
read here with Python's `csv`.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from common.errors import MarqueeError
from feature_repo.schema import GENRE_SEPARATOR
from pipelines.sources.source import Source

UNDERSTOOD = (
    "ratings.csv + movies.csv (ml-latest, 20M, 25M, 32M), ratings.dat + movies.dat (1M, 10M), "
    "u.data + u.item (100K), *.inter + *.item (RecBole)"
)
PICTURES = (".jpg", ".jpeg", ".png")

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

RATING_FIELDS = ("user_id", "movie_id", "rating", "timestamp")
LINE_IN_PARTITION = (1 << 33) - 1
"""`monotonically_increasing_id` has the partition above these bits, and within them the row in it."""

# A year, or a span of years of which the first counts: (1995), (2007-), (1975-1979), (1995) (V).
_YEAR_AT_END = re.compile(
    r"^(?P<title>.*\S)\s*\((?P<year>\d{4})(?:\s*[-\u2013]\s*(?:\d{4})?)?\)(?:\s*\((?:V|TV)\))?$"
)


@dataclass(frozen=True, slots=True)
class MovieRow:
    """One row of a catalogue, as text. `genres` are joined by "|"; None is a field that the row lacks."""

    movie_id: str
    title: str | None
    genres: str | None
    release_year: str | None


def split_title(text: str) -> tuple[str, str | None]:
    """Title and year of "Toy Story (1995)": ("Toy Story", "1995"); year None where there is none."""
    text = text.strip()
    found = _YEAR_AT_END.match(text)
    return (found["title"], found["year"]) if found else (text, None)


def join_genres(genres: list[str]) -> str:
    """Genres joined by "|"; what only says that none is known is left out."""
    stripped = (genre.strip() for genre in genres)
    return GENRE_SEPARATOR.join(genre for genre in stripped if genre not in NO_GENRE)


# --- the layouts ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Layout:
    """How one family of releases is laid out.

    Args:
        ratings, movies: file names, or patterns.
        separator: between the fields of a rating.
        rating_columns: reads the names of a rating's fields off the header line, in the file's order; None
            where there is no header.
        movies_reader: reads the catalogue: line number, line, movie.
    """

    ratings: str
    movies: str
    separator: str
    rating_columns: Callable[[Path, str], list[str]] | None
    movies_reader: Callable[[Path], Iterator[tuple[int, str, MovieRow]]]


def _wrong_header(path: Path, expected: str, found: str) -> MarqueeError:
    shown = found if len(found) <= 120 else found[:117] + "..."
    return MarqueeError(f"{path}, line 1: expected the header {expected!r}, found {shown!r}.")


def _csv_header(path: Path, line: str, expected: list[str]) -> None:
    if [name.strip() for name in next(csv.reader([line]), [])] != expected:
        raise _wrong_header(path, ",".join(expected), line)


def _csv_rating_columns(path: Path, line: str) -> list[str]:
    _csv_header(path, line, ["userId", "movieId", "rating", "timestamp"])
    return list(RATING_FIELDS)


def _atomic_header(path: Path, line: str, expected: str) -> list[str]:
    """Names of a RecBole header such as `user_id:token<TAB>item_id:token`, without their types."""
    fields = [field.strip().split(":") for field in line.split("\t")]
    if any(len(field) != 2 or not all(field) for field in fields):
        raise _wrong_header(path, expected, line)
    return [name for name, _ in fields]


def _atomic_rating_columns(path: Path, line: str) -> list[str]:
    expected = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    names = ["movie_id" if name == "item_id" else name for name in _atomic_header(path, line, expected)]
    if not set(RATING_FIELDS) <= set(names):
        raise _wrong_header(path, expected, line)
    return names


def _unreadable(line: str) -> MovieRow:
    """A row that cannot be split into its fields: its id is no number, so it goes to the quarantine whole."""
    return MovieRow(line, None, None, None)


def _csv_movies(path: Path) -> Iterator[tuple[int, str, MovieRow]]:
    lines = _lines(path)
    _csv_header(path, next(lines)[1], ["movieId", "title", "genres"])
    for number, line in lines:
        # One line at a time: a quote that is never closed spoils its own row only.
        fields = next(csv.reader([line]), [])
        yield number, line, _titled(*fields) if len(fields) == 3 else _unreadable(line)


def _dat_movies(path: Path) -> Iterator[tuple[int, str, MovieRow]]:
    for number, line in _lines(path):
        fields = line.split("::")
        # A title may hold the separator; ids and genres do not.
        good = len(fields) >= 3
        yield (
            number,
            line,
            _titled(fields[0], "::".join(fields[1:-1]), fields[-1]) if good else _unreadable(line),
        )


def _titled(movie_id: str, titled: str, genres: str) -> MovieRow:
    title, year = split_title(titled)
    return MovieRow(movie_id, title, join_genres(genres.split("|")), year)


def _item_movies(path: Path) -> Iterator[tuple[int, str, MovieRow]]:
    for number, line in _lines(path):
        fields = line.split("|")
        flags = fields[5:]
        if len(flags) != len(GENRES_100K) or not set(flags) <= {"0", "1"}:
            yield number, line, _unreadable(line)
            continue
        movie_id, titled, released = fields[:3]
        title, year = split_title(titled)
        if year is None and (found := re.search(r"\b\d{4}$", released.strip())):
            year = found[0]
        genres = [genre for genre, flag in zip(GENRES_100K, flags, strict=True) if flag == "1"]
        yield number, line, MovieRow(movie_id, title, join_genres(genres), year)


def _atomic_movies(path: Path) -> Iterator[tuple[int, str, MovieRow]]:
    lines = _lines(path)
    header = next(lines)[1]
    expected = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"
    names = _atomic_header(path, header, expected)

    def position(*candidates: str) -> int | None:
        return next((names.index(name) for name in candidates if name in names), None)

    id_at, title_at = position("item_id"), position("movie_title", "title")
    genres_at, year_at = position("class", "genre", "genres"), position("release_year", "year")
    if id_at is None or title_at is None or genres_at is None:
        raise _wrong_header(path, expected, header)
    for number, line in lines:
        fields = line.split("\t")
        if len(fields) != len(names):
            yield number, line, _unreadable(line)
            continue
        title, title_year = split_title(fields[title_at])
        year: str | None = "" if year_at is None else fields[year_at].strip()
        if year is not None and not year.isdigit():
            # Some rows have the year in the title and something else ("V", for video) in its column.
            year = title_year or (None if year in NO_YEAR else year)
        genres = fields[genres_at].replace(NO_GENRES, "").split(" ")
        yield number, line, MovieRow(fields[id_at], title, join_genres(genres), year)


LAYOUTS = (
    Layout("ratings.csv", "movies.csv", ",", _csv_rating_columns, _csv_movies),
    Layout("ratings.dat", "movies.dat", "::", None, _dat_movies),
    Layout("u.data", "u.item", "\t", None, _item_movies),
    Layout("*.inter", "*.item", "\t", _atomic_rating_columns, _atomic_movies),
)


# --- reading --------------------------------------------------------------------------------------------


def read_movielens(
    spark: SparkSession, folder: Path, posters: Path | None = None, first_movies: int | None = None
) -> Source:
    """Read a folder in any GroupLens layout, or in RecBole's; which one is seen from the file names.

    Args:
        folder: holds the ratings and the catalogue.
        posters: a folder of pictures named `<movieId>.jpg` (or .jpeg, .png); others are left alone.
        first_movies: keep movies with ids up to this one, and their ratings and posters; `Source.left_out`
            counts the ratings that this leaves out.

    Raises:
        MarqueeError: a file or folder is missing, empty, or has another header.
    """
    folder = folder.absolute()
    if first_movies is not None and first_movies < 1:
        raise MarqueeError(f"The number of first movies must be at least 1, not {first_movies}.")
    layout, ratings_path, movies_path = check_folder(folder)
    picture_files = None if posters is None else _pictures(posters.absolute(), first_movies)
    movies = _movies(spark, movies_path, layout, first_movies)
    ratings, left_out = _ratings(spark, ratings_path, layout, first_movies)
    subset = "" if first_movies is None else f", movies 1 to {first_movies}"
    pictures = "" if picture_files is None else f", {len(picture_files):,} posters of {posters}"
    return Source(
        name="movielens",
        description=f"MovieLens: {ratings_path.name} and {movies_path.name} of {folder}{subset}{pictures}",
        ratings=ratings,
        movies=movies,
        posters=None if picture_files is None else _frame(spark, ("movie_id", "source"), picture_files),
        left_out=left_out,
    )


def check_folder(folder: Path) -> tuple[Layout, Path, Path]:
    """The layout of a folder, its ratings and its catalogue: what can be seen without reading it all.

    Raises:
        MarqueeError: a file or the folder is missing or empty, or the ratings have another header.
    """
    layout, ratings, movies = _find(folder)
    for path in (ratings, movies):
        _check_not_empty(path, header=layout.rating_columns is not None)
    _rating_names(ratings, layout)
    return layout, ratings, movies


def _rating_names(path: Path, layout: Layout) -> list[str]:
    """The columns of a file of ratings, by its first line."""
    first = _first_lines(path, 1)[0]
    if layout.rating_columns is not None:
        return layout.rating_columns(path, first)
    if len(first.split(layout.separator)) < len(RATING_FIELDS):
        raise MarqueeError(
            f"{path}, line 1: expected {layout.separator.join(RATING_FIELDS)!r}, found {first[:120]!r}."
        )
    return list(RATING_FIELDS)


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


def _matches(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.is_file())


def _holds_layout(folder: Path) -> bool:
    return any(_matches(folder, layout.ratings) and _matches(folder, layout.movies) for layout in LAYOUTS)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1.

    UTF-8, as most releases are; the older ones (1M, 100K) are in Latin-1, whose accents are no valid UTF-8.
    """
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    for number, line in enumerate(re.split("\r\n|\r|\n", text), start=1):
        if line.strip():
            yield number, line


def _first_lines(path: Path, count: int) -> list[str]:
    lines: list[str] = []
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        while len(lines) < count and (line := file.readline(1 << 20)):
            if line.strip():
                lines.append(line.rstrip("\n"))
    return lines


def _check_not_empty(path: Path, header: bool) -> None:
    try:
        found = len(_first_lines(path, 2))
    except OSError as error:
        raise MarqueeError(f"Cannot read {path}: {error.strerror}.") from error
    if found == 0:
        raise MarqueeError(f"{path} is empty; it should hold MovieLens data.")
    if header and found == 1:
        raise MarqueeError(f"{path} has a first line and no rows below it.")


def _keep(movie_id: str, first_movies: int | None) -> bool:
    """Whether a movie is asked for. What is no number is kept: the quarantine will say so."""
    try:
        return first_movies is None or int(movie_id) <= first_movies
    except ValueError:
        return True


def _movies(spark: SparkSession, path: Path, layout: Layout, first_movies: int | None) -> DataFrame:
    rows = [
        (movie.movie_id, movie.title, movie.genres, movie.release_year, line, str(path), number)
        for number, line, movie in layout.movies_reader(path)
        if _keep(movie.movie_id, first_movies)
    ]
    columns = ("movie_id", "title", "genres", "release_year", "record", "source", "row")
    return _frame(spark, columns, rows)


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
    check_posters(folder)
    files = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURES and not path.name.startswith(".") and path.is_file()
    )
    if not files:
        raise MarqueeError(f"There are no pictures named <movieId>.jpg in {folder}.")
    return [(path.stem, str(path)) for path in files if _keep(path.stem, first_movies)]


def _frame(
    spark: SparkSession, columns: tuple[str, ...], rows: Sequence[tuple[str | int | None, ...]]
) -> DataFrame:
    types = {"row": pa.int64()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in columns])
    values = list(zip(*rows, strict=True)) or [() for _ in columns]
    arrays = [pa.array(column, field.type) for column, field in zip(values, schema, strict=True)]
    return spark.createDataFrame(pa.Table.from_arrays(arrays, schema=schema))


# --- ratings --------------------------------------------------------------------------------------------


def _ratings(
    spark: SparkSession, path: Path, layout: Layout, first_movies: int | None
) -> tuple[DataFrame, int]:
    """The lines of a file of ratings as rows of text fields, and how many were left out."""
    fields = _fields(F.col("record"), layout.separator, _rating_names(path, layout))
    lines = _numbered_lines(spark, path)
    if layout.rating_columns is not None:
        lines = lines.where(~F.col("row").eqNullSafe(F.lit(1)))
    rows = lines.select(
        *(field.alias(name) for name, field in fields.items()),
        "record",
        F.lit(str(path)).alias("source"),
        "row",
    ).where(F.trim("record") != "")
    if first_movies is None:
        return rows, 0
    # What is no number is kept, as in the catalogue.
    beyond = F.coalesce(F.col("movie_id").try_cast("bigint") > first_movies, F.lit(False))
    return rows.where(~beyond), rows.where(beyond).count()


def _fields(record: Column, separator: str, names: list[str]) -> dict[str, Column]:
    """The four fields of a rating. What follows the last separator stays in the last field, so that a line
    with too many fields has something in it that is no number."""
    text = F.replace(record, F.lit('"'), F.lit("")) if separator == "," else record
    parts = F.split(text, re.escape(separator), len(names))
    return {name: F.get(parts, F.lit(names.index(name))) for name in RATING_FIELDS}


def _numbered_lines(spark: SparkSession, path: Path) -> DataFrame:
    """Lines of a text file: `record` and `row`, the line's number from 1, exact however the file is split.

    A file of one split costs no more than reading it; of several, one more pass counts the lines of each.
    """
    # Spark takes a path for a pattern.
    escaped = re.sub(r"([\[\]{}*?\\])", r"\\\1", str(path))
    lines = spark.read.text(f"file://{escaped}").select(
        F.col("value").alias("record"),
        F.col("_metadata.file_block_start").alias("block"),
        F.monotonically_increasing_id().bitwiseAND(F.lit(LINE_IN_PARTITION)).alias("line"),
    )
    if lines.rdd.getNumPartitions() == 1:
        return lines.select("record", F.when(F.col("block") == 0, F.col("line") + 1).alias("row"))
    counted = lines.groupBy("block").agg(F.count("*").alias("lines"), F.min("line").alias("first")).collect()
    offsets = []
    before = 0
    for split in sorted(counted, key=lambda split: int(split["block"])):
        # A partition may hold several splits; the lines of a later one do not start at 0.
        offsets.append((int(split["block"]), before - int(split["first"])))
        before += int(split["lines"])
    starts = spark.createDataFrame(
        pa.table({"block": [block for block, _ in offsets], "offset": [offset for _, offset in offsets]})
    )
    # A left join: no line is lost, whatever happens to the splits.
    return lines.join(F.broadcast(starts), "block", "left").select(
        "record", (F.col("line") + F.col("offset") + 1).alias("row")
    )
