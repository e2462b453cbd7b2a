"""Small tables of features drawn at random, in the schema's columns, with labels that depend on them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from feature_repo.arrow import ARROW_TYPES, arrow_schema
from feature_repo.define.column import BEGINNING, CREATED_TIMESTAMP, EVENT_TIMESTAMP, Column, Type
from feature_repo.domains.movies import DOMAIN
from feature_repo.domains.movies.features import RECENT_LIKES
from training.inputs.config import InputConfig
from training.inputs.spec import InputSpec

GENRES = ("Action", "Comedy", "Drama", "Horror")
START = datetime(2001, 1, 1, tzinfo=UTC)


def toy_table(
    rows: int = 400,
    service: str = "mmdin_v1",
    seed: int = 0,
    users: int = 30,
    movies: int = 50,
    missing: float = 0.1,
) -> pa.Table:
    """Labelled rows of a service's features, one a minute.

    A row is liked the more probably, the higher its movie's and its user's mean rating. `missing` of the rows
    lack each of the views, as where nothing is known yet.
    """
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "user_id": random.integers(1, users + 1, rows),
        "movie_id": random.integers(1, movies + 1, rows),
        EVENT_TIMESTAMP: [START + timedelta(minutes=i) for i in range(rows)],
    }
    fields = [pa.field(name, pa.int64()) for name in ("user_id", "movie_id")]
    fields.append(pa.field(EVENT_TIMESTAMP, pa.timestamp("us", "UTC")))
    logit = np.zeros(rows)
    for view in DOMAIN.services[service]:
        known = random.random(rows) >= missing
        for column in view.columns:
            values = toy_values(random, column, rows, movies)
            if column.name in ("movie_rating_mean", "user_rating_mean"):
                logit += np.where(known, 1.5 * (np.array(values) - 2.75), 0)
            columns[column.name] = [
                value if there else None for value, there in zip(values, known, strict=True)
            ]
            fields.append(pa.field(column.name, ARROW_TYPES[column.type]))
    columns["liked"] = random.random(rows) < 1 / (1 + np.exp(-logit))
    fields.append(pa.field("liked", pa.bool_()))
    return pa.table(columns, pa.schema(fields))


def toy_values(random: np.random.Generator, column: Column, rows: int, movies: int = 50) -> list[Any]:
    """Values that keep the column's rules."""
    low, high = column.low or 0, column.high or 100
    match column.type:
        case Type.INT64:
            return [int(x) for x in random.integers(int(low), int(high) + 1, rows)]
        case Type.FLOAT64:
            return [float(x) for x in random.uniform(low, high, rows)]
        case Type.STRING:
            return [str(x) for x in random.choice(np.array(["F", "M", "writer", "48067"]), rows)]
        case Type.TIMESTAMP:
            return [START - timedelta(minutes=int(x)) for x in random.integers(0, 10**6, rows)]
        case Type.INT64_LIST:
            assert column.length is not None
            return [_padded(random, range(1, movies + 1), column.length, 0) for _ in range(rows)]
        case Type.STRING_LIST if column.length is None:
            return [sorted(random.choice(GENRES, random.integers(0, 4), replace=False)) for _ in range(rows)]
        case Type.STRING_LIST:
            words: list[str] = list(GENRES)
            if column.length == RECENT_LIKES:
                words += ["Action|Drama", "Comedy|Drama|Horror"]
            return [_padded(random, words, column.length or 0, "") for _ in range(rows)]
        case other:
            raise AssertionError(other)


def _padded(random: np.random.Generator, values: Any, length: int, padding: Any) -> list[Any]:
    taken = random.choice(np.array(list(values), dtype=object), random.integers(1, length + 1))
    return [*taken, *[padding] * (length - len(taken))]


def toy_spec(table: pa.Table, service: str, config: InputConfig | None = None) -> InputSpec:
    """The inputs of a service of the movies, fitted to a table."""
    return InputSpec.fit(table, service, DOMAIN.services[service], config)


def toy_home(home: Path, ratings: int = 1200, users: int = 40, movies: int = 30, seed: int = 0) -> Path:
    """A home whose lake has ratings and feature tables, published to its registry. No Spark.

    The feature rows are drawn at random, not computed from the ratings; who likes what depends on the mean of
    movie and user that is known at the time.
    """
    from common.settings import Settings
    from feature_repo.store import apply

    random = np.random.default_rng(seed)
    instants = [START + timedelta(minutes=i) for i in range(ratings)]
    quality = random.uniform(1, 5, movies + 1)
    leaning = random.uniform(1, 5, users + 1)
    for view in DOMAIN.views:
        key = view.by
        many = users if key.name == "user_id" else movies
        ids = np.arange(1, many + 1)
        columns: dict[str, Any] = {
            key.name: ids,
            **{column.name: toy_values(random, column, many, movies) for column in view.columns},
            EVENT_TIMESTAMP: [BEGINNING] * many,
            CREATED_TIMESTAMP: [START] * many,
        }
        for name, means in (("movie_rating_mean", quality), ("user_rating_mean", leaning)):
            if name in columns:
                columns[name] = means[1:]
        write_deltalake(home / "lake" / view.name, pa.table(columns, arrow_schema(view.table)))
    user, movie = random.integers(1, users + 1, ratings), random.integers(1, movies + 1, ratings)
    stars = (quality[movie] + leaning[user]) / 2 + random.normal(0, 0.5, ratings)
    events = {
        "user_id": user,
        "movie_id": movie,
        "rating": np.clip(np.round(stars * 2) / 2, 0.5, 5),
        EVENT_TIMESTAMP: instants,
    }
    write_deltalake(home / "lake" / "ratings", pa.table(events, arrow_schema(DOMAIN.events)))
    apply(Settings(home=home), DOMAIN)
    return home
