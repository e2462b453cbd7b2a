# ruff: noqa: F401
"""Old names of `feature_repo.define` and `feature_repo.domains.movies`, until all code takes a domain."""

from feature_repo.define.column import (
    BEGINNING,
    CREATED,
    CREATED_TIMESTAMP,
    EVENT,
    EVENT_TIMESTAMP,
    KNOWN_AFTER,
    PADDING,
    Column,
    Type,
    Value,
)
from feature_repo.define.rule import Reference, Rule, RuleKind, column_rules
from feature_repo.define.table import QUARANTINE, QUARANTINE_COLUMNS, Kind, Table
from feature_repo.domains.movies import DOMAIN, features
from feature_repo.domains.movies.features import RECENT_LIKES, TOP_GENRES
from feature_repo.domains.movies.posters import CHANNELS as POSTER_CHANNELS
from feature_repo.domains.movies.posters import GRID as POSTER_GRID
from feature_repo.domains.movies.posters import LEVEL, SPATIAL_FREQUENCY, poster_range
from feature_repo.domains.movies.posters import STATISTICS as POSTER_STATISTICS
from feature_repo.domains.movies.tables import (
    GENRE_SEPARATOR,
    LIKED_RATING,
    MOVIE_ID,
    MOVIES,
    POSTERS,
    RATING_HIGH,
    RATING_LOW,
    RATING_STEP,
    RATINGS,
    USER_ID,
    YEAR_HIGH,
    YEAR_LOW,
)

PADDING_ID = 0
PADDING_GENRE = ""
MOVIE_RATING_STATS = features.MOVIE_RATING_STATS.table
USER_RATING_STATS = features.USER_RATING_STATS.table
USER_RECENT_LIKES = features.USER_RECENT_LIKES.table
MOVIE_CONTENT = features.MOVIE_CONTENT.table
MOVIE_POSTER_COLOUR = features.MOVIE_POSTER_COLOUR.table
USER_POSTER_TASTE = features.USER_POSTER_TASTE.table
TABLES = DOMAIN.tables
FEATURE_TABLES = tuple(view.table for view in DOMAIN.views)
SOURCE_TABLES = DOMAIN.sources
BEHAVIOUR = (MOVIE_RATING_STATS, USER_RATING_STATS, USER_RECENT_LIKES, MOVIE_CONTENT)
POSTER = (MOVIE_POSTER_COLOUR, USER_POSTER_TASTE)
SERVICES = {name: tuple(view.table for view in views) for name, views in DOMAIN.services.items()}
