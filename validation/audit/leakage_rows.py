"""Every row of a feature table against what the events strictly before its stamp give."""

from collections.abc import Mapping
from typing import Any

import duckdb

from feature_repo.define.column import CREATED_TIMESTAMP, EVENT_TIMESTAMP, Column, Type, quoted
from feature_repo.define.view import View
from validation.audit.oracle import TOLERANCE
from validation.audit.reading import instant_in_words, moment, value_in_words


def _held(view: View) -> str:
    """The rows in force as `_k`, `_stamp` and the features: per key and stamp, all that were written last."""
    columns = ", ".join(quoted(column.name) for column in view.columns)
    return (
        f"SELECT {quoted(view.by.name)} AS _k, epoch_us({EVENT_TIMESTAMP}) AS _stamp, {columns}"
        f" FROM {quoted(view.name)}"
        f" QUALIFY rank() OVER (PARTITION BY _k, _stamp ORDER BY {CREATED_TIMESTAMP} DESC NULLS LAST) = 1"
    )


def count_rows(con: duckdb.DuckDBPyConnection, view: View) -> tuple[int, int]:
    """Rows in force, and rows superseded by corrections."""
    in_force = con.sql(f"SELECT count(*) FROM ({_held(view)})").fetchall()[0][0]
    stored = con.sql(f"SELECT count(*) FROM {quoted(view.name)}").fetchall()[0][0]
    return in_force, stored - in_force


def wrong_rows(con: duckdb.DuckDBPyConnection, view: View, should_be: str) -> dict[str, tuple[int, str]]:
    """By feature, how many rows do not hold what the events strictly before their stamp give, and the first.

    Args:
        con: from `reading.lake`.
        should_be: from `sql.restated`.
    """
    same_stamp = "h._k = t._k AND h._stamp = t._stamp"
    stray = (
        f"SELECT * FROM ({_held(view)}) h ANTI JOIN (SELECT _k, _stamp FROM ({should_be})) t ON {same_stamp}"
    )
    # Rows that stand right after an event need no search for the latest one before them: an equality will do.
    found = _compare(con, view, f"({_held(view)}) h JOIN ({should_be}) t ON {same_stamp}")
    if con.sql(f"SELECT count(*) FROM ({stray})").fetchall()[0][0]:
        latest = f"({stray}) h ASOF LEFT JOIN ({should_be}) t ON h._k = t._k AND h._stamp >= t._stamp"
        strays = _compare(con, view, latest)
        found = {name: (n + strays[name][0], strays[name][1] or first) for name, (n, first) in found.items()}
    return found


def _compare(con: duckdb.DuckDBPyConnection, view: View, pairs: str) -> dict[str, tuple[int, str]]:
    """By feature, in how many of `pairs`, joined from `h` and `t`, these differ, and the first in words."""
    parts = []
    for i, column in enumerate(view.columns):
        held, told = f"h.{quoted(column.name)}", f"t.{quoted(column.name)}"
        differs = _differs(held, told, column)
        example = f"{{'_k': h._k, '_stamp': h._stamp, 'held': {held}::VARCHAR, 'told': {told}::VARCHAR}}"
        parts.append(f"count(*) FILTER (WHERE {differs}) AS n{i}")
        parts.append(f"arg_min({example}, (h._stamp, h._k)) FILTER (WHERE {differs}) AS e{i}")
    row = con.sql(f"SELECT {', '.join(parts)} FROM {pairs}").fetchall()[0]
    key = view.by.name
    return {
        column.name: (row[2 * i], "" if row[2 * i + 1] is None else _in_words(key, row[2 * i + 1]))
        for i, column in enumerate(view.columns)
    }


def _differs(held: str, told: str, column: Column) -> str:
    if column.type is not Type.FLOAT64:
        return f"{held} IS DISTINCT FROM {told}"
    near = f"abs({held} - {told}) <= {TOLERANCE} * greatest(abs({held}), abs({told}), 1)"
    return f"({held} IS DISTINCT FROM {told} AND NOT coalesce({near}, false))"


def _in_words(key: str, example: Mapping[str, Any]) -> str:
    return (
        f"{key} {example['_k']} known from {instant_in_words(moment(example['_stamp']))}:"
        f" {value_in_words(example['held'])} instead of {value_in_words(example['told'])}"
    )


def missing_rows(con: duckdb.DuckDBPyConnection, view: View, should_be: str) -> tuple[int, str]:
    """How many rows the events call for that the table does not have, and the first in words; the arguments
    are those of `wrong_rows`."""
    key = view.by.name
    query = (
        "SELECT count(*), arg_min({'_k': t._k, '_stamp': t._stamp}, (t._stamp, t._k))"
        f" FROM (SELECT _k, _stamp FROM ({should_be})) t"
        f" ANTI JOIN (SELECT {quoted(key)} AS _k, epoch_us({EVENT_TIMESTAMP}) AS _stamp"
        f" FROM {quoted(view.name)}) h"
        " ON t._k = h._k AND t._stamp = h._stamp"
    )
    missing, first = con.sql(query).fetchall()[0]
    if not missing:
        return 0, ""
    return missing, f"{key} {first['_k']} has no row known from {instant_in_words(moment(first['_stamp']))}"
