"""`user_rating_stats`: running statistics of a user's ratings, since when the user rates, statistics of the
release years rated, and top genres."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.schema import GENRE_SEPARATOR, LIKED_RATING
from pipelines.features import kernels
from pipelines.features.kernels import Events, Floats, Outputs
from pipelines.features.running import Rows, joined, powers_of, running_totals, sorted_by_id

YEAR_ORIGIN = 2000.0
"""Years are summed relative to this one: their squares then stay small, hence exact."""
FIRST = "user_rating_first"
"""The total that holds the second of the first rating, since 1970."""
SECOND = 1_000_000
"""In microseconds."""


def compute(ratings: Rows, movies: Rows, before: Rows | None = None) -> Rows:
    """One row per user and instant at which the user rated; `before` as in `running_totals`."""
    ids, facts = sorted_by_id(movies, "release_year", "genres")
    year = pc.fill_null(facts.column("release_year").cast(pa.float64()), np.nan).to_numpy()
    # Many movies have the same genres.
    mixes = joined(facts.column("genres")).dictionary_encode()
    mix_of = mixes.indices.to_numpy()
    names = [mix.split(GENRE_SEPARATOR) for mix in mixes.dictionary.to_pylist()]
    genres = sorted({genre for mix in names for genre in mix if genre})
    has = np.zeros((len(genres), len(names)))
    for place, mix in enumerate(names):
        has[[genres.index(genre) for genre in mix if genre], place] = 1.0

    def sums(events: Events) -> Floats:
        stars = kernels.powers(events.rating)
        years = kernels.powers(year[events.movie], YEAR_ORIGIN)
        # Summed up it stays what the first rating adds.
        first = np.where(events.opens, events.instant // SECOND, 0)
        likes = has[:, mix_of[events.movie]] * (events.rating >= LIKED_RATING)
        return np.concatenate([stars, years, first[None], likes])

    def outputs(totals: Floats) -> Outputs:
        stars, years, first, likes = totals[:3], totals[3:6], totals[6], totals[7:]
        return (
            kernels.count("user_rating", stars)
            | kernels.mean_and_std("user_rating", stars)
            | {"user_rating_first_at": pa.array(first.astype(np.int64) * SECOND)}
            | kernels.mean_and_std("user_release_year", years, YEAR_ORIGIN)
            | {"user_top_genres": kernels.top_genres(likes, genres)}
        )

    totals_of = [*powers_of("user_rating"), *powers_of("user_release_year"), FIRST, *map(likes_of, genres)]
    return running_totals("user_rating_stats", ratings, totals_of, sums, outputs, ids, before)


def likes_of(genre: str) -> str:
    """The total that counts the likes of a genre."""
    return f"likes_{genre}"
