"""What every row of every feature table should hold, as SQL over the source tables.

Written from the declarations in `feature_repo.schema`, sharing no code with the pipelines: sums are of
integers, hence exact. Expects `ratings`, `movies` and `posters` in a DuckDB connection; instants are
microseconds since 1970.
"""

from collections.abc import Callable, Sequence

from feature_repo.schema import (
    BEGINNING,
    EVENT_TIMESTAMP,
    GENRE_SEPARATOR,
    KNOWN_AFTER,
    LIKED_RATING,
    MOVIE_CONTENT,
    MOVIE_POSTER_COLOUR,
    MOVIE_RATING_STATS,
    PADDING_GENRE,
    PADDING_ID,
    POSTER_GRID,
    POSTER_STATISTICS,
    RATING_STEP,
    RECENT_LIKES,
    TOP_GENRES,
    USER_POSTER_TASTE,
    USER_RATING_STATS,
    USER_RECENT_LIKES,
    Table,
)

KNOWN = KNOWN_AFTER.microseconds
_EVENTS = f"SELECT user_id, movie_id, rating, epoch_us({EVENT_TIMESTAMP}) AS instant FROM ratings"


def restated(table: Table, genres: Sequence[str]) -> str:
    """A query for `k` (the key), `stamp` (the instant from which the row is known) and a table's features,
    one row per key and instant.

    Args:
        genres: all that occur in `movies`.
    """
    query = _QUERIES[table.name]
    return query(genres) if query is _user_ratings else query(())


def _movie_ratings(_: Sequence[str]) -> str:
    events = f"SELECT movie_id AS k, instant, {_halves()} AS v0 FROM ({_EVENTS})"
    return f"SELECT k, stamp, {_statistics('movie_rating', 0, RATING_STEP)} FROM ({_running(events, 1)})"


def _user_ratings(genres: Sequence[str]) -> str:
    likes = [
        f"(rating >= {LIKED_RATING} AND list_contains(genres, {_text(genre)}))::BIGINT AS g{i}"
        for i, genre in enumerate(genres)
    ]
    values = [f"{_halves()} AS v0", "release_year AS v1", *likes]
    events = (
        f"SELECT user_id AS k, instant, {', '.join(values)} FROM ({_EVENTS}) JOIN movies USING (movie_id)"
    )
    totals = _running(events, 2, [f"g{i}" for i in range(len(genres))])
    ranked = ", ".join(f"{{'o': -g{i}, 'g': {_text(genre)}}}" for i, genre in enumerate(genres))
    liked = f"list_filter([{ranked}], lambda x: x.o < 0)" if genres else "[]::STRUCT(o BIGINT, g VARCHAR)[]"
    names = f"list_transform(list_sort({liked}), lambda x: x.g)"
    padding = _list([_text(PADDING_GENRE)] * TOP_GENRES)
    return (
        f"SELECT k, stamp, {_statistics('user_rating', 0, RATING_STEP)},"
        " make_timestamptz(first_instant // 1000000 * 1000000) AS user_rating_first_at,"
        f" {_moments('user_release_year', 1, 1)},"
        f" (list_concat({names}, {padding}))[1:{TOP_GENRES}] AS user_top_genres FROM ({totals})"
    )


def _user_likes(_: Sequence[str]) -> str:
    likes = (
        f"SELECT user_id AS k, instant, movie_id, array_to_string(genres, {_text(GENRE_SEPARATOR)}) AS words"
        f" FROM ({_EVENTS}) JOIN movies USING (movie_id) WHERE rating >= {LIKED_RATING}"
    )
    back = range(1, RECENT_LIKES)
    ids = _list(["movie_id", *(f"lag(movie_id, {i}, {PADDING_ID}) OVER w" for i in back)])
    words = _list(["words", *(f"lag(words, {i}, {_text(PADDING_GENRE)}) OVER w" for i in back)])
    return (
        f"SELECT k, instant + {KNOWN} AS stamp, {ids} AS user_recent_liked_movie_ids,"
        f" {words} AS user_recent_liked_genres FROM ({likes})"
        " WINDOW w AS (PARTITION BY k ORDER BY instant, movie_id)"
        " QUALIFY lead(instant) OVER w IS DISTINCT FROM instant"
    )


def _user_posters(_: Sequence[str]) -> str:
    values = [f"round({name} / {POSTER_GRID})::BIGINT AS v{i}" for i, name in enumerate(POSTER_STATISTICS)]
    events = (
        f"SELECT user_id AS k, instant, {', '.join(values)} FROM ({_EVENTS}) JOIN posters USING (movie_id)"
    )
    moments = [_moments(f"user_poster_{name}", i, POSTER_GRID) for i, name in enumerate(POSTER_STATISTICS)]
    totals = _running(events, len(POSTER_STATISTICS))
    return f"SELECT k, stamp, n0::BIGINT AS user_poster_count, {', '.join(moments)} FROM ({totals})"


def _content(_: Sequence[str]) -> str:
    return (
        f"SELECT movie_id AS k, {_beginning()} AS stamp, genres AS movie_genres,"
        " release_year AS movie_release_year FROM movies"
    )


def _colour(_: Sequence[str]) -> str:
    named = ", ".join(f"{name} AS movie_poster_{name}" for name in POSTER_STATISTICS)
    return f"SELECT movie_id AS k, {_beginning()} AS stamp, {named} FROM posters"


_QUERIES: dict[str, Callable[[Sequence[str]], str]] = {
    MOVIE_RATING_STATS.name: _movie_ratings,
    USER_RATING_STATS.name: _user_ratings,
    USER_RECENT_LIKES.name: _user_likes,
    USER_POSTER_TASTE.name: _user_posters,
    MOVIE_CONTENT.name: _content,
    MOVIE_POSTER_COLOUR.name: _colour,
}


# --- parts ------------------------------------------------------------------------------------------------


def _running(events: str, values: int, plain: Sequence[str] = ()) -> str:
    """`k`, `stamp`, and up to and including its last instant, of each `v<i>`: how many (`n<i>`), their sum
    (`s<i>`) and the sum of their squares (`q<i>`); of each of `plain`, the sum. `first_instant` is that of
    the key's first event. Events of one instant count together."""
    at_once, so_far = [], []
    for i in range(values):
        at_once += [f"count(v{i}) AS n{i}", f"coalesce(sum(v{i}), 0) AS s{i}"]
        at_once += [f"coalesce(sum(v{i}::HUGEINT * v{i}), 0) AS q{i}"]
        so_far += [f"sum({sum_}{i}) OVER w AS {sum_}{i}" for sum_ in "nsq"]
    at_once += [f"sum({name}) AS {name}" for name in plain]
    so_far += [f"sum({name}) OVER w AS {name}" for name in plain]
    return (
        f"SELECT k, instant + {KNOWN} AS stamp, min(instant) OVER w AS first_instant, {', '.join(so_far)}"
        f" FROM (SELECT k, instant, {', '.join(at_once)} FROM ({events}) GROUP BY k, instant)"
        " WINDOW w AS (PARTITION BY k ORDER BY instant ROWS UNBOUNDED PRECEDING)"
    )


def _statistics(prefix: str, i: int, unit: float) -> str:
    return f"n{i}::BIGINT AS {prefix}_count, {_moments(prefix, i, unit)}"


def _moments(prefix: str, i: int, unit: float) -> str:
    """Mean and deviation out of `n`, `s` and `q`; null where nothing was summed."""
    n = f"nullif(n{i}, 0)::DOUBLE"
    return (
        f"s{i}::DOUBLE / {n} * {unit} AS {prefix}_mean,"
        f" sqrt((n{i}::HUGEINT * q{i}::HUGEINT - s{i}::HUGEINT * s{i}::HUGEINT)::DOUBLE) / {n} * {unit}"
        f" AS {prefix}_std"
    )


def _halves() -> str:
    return f"round(rating / {RATING_STEP})::BIGINT"


def _beginning() -> str:
    return f"{int(BEGINNING.timestamp())}000000::BIGINT"


def _list(items: Sequence[str]) -> str:
    return f"[{', '.join(items)}]"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
