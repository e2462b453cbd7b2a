"""The features: this, and nothing else, is where one is declared."""

from feature_repo.define.column import PADDING, Column, Type
from feature_repo.define.operation import Count, Fact, FirstAt, LastAt, LastK, MeanStd, TopK
from feature_repo.define.role import Bag, Instant, Number, Sequence
from feature_repo.define.role import Count as CountRole
from feature_repo.define.view import Over, View
from feature_repo.domains.movies.posters import LEVEL, STATISTICS, poster_range
from feature_repo.domains.movies.tables import (
    AGE,
    GENDER,
    GENRE,
    GENRE_SEPARATOR,
    GENRES,
    LIKED,
    LIKED_RATING,
    MOVIE_ID,
    MOVIES,
    OCCUPATION,
    POSTERS,
    RATING,
    RATING_HIGH,
    RATING_LOW,
    RATINGS,
    RELEASE_YEAR,
    USER_ID,
    USERS,
    YEAR_HIGH,
    YEAR_LOW,
    ZIP_CODE,
    poster_column,
    renamed,
)

RECENT_LIKES = 5
TOP_GENRES = 3
POSTER = "poster"
"""The modality of what posters tell."""


def _count(name: str, description: str) -> Count:
    return Count(Column(name, Type.INT64, description, "ratings", low=1, fill=0, role=CountRole()))


def _rating_mean_std(entity: str) -> MeanStd:
    span = RATING_HIGH - RATING_LOW
    return MeanStd(
        RATING.name,
        mean=renamed(RATING, f"{entity}_rating_mean", description="Their mean.", role=Number(), step=None),
        std=Column(f"{entity}_rating_std", Type.FLOAT64, "Their deviation.", "stars", 0, span, role=Number()),
    )


MOVIE_RATING_STATS = View(
    "movie_rating_stats",
    by=MOVIE_ID,
    over=Over(RATINGS),
    features=(
        _count("movie_rating_count", "Ratings so far."),
        _rating_mean_std("movie"),
        LastAt(
            Column(
                "movie_rating_last_at",
                Type.TIMESTAMP,
                "When the last rating was given, to the second, rounded down (UTC).",
                role=Instant(),
            )
        ),
    ),
    description="Running statistics of the ratings that a movie got.",
)

USER_RATING_STATS = View(
    "user_rating_stats",
    by=USER_ID,
    over=Over(RATINGS, MOVIES),
    features=(
        _count("user_rating_count", "Ratings so far."),
        _rating_mean_std("user"),
        FirstAt(
            Column(
                "user_rating_first_at",
                Type.TIMESTAMP,
                "When the first rating was given, to the second, rounded down (UTC).",
                role=Instant(),
            )
        ),
        MeanStd(
            RELEASE_YEAR.name,
            mean=Column(
                "user_release_year_mean",
                Type.FLOAT64,
                "Mean release year of the movies rated, those of unknown year left out.",
                "year",
                YEAR_LOW,
                YEAR_HIGH,
                nullable=True,
                role=Number(),
            ),
            std=Column(
                "user_release_year_std",
                Type.FLOAT64,
                "Deviation of the same.",
                "year",
                0,
                YEAR_HIGH - YEAR_LOW,
                nullable=True,
                role=Number(),
            ),
            origin=2000,
        ),
        TopK(
            GENRES.name,
            Column(
                "user_top_genres",
                Type.STRING_LIST,
                f"The {TOP_GENRES} genres most frequent among the movies liked (rating >= {LIKED_RATING}), "
                "most frequent first, ties in alphabetical order.",
                fill=PADDING[Type.STRING_LIST],
                length=TOP_GENRES,
                role=Bag(GENRE),
            ),
            where=LIKED,
        ),
    ),
    description="Running statistics of the ratings that a user gave.",
)

USER_RECENT_LIKES = View(
    "user_recent_likes",
    by=USER_ID,
    over=Over(RATINGS, MOVIES, where=LIKED),
    features=(
        LastK(
            MOVIE_ID.name,
            Column(
                "user_recent_liked_movie_ids",
                Type.INT64_LIST,
                f"The movies of the {RECENT_LIKES} most recent likes (rating >= {LIKED_RATING}), newest "
                "first; of likes at one instant, the larger movie id first.",
                low=0,
                fill=PADDING[Type.INT64_LIST],
                length=RECENT_LIKES,
                role=Sequence("movie"),
            ),
        ),
        LastK(
            GENRES.name,
            Column(
                "user_recent_liked_genres",
                Type.STRING_LIST,
                f"The genres of each of those movies, joined by '{GENRE_SEPARATOR}'.",
                fill=PADDING[Type.STRING_LIST],
                length=RECENT_LIKES,
                role=Sequence(GENRE, GENRE_SEPARATOR),
            ),
        ),
    ),
    description="The last movies that a user liked. A row appears with each instant at which the user liked "
    "something.",
)

MOVIE_CONTENT = View(
    "movie_content",
    by=MOVIE_ID,
    over=Over(MOVIES),
    features=(
        Fact(GENRES.name, renamed(GENRES, "movie_genres", description="Genres, sorted.")),
        Fact(RELEASE_YEAR.name, renamed(RELEASE_YEAR, "movie_release_year")),
    ),
    description="What the catalogue says of a movie.",
)

MOVIE_POSTER_COLOUR = View(
    "movie_poster_colour",
    by=MOVIE_ID,
    over=Over(POSTERS),
    features=tuple(
        Fact(statistic, renamed(poster_column(statistic), f"movie_poster_{statistic}"))
        for statistic in STATISTICS
    ),
    description="Colour and texture of a movie's poster.",
    modality=POSTER,
)


def _taste(statistic: str) -> MeanStd:
    """Mean and deviation of a statistic over the posters of the movies rated."""
    low, high = poster_range(statistic)
    words, name = statistic.replace("_", " "), f"user_poster_{statistic}"
    return MeanStd(
        statistic,
        mean=Column(
            f"{name}_mean", Type.FLOAT64, f"Mean of the posters' {words}.", LEVEL, low, high, role=Number()
        ),
        std=Column(
            f"{name}_std",
            Type.FLOAT64,
            f"Deviation of the same ({words}).",
            LEVEL,
            0,
            high / 2 + 1,
            role=Number(),
        ),
    )


USER_POSTER_TASTE = View(
    "user_poster_taste",
    by=USER_ID,
    over=Over(RATINGS, POSTERS),
    features=(
        _count("user_poster_count", "Ratings so far of movies with a poster."),
        *map(_taste, STATISTICS),
    ),
    description="Running statistics of the posters of the movies that a user rated; movies without a poster "
    "do not count.",
    modality=POSTER,
)

USER_PROFILE = View(
    "user_profile",
    by=USER_ID,
    over=Over(USERS),
    features=tuple(
        Fact(column.name, renamed(column, f"user_{column.name}"))
        for column in (AGE, GENDER, OCCUPATION, ZIP_CODE)
    ),
    description="Who a user is, as far as the source tells. What it does not tell is missing, which a model "
    "reads as no value; a value that no training row had is read as unseen.",
    needs_rows="no source read so far tells who the users are: read one that does, such as MovieLens-100K or "
    "-1M (`marquee pipeline ingest --source movielens --path FOLDER`), and compute the features "
    "(`marquee pipeline run`)",
)
