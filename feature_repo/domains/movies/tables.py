"""The tables that come from outside: ratings, the catalogue, posters, and users."""

from dataclasses import replace

from feature_repo.define.column import EVENT, EVENT_TIMESTAMP, Column, Type
from feature_repo.define.operation import AtLeast
from feature_repo.define.role import Bag, Category, Id, Number
from feature_repo.define.rule import Reference, Rule
from feature_repo.define.table import Table
from feature_repo.domains.movies.posters import GRID, LEVEL, STATISTICS, poster_range

LIKED_RATING = 3.5
"""A rating counts as a like from here on (MMDIN leaves its threshold open)."""
LIKED = AtLeast("rating", LIKED_RATING)

RATING_LOW, RATING_HIGH, RATING_STEP = 0.5, 5.0, 0.5
YEAR_LOW, YEAR_HIGH = 1870, 2100
AGE_LOW, AGE_HIGH = 1, 120
GENRE = "genre"
"""The vocabulary of genres."""
GENRE_SEPARATOR = "|"
"""Joins the genres of one movie where they stand in one string."""

USER_ID = Column("user_id", Type.INT64, "Who rated.", low=1, role=Id("user"), side="user")
MOVIE_ID = Column("movie_id", Type.INT64, "The movie.", low=1, role=Id("movie"), side="item")

RATING = Column("rating", Type.FLOAT64, "Stars given.", "stars", RATING_LOW, RATING_HIGH, step=RATING_STEP)
GENRES = Column("genres", Type.STRING_LIST, "Genres, sorted; empty where none is listed.", role=Bag(GENRE))
RELEASE_YEAR = Column(
    "release_year",
    Type.INT64,
    "Year of release.",
    "year",
    YEAR_LOW,
    YEAR_HIGH,
    nullable=True,
    role=Number(),
    step=1,
)
AGE = Column(
    "age",
    Type.INT64,
    "Age, or the first year of its span where the source has spans.",
    "year",
    AGE_LOW,
    AGE_HIGH,
    nullable=True,
    role=Category("age"),
)
GENDER = Column("gender", Type.STRING, "Gender, M or F.", nullable=True, role=Category("gender"))
OCCUPATION = Column("occupation", Type.STRING, "Occupation.", nullable=True, role=Category("occupation"))
ZIP_CODE = Column("zip_code", Type.STRING, "Zip code.", nullable=True, role=Category("zip_code"))


def poster_column(statistic: str) -> Column:
    """A statistic of one poster."""
    low, high = poster_range(statistic)
    words = f"Poster's {statistic.replace('_', ' ')}."
    return Column(statistic, Type.FLOAT64, words, LEVEL, low, high, role=Number(), step=GRID)


RATINGS = Table(
    name="ratings",
    kind="event",
    key=(USER_ID, MOVIE_ID),
    columns=(RATING, EVENT),
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
    columns=(Column("title", Type.STRING, "Title, without the year."), GENRES, RELEASE_YEAR),
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
        *map(poster_column, STATISTICS),
    ),
    description="Posters, each decoded once; the pictures stay where they are.",
    unique=("movie_id",),
    references=(Reference("movie_id", "movies"),),
    may_be_empty=True,
)

USERS = Table(
    name="users",
    kind="catalogue",
    key=(USER_ID,),
    columns=(AGE, GENDER, OCCUPATION, ZIP_CODE),
    description="Who the users are, where the source tells; whoever rates need not be among them.",
    unique=("user_id",),
    rules=tuple(
        Rule(
            f"{column.name}_is_not_empty",
            f"{column.name} IS NULL OR {column.name} != ''",
            f"{column.name} is an empty word",
            column=column.name,
        )
        for column in (GENDER, OCCUPATION, ZIP_CODE)
    ),
    may_be_empty=True,
)


def renamed(column: Column, name: str, **changes: object) -> Column:
    """A feature that has the type, range and role of a column."""
    return replace(column, name=name, **changes)  # type: ignore[arg-type]
