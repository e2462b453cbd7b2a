"""Feast's SQLite online store, keeping the newest rows.

Feast's own overwrites whatever is there, and keeps instants to the second. Here a table beside each view's
holds the order of its rows; a write compares and replaces within one transaction.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from sqlite3 import Connection
from typing import Any

from feast import Entity, FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig

from feature_repo.online.newest import NEVER, Row, instant, order

MOST_KEYS = 10_000
"""In one query; SQLite allows some 32,000 parameters."""


class NewestSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """What `online_store:` in feature_store.yaml may hold: the same as for `type: sqlite`."""

    type: str = "feature_repo.online.sqlite.NewestSqliteOnlineStore"  # type: ignore[assignment]


class NewestSqliteOnlineStore(SqliteOnlineStore):
    """Feast's interface to it; see the module."""

    _lock = threading.Lock()  # the threads of a process share one connection

    def write(self, config: RepoConfig, view: FeatureView, rows: Sequence[Row], whatever: bool) -> int:
        """As `KeepsNewest`."""
        table = _order_table(config, view)
        upsert = (
            f"INSERT INTO {table} AS held VALUES (?, ?, ?) ON CONFLICT (entity_key)"
            " DO UPDATE SET event = excluded.event, created = excluded.created"
        )
        if not whatever:
            upsert += " WHERE (excluded.event, excluded.created) >= (held.event, held.created)"
        with self._transaction(config) as connection:
            _make_order_table(connection, config, view)
            newest = [
                row
                for row, key in zip(rows, _serialised(config, (row[0] for row in rows)), strict=True)
                if connection.execute(upsert, (key, *order(row))).rowcount
            ]
            # Goes on in this transaction, and commits it.
            super().online_write_batch(config, view, newest, None)
        return len(rows) - len(newest)

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        self.write(config, table, data, whatever=False)
        if progress:
            progress(len(data))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        connection = self._get_conn(config)
        orders = _order_table(config, table)
        if not _exists(connection, orders):
            return super().online_read(config, table, entity_keys, requested_features)
        keys = _serialised(config, entity_keys)
        found: dict[bytes, tuple[datetime, dict[str, Value]]] = {}
        wanted = None if requested_features is None else set(requested_features)
        for start in range(0, len(keys), MOST_KEYS):
            part = keys[start : start + MOST_KEYS]
            rows = connection.execute(
                f"SELECT f.entity_key, feature_name, value, event FROM {_table(config, table)} f"
                f" JOIN {orders} o ON f.entity_key = o.entity_key"
                f" WHERE f.entity_key IN ({', '.join('?' * len(part))})",
                part,
            )
            for key, name, value, event in rows:
                if wanted is None or name in wanted:
                    found.setdefault(key, (instant(event), {}))[1][name] = Value.FromString(value)
        return [found.get(key, (None, None)) for key in keys]

    def keep_only(self, config: RepoConfig, view: FeatureView, keys: set[bytes]) -> None:
        """As `KeepsNewest`."""
        with self._transaction(config) as connection:
            connection.execute("CREATE TEMP TABLE IF NOT EXISTS kept (entity_key BLOB PRIMARY KEY)")
            connection.execute("DELETE FROM kept")
            connection.executemany("INSERT INTO kept VALUES (?)", ((key,) for key in keys))
            for table in (_table(config, view), _order_table(config, view)):
                connection.execute(f"DELETE FROM {table} WHERE entity_key NOT IN (SELECT * FROM kept)")
            connection.execute("DELETE FROM kept")
            connection.commit()

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        super().update(
            config, tables_to_delete, tables_to_keep, entities_to_delete, entities_to_keep, partial
        )
        connection = self._get_conn(config)
        for view in tables_to_keep:
            _make_order_table(connection, config, view)
        for view in tables_to_delete:
            connection.execute(f"DROP TABLE IF EXISTS {_order_table(config, view)}")
        connection.commit()

    @contextmanager
    def _transaction(self, config: RepoConfig) -> Iterator[Connection]:
        """One that sees no other writer between its reads and its writes; undone on an error."""
        connection = self._get_conn(config)
        with self._lock:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            finally:
                connection.rollback()  # which does nothing after a commit


def _serialised(config: RepoConfig, keys: Iterable[EntityKey]) -> list[bytes]:
    version = config.entity_key_serialization_version
    return [serialize_entity_key(key, version) for key in keys]


def _table_name(config: RepoConfig, view: FeatureView) -> str:
    return str(compute_table_id(config.project, view, config.registry.enable_online_feature_view_versioning))


def _table(config: RepoConfig, view: FeatureView) -> str:
    return f'"{_table_name(config, view)}"'


def _order_table(config: RepoConfig, view: FeatureView) -> str:
    return f'"{_table_name(config, view)}#order"'


def _make_order_table(connection: Connection, config: RepoConfig, view: FeatureView) -> None:
    """Make it if there is none, with what Feast's own store knew of the rows that it wrote: the second."""
    table = _order_table(config, view)
    if _exists(connection, table):
        return
    connection.execute(
        f"CREATE TABLE {table}"
        " (entity_key BLOB PRIMARY KEY, event INTEGER NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID"
    )
    # Feast writes UTC as if it were local time.
    utc = "CAST(strftime('%s', max(event_ts), 'unixepoch', 'localtime') AS INTEGER)"
    connection.execute(
        f"INSERT INTO {table} SELECT entity_key, {utc} * 1000000, {NEVER} FROM {_table(config, view)}"
        " GROUP BY entity_key"
    )


def _exists(connection: Connection, table: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (table.strip('"'),)).fetchone() is not None
