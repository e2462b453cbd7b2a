"""Ratings of movies: what comes in, the features made of it, and what each model reads."""

from feature_repo.define.domain import Domain
from feature_repo.define.task import Binary
from feature_repo.domains.movies.features import (
    MOVIE_CONTENT,
    MOVIE_POSTER_COLOUR,
    MOVIE_RATING_STATS,
    USER_POSTER_TASTE,
    USER_PROFILE,
    USER_RATING_STATS,
    USER_RECENT_LIKES,
)
from feature_repo.domains.movies.tables import LIKED_RATING, MOVIES, POSTERS, RATING_STEP, RATINGS, USERS

_OF_MOVIES_V1 = MOVIE_RATING_STATS.without("movie_rating_last_at")
_USERS_AND_CONTENT = (USER_RATING_STATS, USER_RECENT_LIKES, MOVIE_CONTENT)
_POSTERS = (MOVIE_POSTER_COLOUR, USER_POSTER_TASTE)

DOMAIN = Domain(
    name="marquee",
    description="Point-in-time features for movie recommendation.",
    sources=(RATINGS, MOVIES, POSTERS, USERS),
    views=(MOVIE_RATING_STATS, *_USERS_AND_CONTENT, *_POSTERS, USER_PROFILE),
    services={
        "din_v1": (_OF_MOVIES_V1, *_USERS_AND_CONTENT),
        "din_v2": (MOVIE_RATING_STATS, *_USERS_AND_CONTENT),
        "mmdin_v1": (_OF_MOVIES_V1, *_USERS_AND_CONTENT, *_POSTERS),
        "mmdin_v2": (MOVIE_RATING_STATS, *_USERS_AND_CONTENT, *_POSTERS),
        "gbt_v1": (_OF_MOVIES_V1, USER_RATING_STATS, MOVIE_CONTENT),
        "gbt_v2": (MOVIE_RATING_STATS, USER_RATING_STATS, MOVIE_CONTENT),
        "iarm_v1": (USER_PROFILE, MOVIE_CONTENT.without("movie_release_year")),
        "autoint_v1": (USER_PROFILE, MOVIE_CONTENT),
    },
    tasks=(
        Binary("liked", "rating", LIKED_RATING, says="liked"),
        Binary("above_three", "rating", 3 + RATING_STEP, below=3, says="above 3"),
        Binary("at_least_three", "rating", 3, says="at least 3"),
    ),
)
