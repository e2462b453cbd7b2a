"""Feast's SQLite online store, keeping the newest rows.

Feast's own overwrites whatever is there, and keeps instants to the second. Here a table beside each view's
holds the order of its rows; a write compares and replaces within one transaction. A third one counts these
as they come and go, by triggers: rows that somebody removes are missed without looking at each. Tables that
are missing, as in a file that was removed or emptied, are made when rows are written, and have no rows until
then.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from sqlite3 import Connection

from feast import Entity, FeatureView
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig
from pydantic import field_validator

from feature_repo.feast_internals import (
    Held,
    OnlineRow,
    serialised_key,
    sqlite_connection,
    sqlite_file,
    sqlite_table,
)
from feature_repo.home import placed_for_feast
from feature_repo.online.newest import NEVER, Tally, WritesNewest, instant, order

MOST_KEYS = 10_000
"""In one query; SQLite allows some 32,000 parameters."""
LOW = 2**32 - 1
NOTHING = Tally(0, 0)


class NewestSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """What `online_store:` in feature_store.yaml may hold: what it may hold for `type: sqlite`."""

    type: str = "feature_repo.online.sqlite.NewestSqliteOnlineStore"  # type: ignore[assignment]

    _placed = field_validator("path", mode="before")(placed_for_feast)


class NewestSqliteOnlineStore(WritesNewest, SqliteOnlineStore):
    """An SQLite in which an older row never replaces a newer one; see the module."""

    _lock = threading.Lock()  # the threads of a process share one connection

    def write(self, config: RepoConfig, view: FeatureView, rows: Sequence[OnlineRow], whatever: bool) -> int:
        """Write rows, as `KeepsNewest` says."""
        table = _order_table(config, view)
        upsert = (
            f"INSERT INTO {table} AS held VALUES (?, ?, ?) ON CONFLICT (entity_key)"
            " DO UPDATE SET event = excluded.event, created = excluded.created"
        )
        if not whatever:
            upsert += " WHERE (excluded.event, excluded.created) >= (held.event, held.created)"
        with self._transaction(config) as connection:
            self._make_tables(connection, config, view)
            before = _count(connection, config, view)
            newest = [
                row
                for row in rows
                if connection.execute(upsert, (serialised_key(config, row[0]), *order(row))).rowcount
            ]
            after = _count(connection, config, view)
            connection.execute(
                f"UPDATE {_tally_table(config, view)}"
                " SET expected_rows = expected_rows + ?, expected_digest = expected_digest + ?",
                (after.rows - before.rows, after.digest - before.digest),
            )
            # Goes on in this transaction, and commits it.
            SqliteOnlineStore.online_write_batch(self, config, view, newest, None)
        return len(rows) - len(newest)

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[Held]:
        if not self._has_table(config, table):
            return [(None, None)] * len(entity_keys)
        connection = sqlite_connection(self, config)
        orders = _order_table(config, table)
        if not _exists(connection, orders):
            return super().online_read(config, table, entity_keys, requested_features)
        keys = [serialised_key(config, key) for key in entity_keys]
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
        """Remove all other keys, as `KeepsNewest` says."""
        with self._transaction(config) as connection:
            there = connection.execute(f"SELECT entity_key FROM {_order_table(config, view)}")
            gone = [(key,) for (key,) in there if key not in keys]
            for table in (_table(config, view), _order_table(config, view)):
                connection.executemany(f"DELETE FROM {table} WHERE entity_key = ?", gone)
            connection.commit()

    def is_empty(self, config: RepoConfig, view: FeatureView) -> bool:
        """Whether the view has no table here, or one without rows."""
        if not self._has_table(config, view):
            return True
        rows = f"SELECT EXISTS (SELECT 1 FROM {_table(config, view)})"
        return not sqlite_connection(self, config).execute(rows).fetchone()[0]

    def expect(self, config: RepoConfig, view: FeatureView, rows: int) -> None:
        """Note what there is, as `KeepsNewest` says."""
        with self._transaction(config) as connection:
            self._make_tables(connection, config, view)
            _count_anew(connection, config, view)
            connection.execute(
                f"UPDATE {_tally_table(config, view)} SET expected_rows = ?, expected_digest = digest",
                (rows,),
            )
            connection.commit()

    def tallies(self, config: RepoConfig, view: FeatureView) -> tuple[Tally, Tally | None]:
        """What there is and what ought to be, as `KeepsNewest` says."""
        if not self._has_table(config, view):
            return NOTHING, None
        connection, tally = sqlite_connection(self, config), _tally_table(config, view)
        if not _exists(connection, _order_table(config, view)) or not _exists(connection, tally):
            return NOTHING, None
        row = connection.execute(f"SELECT expected_rows, expected_digest FROM {tally}").fetchone()
        expected = None if row is None or row[0] is None else Tally(*row)
        return _count(connection, config, view), expected

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        connection = sqlite_connection(self, config)
        for view in tables_to_keep:
            self._make_tables(connection, config, view)
        super().update(
            config, tables_to_delete, tables_to_keep, entities_to_delete, entities_to_keep, partial
        )
        for view in tables_to_delete:
            _drop_beside(connection, config, view)
        connection.commit()

    def _has_table(self, config: RepoConfig, view: FeatureView) -> bool:
        """Whether there is a file with the view's table; makes none, as connecting would."""
        return sqlite_file(self, config).is_file() and _exists(
            sqlite_connection(self, config), _table(config, view)
        )

    def _make_tables(self, connection: Connection, config: RepoConfig, view: FeatureView) -> None:
        if not _exists(connection, _table(config, view)):
            _drop_beside(connection, config, view)
            # Feast's own, by its own words, within our transaction.
            super().update(config, [], [view], [], [], partial=True)
        _make_beside(connection, config, view)

    @contextmanager
    def _transaction(self, config: RepoConfig) -> Iterator[Connection]:
        """One that sees no other writer between its reads and its writes; undone on an error."""
        connection = sqlite_connection(self, config)
        with self._lock:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            finally:
                connection.rollback()  # which does nothing after a commit


def _table(config: RepoConfig, view: FeatureView) -> str:
    return f'"{sqlite_table(config, view)}"'


def _order_table(config: RepoConfig, view: FeatureView) -> str:
    return f'"{sqlite_table(config, view)}#order"'


def _tally_table(config: RepoConfig, view: FeatureView) -> str:
    return f'"{sqlite_table(config, view)}#tally"'


def _drop_beside(connection: Connection, config: RepoConfig, view: FeatureView) -> None:
    for table in (_order_table(config, view), _tally_table(config, view)):
        connection.execute(f"DROP TABLE IF EXISTS {table}")


def _make_beside(connection: Connection, config: RepoConfig, view: FeatureView) -> None:
    """Make the tables beside Feast's, where there are none, with what is known of the rows that are there.

    A row that is removed from any of them is gone for readers and counted so.
    """
    table, orders, tally = _table(config, view), _order_table(config, view), _tally_table(config, view)
    if not _exists(connection, orders):
        connection.execute(
            f"CREATE TABLE {orders}"
            " (entity_key BLOB PRIMARY KEY, event INTEGER NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID"
        )
        # Feast's own store keeps the second, and writes UTC as if it were local time.
        utc = "CAST(strftime('%s', max(event_ts), 'unixepoch', 'localtime') AS INTEGER)"
        connection.execute(
            f"INSERT INTO {orders} SELECT entity_key, {utc} * 1000000, {NEVER} FROM {table}"
            " GROUP BY entity_key"
        )
        connection.execute(f"DROP TABLE IF EXISTS {tally}")
    if _exists(connection, tally):
        return
    columns = "rows INTEGER, digest INTEGER, expected_rows INTEGER, expected_digest INTEGER"
    connection.execute(f"CREATE TABLE {tally} ({columns})")
    _count_anew(connection, config, view)
    new, old = _weight("NEW."), _weight("OLD.")
    for name, event, on, then in (
        ("gone", "DELETE", table, f"DELETE FROM {orders} WHERE entity_key = OLD.entity_key"),
        ("more", "INSERT", orders, f"UPDATE {tally} SET rows = rows + 1, digest = digest + {new}"),
        ("less", "DELETE", orders, f"UPDATE {tally} SET rows = rows - 1, digest = digest - ({old})"),
        ("other", "UPDATE", orders, f"UPDATE {tally} SET digest = digest + {new} - ({old})"),
    ):
        trigger = f'"{sqlite_table(config, view)}#{name}"'
        connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        connection.execute(f"CREATE TRIGGER {trigger} AFTER {event} ON {on} BEGIN {then}; END")


def _count(connection: Connection, config: RepoConfig, view: FeatureView) -> Tally:
    """What is there, as it was counted."""
    row = connection.execute(f"SELECT rows, digest FROM {_tally_table(config, view)}").fetchone()
    return NOTHING if row is None else Tally(*row)


def _count_anew(connection: Connection, config: RepoConfig, view: FeatureView) -> None:
    """Count what is there, row by row; nothing is expected then."""
    tally = _tally_table(config, view)
    connection.execute(f"DELETE FROM {tally}")
    connection.execute(
        f"INSERT INTO {tally} SELECT count(*), coalesce(sum({_weight()}), 0), NULL, NULL"
        f" FROM {_order_table(config, view)}"
    )


def _weight(row: str = "") -> str:
    """What a row adds to the digest, which so fits a column for 67 million rows."""
    return f"31 * ({row}event & {LOW}) + ({row}created & {LOW})"


def _exists(connection: Connection, table: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (table.strip('"'),)).fetchone() is not None
