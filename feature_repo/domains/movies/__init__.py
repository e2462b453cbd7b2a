"""Ratings of movies: what comes in, the features made of it, and what each model reads."""

from feature_repo.define.domain import Domain
from feature_repo.define.task import Binary
from feature_repo.domains.movies.features import (
    MOVIE_CONTENT,
    MOVIE_POSTER_COLOUR,
    MOVIE_RATING_STATS,
    USER_POSTER_TASTE,
    USER_RATING_STATS,
    USER_RECENT_LIKES,
)
from feature_repo.domains.movies.tables import LIKED_RATING, MOVIES, POSTERS, RATINGS

_BEHAVIOUR = (MOVIE_RATING_STATS, USER_RATING_STATS, USER_RECENT_LIKES, MOVIE_CONTENT)

DOMAIN = Domain(
    name="marquee",
    description="Point-in-time features for movie recommendation.",
    sources=(RATINGS, MOVIES, POSTERS),
    views=(*_BEHAVIOUR, MOVIE_POSTER_COLOUR, USER_POSTER_TASTE),
    services={
        "din_v1": _BEHAVIOUR,
        "mmdin_v1": (*_BEHAVIOUR, MOVIE_POSTER_COLOUR, USER_POSTER_TASTE),
        "gbt_v1": (MOVIE_RATING_STATS, USER_RATING_STATS, MOVIE_CONTENT),
    },
    tasks=(Binary("liked", "rating", LIKED_RATING, says="liked"),),
)
