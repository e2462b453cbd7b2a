"""`user_rating_stats`: running statistics of a user's ratings, since when the user rates, statistics of the
release years rated, and top genres."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from feature_repo.schema import EVENT_TIMESTAMP, LIKED_RATING, PADDING_GENRE, TOP_GENRES
from pipelines.lake import STATE
from pipelines.running import count, known_from, mean_and_std, moment_sums, running_totals, total

YEAR_ORIGIN = 2000.0
"""Years are summed relative to this one: their squares then stay small, hence exact."""
FIRST = "user_rating_first"
"""The total that holds the second of the first rating, since 1970."""


def compute(ratings: DataFrame, movies: DataFrame, before: DataFrame | None = None) -> DataFrame:
    """One row per user and instant at which the user rated; `before` as in `running_totals`."""
    genres = sorted(row[0] for row in movies.select(F.explode("genres")).distinct().collect())
    rated = ratings.join(F.broadcast(movies.select("movie_id", "genres", "release_year")), "movie_id")
    liked = F.col("rating") >= LIKED_RATING
    liked_genres = {
        likes_of(genre): (liked & F.array_contains("genres", genre)).cast("int") for genre in genres
    }
    totals = running_totals(
        rated,
        "user_id",
        moment_sums("user_rating", F.col("rating"))
        | moment_sums("user_release_year", F.col("release_year"), YEAR_ORIGIN)
        | liked_genres,
        before,
        least={FIRST: F.unix_seconds(EVENT_TIMESTAMP)},
    )
    return totals.select(
        "user_id",
        count("user_rating"),
        *mean_and_std("user_rating"),
        F.timestamp_seconds(FIRST).alias("user_rating_first_at"),
        *mean_and_std("user_release_year", YEAR_ORIGIN),
        _top_genres(genres).alias("user_top_genres"),
        known_from(),
        STATE,
    )


def likes_of(genre: str) -> str:
    """The total that counts the likes of a genre."""
    return f"likes_{genre}"


def _top_genres(genres: list[str]) -> Column:
    """The most liked genres, most frequent first, then by name, padded."""
    padding = F.array_repeat(F.lit(PADDING_GENRE), TOP_GENRES)
    if not genres:
        return padding
    # Sorted ascending by (-likes, name); genres never liked are left out.
    counted = F.array(
        *(F.struct((-total(likes_of(genre))).alias("order"), F.lit(genre).alias("genre")) for genre in genres)
    )
    ranked = F.sort_array(F.filter(counted, lambda entry: entry["order"] < 0))
    names = F.transform(ranked, lambda entry: entry["genre"])
    return F.slice(F.concat(names, padding), 1, TOP_GENRES)
