"""A small home for the audits: generated events with ties, and tables that hold just what they should."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from deltalake import write_deltalake
from feast import FeatureStore, RepoConfig

from common.settings import Settings
from feature_repo import store
from feature_repo.arrow import arrow_schema
from feature_repo.domains.movies import DOMAIN
from feature_repo.schema import (
    CREATED_TIMESTAMP,
    EVENT_TIMESTAMP,
    FEATURE_TABLES,
    MOVIES,
    POSTER_STATISTICS,
    POSTERS,
    RATINGS,
    Table,
)
from tests.test_feature_jobs import START, instant
from validation.audit.movie_oracle import Movie, Rating
from validation.audit.sql import restated

Rows = Callable[[Table, Sequence[Rating]], pa.Table]
"""Makes a feature table of ratings."""

CATALOGUE = {
    movie: Movie(sorted({"Action", "Comedy", "Drama", "War"} - {["Action", "Drama", "War"][movie % 3]}), year)
    for movie, year in enumerate((1994, None, 2001, 1950, 1994, 2010, 1987, 1999), 1)
}
COLOURS = {
    movie: {name: (movie * 37 + i * 11) % 100 + i / 256 for i, name in enumerate(POSTER_STATISTICS)}
    for movie in CATALOGUE
    if movie % 3
}


def events(count: int = 150, users: int = 6, seed: int = 0) -> list[Rating]:
    """Ratings in the order of time, many of them at one instant, no two alike in user, movie and instant."""
    rng = np.random.default_rng(seed)
    found = {}
    for _ in range(count):
        user, movie = int(rng.integers(1, users + 1)), int(rng.integers(1, len(CATALOGUE) + 1))
        at = int(rng.integers(0, count // 3))
        found[user, movie, at] = Rating(user, movie, int(rng.integers(1, 11)) / 2, at)
    return sorted(found.values(), key=lambda rating: (rating.instant, rating.user, rating.movie))


def sources(ratings: Sequence[Rating]) -> dict[str, pa.Table]:
    """The source tables."""
    rows: dict[Table, list[tuple[Any, ...]]] = {
        RATINGS: [(r.user, r.movie, r.stars, instant(r.instant)) for r in ratings],
        MOVIES: [(movie, f"Film {movie}", facts.genres, facts.year) for movie, facts in CATALOGUE.items()],
        POSTERS: [
            (movie, f"{movie}.jpg", "", 2, 3, *(values[name] for name in POSTER_STATISTICS))
            for movie, values in COLOURS.items()
        ],
    }
    return {
        table.name: pa.Table.from_pylist(
            [dict(zip(table.column_names, row, strict=True)) for row in found], arrow_schema(table)
        )
        for table, found in rows.items()
    }


def feature_rows(table: Table, ratings: Sequence[Rating]) -> pa.Table:
    """What a feature table should hold, written at `START`."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        for name, rows in sources(ratings).items():
            con.register(name, rows)
        genres = sorted({genre for movie in CATALOGUE.values() for genre in movie.genres})
        columns = ", ".join(column.name for column in table.feature_columns)
        rows = con.sql(
            f"SELECT k AS {table.key[0].name}, {columns}, make_timestamptz(stamp) AS {EVENT_TIMESTAMP}"
            f" FROM ({restated(table, genres)}) ORDER BY 1, {EVENT_TIMESTAMP}"
        ).to_arrow_table()
    created = pa.repeat(pa.scalar(START, pa.timestamp("us", "UTC")), rows.num_rows)
    return rows.append_column(CREATED_TIMESTAMP, created).cast(arrow_schema(table))


def build_home(home: Path, ratings: Sequence[Rating], rows: Rows = feature_rows) -> None:
    """A lake with all its tables, published; `rows` makes the feature tables."""
    tables = sources(ratings) | {table.name: rows(table, ratings) for table in FEATURE_TABLES}
    for name, content in tables.items():
        replace(home, name, content)
    store.apply(Settings(home=home), DOMAIN)


def replace(home: Path, name: str, rows: pa.Table) -> None:
    """Another content for a table of the lake."""
    write_deltalake(home / "lake" / name, rows, mode="overwrite")


def open_with(home: Path, engine: str, online: dict[str, Any] | None = None) -> FeatureStore:
    """The home's store with another offline store, by the path of its class, and perhaps online store."""
    config = store.open_store(Settings(home=home)).config
    other = RepoConfig(
        project=config.project,
        provider="local",
        registry=config.registry.model_dump(),
        online_store=online or config.online_store.model_dump(),
        offline_store={"type": engine, "lake": str(home / "lake")},
        entity_key_serialization_version=3,
    )
    other.repo_path = store.REPOSITORY
    return FeatureStore(config=other)
