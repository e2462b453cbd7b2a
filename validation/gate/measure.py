"""What is measured of a table, check by check, for Great Expectations to judge (`gate.expectations`)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from feature_repo.define.column import quoted
from feature_repo.define.table import Table
from validation.gate.checks import ROWS, Check, broken_columns, checkable, least_rows, relation, type_names
from validation.gate.tables import QueryError, Tables

EXAMPLES = 5
"""Unexpected rows shown of each check."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found of one check.

    Args:
        holds: whether it does.
        unexpected: rows that break it; of a uniqueness check, keys that occur more than once; of a check of
            the structure, columns.
        detail: what was found, in words; "" where the number says all.
        error: why it could not be measured, as one line; "" where it was.
    """

    holds: bool
    unexpected: int = 0
    detail: str = ""
    error: str = ""


def measure(table: Table, tables: Tables, checks: Iterable[Check]) -> tuple[int, dict[str, Measured]]:
    """A table's rows, and by the name of a check what was found of it.

    Checks that need a column that is missing, or has another type, are left out. All row rules are measured
    in one pass over the table.

    Args:
        tables: the table and those that it refers to.
    """
    types = tables.types(table.name)
    broken = broken_columns(table, types)
    chosen = [check for check in checks if checkable(check, broken)]
    rules = [check for check in chosen if check.is_row_rule]
    try:
        rows, breaking = _count(tables, table.name, rules)
    except QueryError as error:
        rows, failed = 0, Measured(False, error=str(error))
        found = {check.name: failed for check in (*rules, *(c for c in chosen if c.kind == "rows"))}
    else:
        found = {rule.name: Measured(not n, n) for rule, n in zip(rules, breaking, strict=True)}
        found |= {
            check.name: Measured(rows >= least_rows(table), detail="" if rows else "there are none")
            for check in chosen
            if check.kind == "rows"
        }
    for check in chosen:
        if check.kind == "columns":
            found[check.name] = _columns(table, types)
        elif check.kind == "types":
            found[check.name] = _types(table, types)
        elif check.kind in ("unique", "reference"):
            found[check.name] = _unexpected(tables, table.name, check)
    return rows, found


def _count(tables: Tables, name: str, rules: Sequence[Check]) -> tuple[int, list[int]]:
    """How many rows a table has, and how many break each rule."""
    counts = [f"count(CASE WHEN {_breaks(rule)} THEN 1 END) AS rule_{i}" for i, rule in enumerate(rules)]
    (row,) = tables.fetch(f"SELECT {', '.join(['count(*) AS n', *counts])} FROM {relation(name)}")
    return row["n"], [row[f"rule_{i}"] for i in range(len(rules))]


def _columns(table: Table, types: dict[str, str]) -> Measured:
    missing = [name for name in table.column_names if name not in types]
    unexpected = [name for name in types if name not in table.column_names]
    parts = [("missing", missing), ("unexpected", unexpected)]
    detail = "; ".join(f"{how}: {', '.join(names)}" for how, names in parts if names)
    return Measured(not detail, len(missing) + len(unexpected), detail)


def _types(table: Table, types: dict[str, str]) -> Measured:
    declared = type_names(table)
    wrong = [name for name, type_ in declared.items() if types.get(name, type_) != type_]
    detail = "; ".join(f"{name} is {types[name]}, not {declared[name]}" for name in wrong)
    return Measured(not wrong, len(wrong), detail)


def _unexpected(tables: Tables, name: str, check: Check) -> Measured:
    try:
        ((n,),) = (row.values() for row in tables.fetch(f"SELECT count(*) AS n FROM ({_query(name, check)})"))
    except QueryError as error:
        return Measured(False, error=str(error))
    return Measured(not n, n)


def examples(table: Table, tables: Tables, check: Check) -> tuple[str, ...]:
    """A few unexpected rows of a check that has SQL, the same ones each time, each as "column = value, …"."""
    if check.is_row_rule:
        there = tables.types(table.name)
        names = [name for name in dict.fromkeys((*table.unique, *check.columns)) if name in there]
        rows = f"{relation(table.name)} WHERE {_breaks(check)}"
    else:
        names = [*check.columns, *([ROWS] if check.kind == "unique" else [])]
        rows = f"({_query(table.name, check)})"
    held = [quoted(name) for name in names]
    order = ", ".join(f"{name} NULLS FIRST" for name in held)
    found = tables.fetch(f"SELECT {', '.join(held)} FROM {rows} ORDER BY {order} LIMIT {EXAMPLES}")
    return tuple(", ".join(f"{name} = {_in_words(value)}" for name, value in row.items()) for row in found)


def _breaks(check: Check) -> str:
    """True for the rows that break a row rule; null counts as broken."""
    return f"NOT coalesce({check.sql}, false)"


def _query(name: str, check: Check) -> str:
    return check.sql.replace("{batch}", relation(name))


def _in_words(value: Any) -> str:
    return "null" if value is None else str(value)
