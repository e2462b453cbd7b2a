"""Rows of a domain's source tables, drawn from their declarations: few keys, so that they are met often;
instants that are shared; values missing; events whose catalogue row is missing.

By Hypothesis, or many at once."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from feature_repo.arrow import arrow_schema
from feature_repo.define.column import EVENT_TIMESTAMP, Column, Type
from feature_repo.define.domain import Domain
from feature_repo.define.table import Table

Row = dict[str, Any]
Rows = list[Row]

START = datetime(2000, 1, 1, tzinfo=UTC)
KEYS: dict[Type, list[Any]] = {Type.INT64: [1, 2, 10], Type.STRING: ["a", "b10", "b2", "Ä", "it's"]}
WORDS = ["Art", "Film-Noir", "War", "art", "Ärger", "it's"]
INSTANTS = st.builds(
    lambda second, micros: START + timedelta(seconds=second, microseconds=micros),
    st.integers(0, 8),
    st.sampled_from([0, 0, 0, 999_999]),
)


def values(column: Column) -> st.SearchStrategy[Any]:
    """Values of one column within its declaration; some are missing, unless it is a list."""
    if column.name == EVENT_TIMESTAMP:
        return INSTANTS
    if column.type is Type.STRING_LIST:
        return st.lists(st.sampled_from(WORDS), max_size=3, unique=True).map(sorted)
    if column.type is Type.STRING:
        return st.sampled_from([*WORDS, None])
    return st.none() | st.integers(0, 9).map(lambda steps: number(column, steps))


def number(column: Column, steps: int) -> float | int:
    """The number that lies so many steps above a column's least."""
    kind = float if column.type is Type.FLOAT64 else int
    return kind((column.low or 0) + steps * (column.step or 1))


def rows_of(table: Table) -> st.SearchStrategy[Rows]:
    """Rows of a table, its unique columns unique."""
    columns = {
        column.name: st.sampled_from(KEYS[column.type]) if column in table.key else values(column)
        for column in table.all_columns
    }
    return st.lists(
        st.fixed_dictionaries(columns),
        max_size=30 if table.kind == "event" else 6,
        unique_by=lambda row: _unique(table, row),
    )


def sources_of(domain: Domain) -> st.SearchStrategy[dict[str, Rows]]:
    """Rows of all source tables of a domain."""
    return st.fixed_dictionaries({table.name: rows_of(table) for table in domain.sources})


def in_arrow(domain: Domain, rows: Mapping[str, Sequence[Row]]) -> dict[str, pa.Table]:
    """Rows as Arrow tables in their declared schemas; tables that are not among them are empty."""
    return {
        table.name: pa.Table.from_pylist(list(rows.get(table.name, [])), arrow_schema(table))
        for table in domain.sources
    }


def many_deliveries(domain: Domain, seed: int) -> list[dict[str, pa.Table]]:
    """Three deliveries of some hundred events, as of many lakes side by side, and catalogues that grow."""
    random = Random(seed)
    keys = {
        column.name: range(1, 25)
        if column.type is Type.INT64
        else [f"{word} {n}" for word in WORDS for n in "12"]
        for table in domain.sources
        for column in table.key
    }

    def value(column: Column) -> Any:
        if column.name in keys:
            return random.choice(keys[column.name])
        if column.name == EVENT_TIMESTAMP:
            return START + timedelta(seconds=random.randrange(8), microseconds=random.choice([0, 0, 999_999]))
        if column.type is Type.STRING_LIST:
            return sorted(random.sample(WORDS, random.randrange(4)))
        if random.random() < 0.1:
            return None
        return random.choice(WORDS) if column.type is Type.STRING else number(column, random.randrange(10))

    found: list[dict[str, Rows]] = []
    for _ in range(3):
        tables: dict[str, Rows] = {}
        for table in domain.sources:
            earlier = {_unique(table, row): row for batch in found for row in batch[table.name]}
            drawn = [{c.name: value(c) for c in table.all_columns} for _ in range(150)]
            if table.kind == "event":
                new = {_unique(table, row): row for row in drawn}
                tables[table.name] = [row for unique, row in new.items() if unique not in earlier]
            else:
                new = {_unique(table, row): row for row in drawn[:8]}
                tables[table.name] = list({**earlier, **new}.values())
        found.append(tables)
    return [in_arrow(domain, tables) for tables in found]


def _unique(table: Table, row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in table.unique)
