"""What the audits read: the source tables, and what the offline store returns with the stamp of each row."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
from feast import FeatureStore, FeatureView, Field
from feast.types import UnixTimestamp

from common.errors import MarqueeError
from feature_repo.offline.tables import tables_named
from feature_repo.schema import EVENT_TIMESTAMP, FEATURE_TABLES, POSTER_STATISTICS, SOURCE_TABLES, Table
from validation.audit.movie_oracle import Movie, Rating

KEYS = ("user_id", "movie_id")
LABELS_AT_ONCE = 5_000_000
"""Labels that one join takes, to bound its memory."""


@contextmanager
def lake(store: FeatureStore, memory: str = "2GB") -> Iterator[duckdb.DuckDBPyConnection]:
    """The lake's tables by name in a DuckDB of its own, which spills past `memory`.

    Raises:
        MarqueeError: a table is not there.
    """
    names = " ".join(table.name for table in (*SOURCE_TABLES, *FEATURE_TABLES))
    tables = dict(tables_named(store.config, names))
    missing = [name for name in names.split() if name not in tables]
    if missing:
        raise MarqueeError(
            f"The lake lacks {', '.join(missing)}: run marquee pipeline ingest and marquee pipeline run."
        )
    with tempfile.TemporaryDirectory(prefix="marquee-audit-") as spill:
        options: dict[str, Any] = {"memory_limit": memory, "temp_directory": spill}
        with duckdb.connect(":memory:", config=options) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for name, table in tables.items():
                connection.register(name, table.to_pyarrow_dataset())
            yield connection


def read_labels(con: duckdb.DuckDBPyConnection) -> pa.Table:
    """All labels in the order of time.

    Raises:
        MarqueeError: there are none.
    """
    order = f"{EVENT_TIMESTAMP}, user_id, movie_id"
    query = f"SELECT user_id, movie_id, {EVENT_TIMESTAMP}, rating FROM ratings ORDER BY {order}"
    labels = con.sql(query).to_arrow_table()
    if labels.num_rows == 0:
        raise MarqueeError("The lake has no ratings, hence no labels to audit.")
    return labels


def offline_rows(store: FeatureStore, labels: pa.Table, features: bool = True) -> pa.Table:
    """All features at labels as the offline store joins them, each view's with the stamp of its row.

    The stamp is asked for as one more column of the view, so it is that of the very row that was joined.

    Args:
        labels: n rows with `user_id`, `movie_id` and `event_timestamp`.
        features: the stamps alone where false.

    Returns:
        n rows in order: the labels' columns, the features by name, and `<view>_known_since`, null where the
        view has no row.
    """
    result = labels
    views = [_with_stamp(store, table) for table in FEATURE_TABLES]
    references, names = [], []
    for table in FEATURE_TABLES:
        wanted = [column.name for column in table.feature_columns] if features else []
        references += [f"{table.name}:{name}" for name in (*wanted, EVENT_TIMESTAMP)]
        names += [*wanted, known_since(table)]
    parts = []
    for start in range(0, max(labels.num_rows, 1), LABELS_AT_ONCE):
        job = store._get_provider().offline_store.get_historical_features(
            config=store.config,
            feature_views=views,
            feature_refs=references,
            entity_df=labels.slice(start, LABELS_AT_ONCE).select([*KEYS, EVENT_TIMESTAMP]),
            registry=store.registry,
            project=store.project,
            full_feature_names=True,
        )
        part = job.to_arrow()
        parts.append(part.select([reference.replace(":", "__") for reference in references]))
    joined = pa.concat_tables(parts)
    for name, column in zip(names, joined.columns, strict=True):
        result = result.append_column(name, column)
    return result


def known_since(table: Table) -> str:
    """The column of a view's stamps."""
    return f"{table.name}_known_since"


def _with_stamp(store: FeatureStore, table: Table) -> FeatureView:
    """A published view, with its timestamp as one more feature; nothing is published."""
    view = store.get_feature_view(table.name)
    entities = {entity.name: entity for entity in store.list_entities()}
    return FeatureView(
        name=view.name,
        entities=[entities[name] for name in view.entities],
        schema=[*view.schema, Field(name=EVENT_TIMESTAMP, dtype=UnixTimestamp)],
        source=view.batch_source,
        ttl=view.ttl,
    )


@dataclass(frozen=True, slots=True)
class History:
    """All ratings of some users and of some movies, and the catalogue, as `audit_oracle` takes them.

    Args:
        by_user, by_movie: ratings by the user who gave them, and by the movie that got them.
        movies, posters: the whole catalogue.
    """

    by_user: dict[int, list[Rating]]
    by_movie: dict[int, list[Rating]]
    movies: dict[int, Movie]
    posters: dict[int, dict[str, float]]

    @classmethod
    def of(cls, con: duckdb.DuckDBPyConnection, labels: pa.Table) -> "History":
        """What bears on the users and movies of some labels.

        Args:
            con: from `lake`.
        """
        con.register("audited", labels.select(list(KEYS)))
        found = {}
        for key in KEYS:
            rows = con.sql(
                f"SELECT user_id, movie_id, rating, epoch_us({EVENT_TIMESTAMP}) FROM ratings"
                f" WHERE {key} IN (SELECT {key} FROM audited)"
            ).fetchall()
            by_key: dict[int, list[Rating]] = defaultdict(list)
            for row in rows:
                by_key[row[KEYS.index(key)]].append(Rating(*row))
            found[key] = dict(by_key)
        movies = con.sql("SELECT movie_id, genres, release_year FROM movies").fetchall()
        posters = con.sql(f"SELECT movie_id, {', '.join(POSTER_STATISTICS)} FROM posters").fetchall()
        con.unregister("audited")
        return cls(
            found["user_id"],
            found["movie_id"],
            {movie: Movie(genres, year) for movie, genres, year in movies},
            {movie: dict(zip(POSTER_STATISTICS, values, strict=True)) for movie, *values in posters},
        )

    def ratings(self, user: int, movie: int) -> set[Rating]:
        """All that bear on a user and a movie, each once."""
        return {*self.by_user.get(user, ()), *self.by_movie.get(movie, ())}


def microseconds(moment: datetime) -> int:
    """Since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def instant_in_words(microseconds: int) -> str:
    """An instant in microseconds since 1970, for people."""
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds):%Y-%m-%d %H:%M:%S.%f}"


def value_in_words(value: object) -> str:
    """A feature's value, for people."""
    return "nothing" if value is None else str(value)
