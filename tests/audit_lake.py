"""Small homes for the audits: generated events with ties, and tables that hold just what they should."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake
from feast import FeatureStore, RepoConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type

from common.settings import Settings
from feature_repo import store
from feature_repo.arrow import arrow_schema
from feature_repo.define.column import CREATED_TIMESTAMP, EVENT_TIMESTAMP, Type
from feature_repo.define.domain import Domain
from feature_repo.define.view import View
from feature_repo.domains.movies import DOMAIN
from feature_repo.domains.movies.posters import STATISTICS
from tests.toy_domain import PRESS
from validation.audit import oracle
from validation.audit.reading import known_since

Row = dict[str, Any]
START = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """What a lake is about, and what happened.

    Args:
        domain: the declarations.
        catalogues: the rows of the tables that are not events, by name.
        events: in the order of time.
    """

    domain: Domain
    catalogues: dict[str, list[Row]]
    events: list[Row]

    @property
    def tables(self) -> dict[str, list[Row]]:
        """The rows of all source tables by name."""
        return {**self.catalogues, self.domain.events.name: self.events}

    def of(self, events: Sequence[Row]) -> "World":
        """Other events in the same world."""
        return replace(self, events=list(events))


Rows = Callable[[View, World], pa.Table]
"""Makes a feature table."""


def drawn(
    world: World, users: Sequence[Any], items: Sequence[Any], values: Sequence[float], count: int, seed: int
) -> World:
    """Events in the order of time, many of them at one instant, no two alike in user, item and instant."""
    rng = np.random.default_rng(seed)
    user, item = (key.name for key in world.domain.events.key)
    value = world.domain.tasks[0].of
    found = {}
    for _ in range(count):
        who, what = users[rng.integers(len(users))], items[rng.integers(len(items))]
        at = START + timedelta(seconds=int(rng.integers(0, count // 3)))
        found[at, who, what] = {
            user: who, item: what, value: values[rng.integers(len(values))], EVENT_TIMESTAMP: at
        }  # fmt: skip
    return world.of([found[name] for name in sorted(found)])


def movies(count: int = 150, users: int = 6, seed: int = 0) -> World:
    """Ratings of eight movies, some of them without a year or a poster."""
    years = enumerate((1994, None, 2001, 1950, 1994, 2010, 1987, 1999), 1)
    genres = {"Action", "Comedy", "Drama", "War"}
    catalogue = [
        {
            "movie_id": movie,
            "title": f"Film {movie}",
            "genres": sorted(genres - {["Action", "Drama", "War"][movie % 3]}),
            "release_year": year,
        }
        for movie, year in years
    ]
    posters = [
        {"movie_id": movie, "file": f"{movie}.jpg", "sha256": "", "width": 2, "height": 3}
        | {name: (movie * 37 + i * 11) % 100 + i / 256 for i, name in enumerate(STATISTICS)}
        for movie in range(1, 9)
        if movie % 3
    ]
    people = [
        {
            "user_id": user,
            "age": None if user % 4 == 0 else 20 + user,
            "gender": "FM"[user % 2],
            "occupation": None if user % 3 == 0 else ["writer", "none"][user % 2],
            "zip_code": f"0{user}210",
        }
        for user in range(1, users + 1)
        if user != 2
    ]
    world = World(DOMAIN, {"movies": catalogue, "posters": posters, "users": people}, [])
    return drawn(world, range(1, users + 1), range(1, 9), [half / 2 for half in range(1, 11)], count, seed)


def press(count: int = 150, readers: int = 6, seed: int = 0) -> World:
    """Reads of articles whose names are words, some of them without a length or a section."""
    topics = (["art"], ["art", "film"], [], ["film", "sport"], ["king's", "sport"], ["Zoo", "art", "film"])
    articles = [
        {
            "article_id": name,
            "topics": topics[place],
            "words": None if place == 1 else 100 * (place + 1),
            "section": None if place % 3 == 0 else ["arts", "news"][place % 2],
        }
        for place, name in enumerate(("a10", "a2", "b", "c", "d", "Ä"))
    ]
    people = [
        {"reader_id": reader, "country": None if reader % 4 == 0 else "GR", "age": 20 + reader}
        for reader in range(1, readers + 1)
    ]
    world = World(PRESS, {"articles": articles, "readers": people}, [])
    names = [article["article_id"] for article in articles]
    minutes = [quarter / 4 for quarter in range(24)]
    return drawn(world, range(1, readers + 1), names, minutes, count, seed)


def sources(world: World) -> dict[str, pa.Table]:
    """The source tables."""
    return {
        table.name: pa.Table.from_pylist(world.tables[table.name], arrow_schema(table))
        for table in world.domain.sources
    }


def feature_rows(view: View, world: World) -> pa.Table:
    """What a feature table should hold, by the loop, written at `START`."""
    rows = [row | {CREATED_TIMESTAMP: START} for row in oracle.feature_rows(view, world.tables)]
    return pa.Table.from_pylist(rows, arrow_schema(view.table))


def build_home(home: Path, world: World, rows: Rows = feature_rows) -> None:
    """A lake with all its tables, published; `rows` makes the feature tables."""
    tables = sources(world) | {view.name: rows(view, world) for view in world.domain.views}
    for name, content in tables.items():
        overwrite(home, name, content)
    store.apply(Settings(home=home), world.domain)


def overwrite(home: Path, name: str, rows: pa.Table) -> None:
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


def look_up(opened: FeatureStore, domain: Domain, pairs: pa.Table) -> pa.Table:
    """What is online for rows of keys, read key by key: as `Replay.look_up` wants it."""
    rows = pairs.to_pylist()
    provider = opened._get_provider()
    for view in domain.views:
        published = opened.get_feature_view(view.name)
        kind = "int64_val" if view.by.type is Type.INT64 else "string_val"
        for row in rows:
            value = Value(**{kind: row[view.by.name]})
            key = EntityKey(join_keys=[view.by.name], entity_values=[value])
            names = [column.name for column in view.columns]
            ((at, values),) = provider.online_read(opened.config, published, [key], names)
            row |= {
                name: feast_value_type_to_python_type((values or {}).get(name, Value())) for name in names
            }
            row[known_since(view)] = None if at is None else at.astimezone(UTC)
    return pa.Table.from_pylist(rows)
