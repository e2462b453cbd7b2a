"""What the audits read: the lake's tables, and what the offline store returns with the stamp of each row."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa
from feast import FeatureStore, FeatureView, Field
from feast.types import UnixTimestamp

from common.errors import MarqueeError
from feature_repo.define.column import EVENT_TIMESTAMP, quoted
from feature_repo.define.domain import Domain
from feature_repo.define.table import Table
from feature_repo.define.view import View
from feature_repo.feast_internals import offline_store
from feature_repo.offline.tables import require_columns, tables_named
from lake.duckdb import MEMORY, connection
from validation.audit.oracle import Row, events_by_key

LABELS_AT_ONCE = 5_000_000
"""Labels that one join takes, to bound its memory."""


@contextmanager
def lake(store: FeatureStore, domain: Domain, memory: str = MEMORY) -> Iterator[duckdb.DuckDBPyConnection]:
    """The lake's tables by name in a DuckDB of its own, which spills past `memory`.

    Raises:
        MarqueeError: a table is not there, or lacks a column of its view.
    """
    tables = dict(tables_named(store.config, " ".join(domain.tables)))
    missing = [name for name in domain.tables if name not in tables]
    if missing:
        needed = [table.name for table in domain.sources if not table.may_be_empty]
        ingest = "marquee pipeline ingest and " if set(needed) & set(missing) else ""
        raise MarqueeError(f"The lake lacks {', '.join(missing)}: run {ingest}marquee pipeline run.")
    datasets = {name: tables[name].to_pyarrow_dataset() for name in domain.tables}
    for view in domain.views:
        require_columns(
            store.config, view.name, view.name, datasets[view.name].schema, view.table.column_names
        )
    with connection(memory, store.config.offline_store.lake) as opened:
        for name, table in datasets.items():
            opened.register(name, table)
        yield opened


# --- labels -----------------------------------------------------------------------------------------------


def label_keys(domain: Domain) -> list[str]:
    """The columns of an event by which its features are found."""
    keys = {key.name for key in domain.keys}
    return [name for name in domain.events.column_names if name in keys]


def read_labels(con: duckdb.DuckDBPyConnection, domain: Domain) -> pa.Table:
    """All events, each a label, with all their columns in the order of time.

    Raises:
        MarqueeError: there are none.
    """
    events = domain.events
    columns = ", ".join(map(quoted, events.column_names))
    order = ", ".join([EVENT_TIMESTAMP, *(quoted(key.name) for key in events.key)])
    labels = con.sql(f"SELECT {columns} FROM {quoted(events.name)} ORDER BY {order}").to_arrow_table()
    if labels.num_rows == 0:
        raise MarqueeError(f"The lake has no {events.name}, hence no labels to audit.")
    return labels


def offline_rows(store: FeatureStore, domain: Domain, labels: pa.Table, features: bool = True) -> pa.Table:
    """All features at labels as the offline store joins them, each view's with the stamp of its row.

    The stamp is asked for as one more column of the view, so it is that of the very row that was joined.

    Args:
        labels: n rows with the `label_keys` and `event_timestamp`.
        features: whether the features are wanted, or the stamps alone.

    Returns:
        n rows in order: the labels' columns, the features by name, and `<view>_known_since`, null where the
        view has no row.
    """
    result = labels
    views = [_with_stamp(store, view) for view in domain.views]
    references, names = [], []
    for view in domain.views:
        wanted = [column.name for column in view.columns] if features else []
        references += [f"{view.name}:{name}" for name in (*wanted, EVENT_TIMESTAMP)]
        names += [*wanted, known_since(view)]
    parts = []
    for start in range(0, max(labels.num_rows, 1), LABELS_AT_ONCE):
        job = offline_store(store).get_historical_features(
            config=store.config,
            feature_views=views,
            feature_refs=references,
            entity_df=labels.slice(start, LABELS_AT_ONCE).select([*label_keys(domain), EVENT_TIMESTAMP]),
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


def known_since(view: View) -> str:
    """The column of a view's stamps in `offline_rows`."""
    return f"{view.name}_known_since"


def _with_stamp(store: FeatureStore, view: View) -> FeatureView:
    """A published view, with its timestamp as one more feature; nothing is published."""
    published = store.get_feature_view(view.name)
    entities = {entity.name: entity for entity in store.list_entities()}
    return FeatureView(
        name=published.name,
        entities=[entities[name] for name in published.entities],
        schema=[*published.schema, Field(name=EVENT_TIMESTAMP, dtype=UnixTimestamp)],
        source=published.batch_source,
        ttl=published.ttl,
    )


# --- what is behind the labels' features ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class History:
    """All that bears on the features of some labels.

    Args:
        events: by the name of a view and the value of its key, what its features are computed from, in the
            order of `oracle.events_by_key`.
    """

    events: dict[str, dict[Any, list[Row]]]

    @classmethod
    def of(cls, con: duckdb.DuckDBPyConnection, domain: Domain, labels: pa.Table) -> "History":
        """What bears on some labels, in the whole lake.

        Args:
            con: from `lake`.
            labels: with the `label_keys`.
        """
        con.register("audited", labels.select(label_keys(domain)))

        @cache
        def rows(table: str, key: str) -> list[Row]:
            """A table's rows of the labels' values of a key; all where it is ""."""
            columns = ", ".join(map(quoted, _read(domain, domain.tables[table])))
            of_labels = f" WHERE {quoted(key)} IN (SELECT {quoted(key)} FROM audited)" if key else ""
            query = f"SELECT {columns} FROM {quoted(table)}{of_labels}"
            found: list[Row] = con.sql(query).to_arrow_table().to_pylist()
            return found

        events = {}
        for view in domain.views:
            tables = {view.over.table.name: rows(view.over.table.name, view.by.name)}
            if view.over.joined is not None:
                tables[view.over.joined.name] = rows(view.over.joined.name, "")
            events[view.name] = events_by_key(view, tables)
        con.unregister("audited")
        return cls(events)

    def of_key(self, view: View, row: Row) -> list[Row]:
        """What a view's features of a label's key are computed from; nothing where the key has no events."""
        return self.events[view.name].get(row[view.by.name], [])


def _read(domain: Domain, table: Table) -> list[str]:
    """The columns of a table that features are computed from, or that tell its rows apart."""
    names = {EVENT_TIMESTAMP, *table.unique, *(key.name for key in table.key)}
    for view in domain.views:
        conditions = [getattr(each, "where", None) for each in (view.over, *view.features)]
        names |= {condition.column for condition in conditions if condition is not None}
        names |= {each.of for each in view.features if hasattr(each, "of")}
    return [name for name in table.column_names if name in names]


# --- in words ---------------------------------------------------------------------------------------------


def microseconds(moment: datetime) -> int:
    """An instant as microseconds since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def moment(microseconds: int) -> datetime:
    """The instant so many microseconds after 1970 began (UTC)."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def instant_in_words(instant: datetime) -> str:
    """An instant, for people."""
    return f"{instant:%Y-%m-%d %H:%M:%S.%f}"


def value_in_words(value: object) -> str:
    """A feature's value, for people."""
    return "nothing" if value is None else str(value)


def label_in_words(domain: Domain, row: Row) -> str:
    """Which label a row is, for people: its keys and its instant."""
    keys = ", ".join(f"{name} {row[name]}" for name in label_keys(domain))
    return f"{keys} at {instant_in_words(row[EVENT_TIMESTAMP])}"
