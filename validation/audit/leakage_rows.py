"""Every row of a feature table against what the events strictly before its stamp give."""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from feature_repo.schema import CREATED_TIMESTAMP, EVENT_TIMESTAMP, Column, Table, Type
from validation.audit.movie_oracle import TOLERANCE
from validation.audit.sql import restated
from validation.audit.store import instant_in_words, value_in_words


def genres_of(con: duckdb.DuckDBPyConnection) -> list[str]:
    """All genres of the catalogue, in order."""
    return [
        row[0] for row in con.sql("SELECT DISTINCT unnest(genres) AS g FROM movies ORDER BY g").fetchall()
    ]


def _held(table: Table) -> str:
    """The rows in force as `k`, `stamp` and the features: per key and stamp, all that were written last."""
    columns = ", ".join(f'"{column.name}"' for column in table.feature_columns)
    return (
        f"SELECT {table.key[0].name} AS k, epoch_us({EVENT_TIMESTAMP}) AS stamp, {columns} FROM {table.name}"
        f" QUALIFY rank() OVER (PARTITION BY k, stamp ORDER BY {CREATED_TIMESTAMP} DESC NULLS LAST) = 1"
    )


def count_rows(con: duckdb.DuckDBPyConnection, table: Table) -> tuple[int, int]:
    """Rows in force, and rows superseded by corrections."""
    in_force = con.sql(f"SELECT count(*) FROM ({_held(table)})").fetchall()[0][0]
    stored = con.sql(f"SELECT count(*) FROM {table.name}").fetchall()[0][0]
    return in_force, stored - in_force


def wrong_rows(
    con: duckdb.DuckDBPyConnection, table: Table, genres: Sequence[str]
) -> dict[str, tuple[int, str]]:
    """By feature, how many rows do not hold what the events strictly before their stamp give, and one."""
    told = restated(table, genres)
    same_stamp = "h.k = t.k AND h.stamp = t.stamp"
    stray = f"SELECT * FROM ({_held(table)}) h ANTI JOIN (SELECT k, stamp FROM ({told})) t ON {same_stamp}"
    # Rows that stand right after an event need no search for the latest one before them: an equality will do.
    found = _compare(con, table, f"({_held(table)}) h JOIN ({told}) t ON {same_stamp}")
    if con.sql(f"SELECT count(*) FROM ({stray})").fetchall()[0][0]:
        latest = f"({stray}) h ASOF LEFT JOIN ({told}) t ON h.k = t.k AND h.stamp >= t.stamp"
        strays = _compare(con, table, latest)
        found = {name: (n + strays[name][0], strays[name][1] or first) for name, (n, first) in found.items()}
    return found


def _compare(con: duckdb.DuckDBPyConnection, table: Table, pairs: str) -> dict[str, tuple[int, str]]:
    """By feature, in how many of `pairs`, joined from `h` and `t`, these differ, and the first in words."""
    parts = []
    for i, column in enumerate(table.feature_columns):
        held, told = f'h."{column.name}"', f't."{column.name}"'
        differs = _differs(held, told, column)
        example = f"{{'k': h.k, 'stamp': h.stamp, 'held': {held}::VARCHAR, 'told': {told}::VARCHAR}}"
        parts.append(f"count(*) FILTER (WHERE {differs}) AS n{i}")
        parts.append(f"arg_min({example}, (h.stamp, h.k)) FILTER (WHERE {differs}) AS e{i}")
    row = con.sql(f"SELECT {', '.join(parts)} FROM {pairs}").fetchall()[0]
    key = table.key[0].name
    return {
        column.name: (row[2 * i], "" if row[2 * i + 1] is None else _in_words(key, row[2 * i + 1]))
        for i, column in enumerate(table.feature_columns)
    }


def _differs(held: str, told: str, column: Column) -> str:
    if column.type is not Type.FLOAT64:
        return f"{held} IS DISTINCT FROM {told}"
    near = f"abs({held} - {told}) <= {TOLERANCE} * greatest(abs({held}), abs({told}), 1)"
    return f"({held} IS DISTINCT FROM {told} AND NOT coalesce({near}, false))"


def _in_words(key: str, example: Mapping[str, Any]) -> str:
    return (
        f"{key} {example['k']} known from {instant_in_words(example['stamp'])}:"
        f" {value_in_words(example['held'])} instead of {value_in_words(example['told'])}"
    )


def missing_rows(con: duckdb.DuckDBPyConnection, table: Table, genres: Sequence[str]) -> tuple[int, str]:
    """How many rows the events call for that the table does not have, and the first in words."""
    key = table.key[0].name
    query = (
        "SELECT count(*), arg_min({'k': t.k, 'stamp': t.stamp}, (t.stamp, t.k))"
        f" FROM (SELECT k, stamp FROM ({restated(table, genres)})) t"
        f" ANTI JOIN (SELECT {key} AS k, epoch_us({EVENT_TIMESTAMP}) AS stamp FROM {table.name}) h"
        " ON t.k = h.k AND t.stamp = h.stamp"
    )
    missing, first = con.sql(query).fetchall()[0]
    if not missing:
        return 0, ""
    return missing, f"{key} {first['k']} has no row known from {instant_in_words(first['stamp'])}"
