"""Every table of the lake, declared once.

From these declarations derive the Spark and Arrow schemas, the Feast entities, views and services, the
Great Expectations suites, the quarantine's rules and the models' inputs. Standard library only, so that any
package may import it.

Time. A rating's `event_timestamp` is when it happened. A feature row's `event_timestamp` is the instant
*from which it is known*: that of the last event it contains plus `KNOWN_AFTER`. Feast joins inclusively
(`feature <= label`), so a label never sees an event of its own instant, let alone a later one. Catalogue
facts carry no time; they count as known since `BEGINNING`.

Standard deviations are those of the population (divided by n), so that one event has deviation 0.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Literal

BEGINNING = datetime(1990, 1, 1, tzinfo=UTC)
"""No event is older (MovieLens starts in 1995); catalogue facts are known since."""
KNOWN_AFTER = timedelta(microseconds=1)
"""From its last event to the instant at which a feature row is known."""

EVENT_TIMESTAMP = "event_timestamp"
CREATED_TIMESTAMP = "created_timestamp"

LIKED_RATING = 3.5
"""A rating counts as a like from here on (MMDIN leaves its threshold open)."""
RECENT_LIKES = 5
TOP_GENRES = 3
PADDING_ID = 0
"""Fills a short list of ids; real ids start at 1."""
PADDING_GENRE = ""
GENRE_SEPARATOR = "|"
"""Joins the genres of one movie where a list has one string a movie."""

Value = int | float | str


class Type(Enum):
    """A column's type, named as in Feast."""

    INT64 = "Int64"
    FLOAT64 = "Float64"
    STRING = "String"
    TIMESTAMP = "UnixTimestamp"
    INT64_LIST = "Array(Int64)"
    STRING_LIST = "Array(String)"

    @property
    def is_list(self) -> bool:
        return self in (Type.INT64_LIST, Type.STRING_LIST)

    @property
    def is_number(self) -> bool:
        return self in (Type.INT64, Type.FLOAT64)


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Args:
        name: `{entity}_{input}_{operation}[_{window}]` for a feature.
        type: its type.
        description: what it holds, for people.
        unit: of its values, "" where it has none.
        low, high: the inclusive range of its values (of each element, for a list of numbers).
        nullable: whether a stored row may lack it.
        fill: what a reader puts where there is no row yet. None leaves it missing: a bucketised input has a
            bucket for that, a standardised one reads 0, its training mean. A list is filled to `length`.
        length: the fixed length of a padded list; None for a list of any length.
        vocabulary: the id space that its values belong to ("user", "movie", "genre"); columns of one space
            share an embedding. "" for numbers and free text.
    """

    name: str
    type: Type
    description: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    nullable: bool = False
    fill: Value | None = None
    length: int | None = None
    vocabulary: str = ""


RuleKind = Literal["present", "range", "length", "custom"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What every row of a table must satisfy; a row that does not goes to the quarantine.

    Args:
        name: stands in the quarantine and on the validation page.
        predicate: Spark SQL, true for a good row (null counts as false).
        reason: what is wrong with a row that breaks it, as one sentence.
        kind: how the rule came about.
        column: the column that it is about, "" for several.
    """

    name: str
    predicate: str
    reason: str
    kind: RuleKind = "custom"
    column: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """Every value of `column` must be among `table`'s keys."""

    column: str
    table: str

    @property
    def rule(self) -> str:
        return f"{self.column}_in_{self.table}"


Kind = Literal["event", "catalogue", "feature"]


@dataclass(frozen=True, slots=True)
class Table:
    """One Delta table, and for a feature table the Feast view of the same name.

    Args:
        name: of the table, its folder in the lake, its job and its view.
        kind: event, catalogue or feature. Feature tables also have `event_timestamp` and `created_timestamp`.
        key: the columns that a row is about; of a feature table, the join keys.
        columns: all others.
        description: what it holds, for people.
        unique: columns whose combination occurs once.
        references: to other tables.
        rules: row rules beyond those that the columns imply.
    """

    name: str
    kind: Kind
    key: tuple[Column, ...]
    columns: tuple[Column, ...]
    description: str
    unique: tuple[str, ...]
    references: tuple[Reference, ...] = ()
    rules: tuple[Rule, ...] = field(default=())

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """Key, values and, for a feature table, the two timestamps, in stored order."""
        times = (EVENT, CREATED) if self.kind == "feature" else ()
        return self.key + self.columns + times

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.all_columns)

    @property
    def row_rules(self) -> tuple[Rule, ...]:
        """The rules that the columns imply, then the table's own."""
        return tuple(rule for column in self.all_columns for rule in column_rules(column)) + self.rules

    @property
    def feature_columns(self) -> tuple[Column, ...]:
        return self.columns if self.kind == "feature" else ()


def column_rules(column: Column) -> list[Rule]:
    """Presence, range and length of one column as row rules.

    A range holds where the column is null: that a value must be there is the presence rule's business, so
    one bad value breaks one rule.
    """
    name = column.name
    rules = []
    if not column.nullable:
        rules.append(Rule(f"{name}_is_present", f"{name} IS NOT NULL", f"{name} is missing", "present", name))
    if column.type is Type.TIMESTAMP:
        rules.append(
            Rule(
                f"{name}_in_range",
                f"{name} IS NULL OR ({name} >= TIMESTAMP '{BEGINNING:%Y-%m-%d %H:%M:%S}'"
                f" AND {name} <= current_timestamp())",
                f"{name} is before {BEGINNING:%Y-%m-%d} or in the future",
                "range",
                name,
            )
        )
    if column.low is not None or column.high is not None:
        value = "x" if column.type.is_list else name
        bounds = [f"{value} >= {column.low:g}"] if column.low is not None else []
        bounds += [f"{value} <= {column.high:g}"] if column.high is not None else []
        if column.type is Type.FLOAT64:
            bounds.append(f"NOT isnan({value})")
        inside = " AND ".join(bounds)
        test = f"forall({name}, x -> {inside})" if column.type.is_list else f"({inside})"
        rules.append(
            Rule(
                f"{name}_in_range",
                f"{name} IS NULL OR {test}",
                f"{name} is outside {_interval(column)}",
                "range",
                name,
            )
        )
    if column.length is not None:
        rules.append(
            Rule(
                f"{name}_has_length",
                f"{name} IS NULL OR size({name}) = {column.length}",
                f"{name} does not have {column.length} elements",
                "length",
                name,
            )
        )
    return rules


def _interval(column: Column) -> str:
    low = "-∞" if column.low is None else f"{column.low:g}"
    high = "∞" if column.high is None else f"{column.high:g}"
    return f"[{low}, {high}]"


# --- columns that several tables share ------------------------------------------------------------------

USER_ID = Column("user_id", Type.INT64, "Who rated.", low=1, vocabulary="user")
MOVIE_ID = Column("movie_id", Type.INT64, "The movie.", low=1, vocabulary="movie")
EVENT = Column(EVENT_TIMESTAMP, Type.TIMESTAMP, "When it happened, or from when the row is known (UTC).")
CREATED = Column(CREATED_TIMESTAMP, Type.TIMESTAMP, "When the row was written (UTC).")

RATING_LOW, RATING_HIGH, RATING_STEP = 0.5, 5.0, 0.5
YEAR_LOW, YEAR_HIGH = 1870, 2100
LEVEL = "8-bit level"
"""Unit of poster statistics: 0 (none) to 255 (full)."""

# What is measured on each poster, in stored order. Saturation and brightness are S and V of HSV, chroma is
# max(R, G, B) - min(R, G, B); each on the 0..255 scale. Mean and deviation go over the pixels.
POSTER_CHANNELS = ("saturation", "brightness", "chroma", "red", "green", "blue")
SPATIAL_FREQUENCY = "spatial_frequency"
POSTER_STATISTICS = (
    *(f"{channel}_{operation}" for channel in POSTER_CHANNELS for operation in ("mean", "std")),
    SPATIAL_FREQUENCY,
)
POSTER_GRID = 1 / 256
"""Poster statistics are rounded to multiples of this many levels, far below what they can resolve. Sums of
such values, and of their squares, are exact in float64 whatever the order of addition."""


def poster_range(statistic: str) -> tuple[float, float]:
    """The range that a poster statistic can take on the 0..255 scale.

    The deviation of values within [0, 255] is at most half of that; each of the two differences in a
    spatial frequency is at most 255.
    """
    if statistic == SPATIAL_FREQUENCY:
        return 0.0, 361.0
    return (0.0, 128.0) if statistic.endswith("_std") else (0.0, 255.0)


def _poster_column(statistic: str, prefix: str = "") -> Column:
    low, high = poster_range(statistic)
    words = statistic.replace("_", " ")
    return Column(f"{prefix}{statistic}", Type.FLOAT64, f"Poster's {words}.", LEVEL, low, high)


# --- events and catalogue -------------------------------------------------------------------------------

RATINGS = Table(
    name="ratings",
    kind="event",
    key=(USER_ID, MOVIE_ID),
    columns=(
        Column("rating", Type.FLOAT64, "Stars given.", "stars", RATING_LOW, RATING_HIGH),
        EVENT,
    ),
    description="Who rated what, how, and when.",
    unique=("user_id", "movie_id", EVENT_TIMESTAMP),
    references=(Reference("movie_id", "movies"),),
    rules=(
        Rule(
            "rating_is_half_star",
            f"rating IS NULL OR rating % {RATING_STEP} = 0",
            "rating is not a multiple of half a star",
            column="rating",
        ),
    ),
)

MOVIES = Table(
    name="movies",
    kind="catalogue",
    key=(MOVIE_ID,),
    columns=(
        Column("title", Type.STRING, "Title, without the year."),
        Column("genres", Type.STRING_LIST, "Genres, sorted; empty where none is listed.", vocabulary="genre"),
        Column("release_year", Type.INT64, "Year of release.", "year", YEAR_LOW, YEAR_HIGH, nullable=True),
    ),
    description="The catalogue.",
    unique=("movie_id",),
)

POSTERS = Table(
    name="posters",
    kind="catalogue",
    key=(MOVIE_ID,),
    columns=(
        Column("file", Type.STRING, "Where the picture was read from."),
        Column("sha256", Type.STRING, "Of the file's bytes."),
        Column("width", Type.INT64, "Width.", "pixel", low=1),
        Column("height", Type.INT64, "Height.", "pixel", low=1),
        *(_poster_column(statistic) for statistic in POSTER_STATISTICS),
    ),
    description="Posters, each decoded once; the pictures stay where they are.",
    unique=("movie_id",),
    references=(Reference("movie_id", "movies"),),
)

# --- features -------------------------------------------------------------------------------------------


def _features(
    name: str, key: Column, columns: tuple[Column, ...], description: str, *references: Reference
) -> Table:
    return Table(
        name=name,
        kind="feature",
        key=(key,),
        columns=columns,
        description=description,
        # Key and instant, but for a correction: a late event adds a row with a later `created_timestamp`.
        unique=(key.name, EVENT_TIMESTAMP, CREATED_TIMESTAMP),
        references=references,
    )


def _rating_columns(entity: str) -> tuple[Column, ...]:
    prefix = f"{entity}_rating"
    return (
        Column(f"{prefix}_count", Type.INT64, "Ratings so far.", "ratings", low=1, fill=0),
        Column(f"{prefix}_mean", Type.FLOAT64, "Their mean.", "stars", RATING_LOW, RATING_HIGH),
        Column(f"{prefix}_std", Type.FLOAT64, "Their deviation.", "stars", 0, RATING_HIGH - RATING_LOW),
    )


MOVIE_RATING_STATS = _features(
    "movie_rating_stats",
    MOVIE_ID,
    _rating_columns("movie"),
    "Running statistics of the ratings that a movie got.",
    Reference("movie_id", "movies"),
)

USER_RATING_STATS = _features(
    "user_rating_stats",
    USER_ID,
    (
        *_rating_columns("user"),
        Column(
            "user_rating_first_at",
            Type.TIMESTAMP,
            # Online stores keep no more of a timestamp, so this is what all can agree on.
            "When the first rating was given, to the second, rounded down (UTC).",
        ),
        Column(
            "user_release_year_mean",
            Type.FLOAT64,
            "Mean release year of the movies rated, those of unknown year left out.",
            "year",
            YEAR_LOW,
            YEAR_HIGH,
            nullable=True,
        ),
        Column(
            "user_release_year_std",
            Type.FLOAT64,
            "Deviation of the same.",
            "year",
            0,
            YEAR_HIGH - YEAR_LOW,
            nullable=True,
        ),
        Column(
            "user_top_genres",
            Type.STRING_LIST,
            f"The {TOP_GENRES} genres most frequent among the movies liked (rating >= {LIKED_RATING}), most "
            "frequent first, ties in alphabetical order.",
            fill=PADDING_GENRE,
            length=TOP_GENRES,
            vocabulary="genre",
        ),
    ),
    "Running statistics of the ratings that a user gave.",
)

USER_RECENT_LIKES = _features(
    "user_recent_likes",
    USER_ID,
    (
        Column(
            "user_recent_liked_movie_ids",
            Type.INT64_LIST,
            f"The movies of the {RECENT_LIKES} most recent likes (rating >= {LIKED_RATING}), newest first; "
            "of likes at one instant, the larger movie id first.",
            low=PADDING_ID,
            fill=PADDING_ID,
            length=RECENT_LIKES,
            vocabulary="movie",
        ),
        Column(
            "user_recent_liked_genres",
            Type.STRING_LIST,
            f"The genres of each of those movies, joined by '{GENRE_SEPARATOR}'.",
            fill=PADDING_GENRE,
            length=RECENT_LIKES,
            vocabulary="genre",
        ),
    ),
    "The last movies that a user liked. A row appears with each instant at which the user liked something.",
)

MOVIE_CONTENT = _features(
    "movie_content",
    MOVIE_ID,
    (
        Column("movie_genres", Type.STRING_LIST, "Genres, sorted.", vocabulary="genre"),
        Column(
            "movie_release_year", Type.INT64, "Year of release.", "year", YEAR_LOW, YEAR_HIGH, nullable=True
        ),
    ),
    "What the catalogue says of a movie.",
    Reference("movie_id", "movies"),
)

MOVIE_POSTER_COLOUR = _features(
    "movie_poster_colour",
    MOVIE_ID,
    tuple(_poster_column(statistic, "movie_poster_") for statistic in POSTER_STATISTICS),
    "Colour and texture of a movie's poster.",
    Reference("movie_id", "movies"),
)


def _taste_columns() -> tuple[Column, ...]:
    columns = [
        Column(
            "user_poster_count", Type.INT64, "Ratings so far of movies with a poster.", "ratings", 1, fill=0
        )
    ]
    for statistic in POSTER_STATISTICS:
        low, high = poster_range(statistic)
        words = statistic.replace("_", " ")
        name = f"user_poster_{statistic}"
        columns.append(
            Column(f"{name}_mean", Type.FLOAT64, f"Mean of the posters' {words}.", LEVEL, low, high)
        )
        columns.append(
            Column(f"{name}_std", Type.FLOAT64, f"Deviation of the same ({words}).", LEVEL, 0, high / 2 + 1)
        )
    return tuple(columns)


USER_POSTER_TASTE = _features(
    "user_poster_taste",
    USER_ID,
    _taste_columns(),
    "Running statistics of the posters of the movies that a user rated; movies without a poster count not.",
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        RATINGS,
        MOVIES,
        POSTERS,
        MOVIE_RATING_STATS,
        USER_RATING_STATS,
        USER_RECENT_LIKES,
        MOVIE_CONTENT,
        MOVIE_POSTER_COLOUR,
        USER_POSTER_TASTE,
    )
}
FEATURE_TABLES: tuple[Table, ...] = tuple(table for table in TABLES.values() if table.kind == "feature")
SOURCE_TABLES: tuple[Table, ...] = tuple(table for table in TABLES.values() if table.kind != "feature")

# --- the quarantine: rows that broke a rule, with the reason ---------------------------------------------

QUARANTINE = "quarantine"
QUARANTINE_COLUMNS: tuple[Column, ...] = (
    Column("table", Type.STRING, "The table that the row was meant for."),
    Column("rule", Type.STRING, "The first rule that it broke."),
    Column("reason", Type.STRING, "What is wrong with it, as a sentence."),
    Column("source", Type.STRING, "The file that it came from."),
    Column(
        "row",
        Type.INT64,
        "Its row in that file, counted from 1; null where the file is the row.",
        nullable=True,
    ),
    Column("record", Type.STRING, "The row as it was read."),
)

# --- feature services: what each model reads --------------------------------------------------------------

BEHAVIOUR = (MOVIE_RATING_STATS, USER_RATING_STATS, USER_RECENT_LIKES, MOVIE_CONTENT)
POSTER = (MOVIE_POSTER_COLOUR, USER_POSTER_TASTE)

SERVICES: dict[str, tuple[Table, ...]] = {
    "din_v1": BEHAVIOUR,
    "mmdin_v1": BEHAVIOUR + POSTER,
    "gbt_v1": (MOVIE_RATING_STATS, USER_RATING_STATS, MOVIE_CONTENT),
}
"""The tables whose features a service joins. A published service does not change: a new one gets a new
number."""
