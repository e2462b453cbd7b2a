"""What the gate checks, derived from a table's declaration.

Row rules keep the predicate of the declaration to the letter, the one by which the quarantine judged the same
rows. SQL is in the words of `lake.dialect`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from feature_repo.define.column import Type, quoted
from feature_repo.define.rule import Reference, Rule
from feature_repo.define.table import Table

CheckKind = Literal["columns", "types", "rows", "present", "range", "length", "custom", "unique", "reference"]

STRUCTURAL: tuple[CheckKind, ...] = ("columns", "types")
"""Checks of the schema alone; the others look at rows."""

TYPE_NAMES: dict[Type, str] = {
    Type.INT64: "bigint",
    Type.FLOAT64: "double",
    Type.STRING: "string",
    Type.TIMESTAMP: "timestamp",
    Type.INT64_LIST: "array<bigint>",
    Type.FLOAT64_LIST: "array<double>",
    Type.STRING_LIST: "array<string>",
}
"""What types are called here, whichever engine holds the table: as Spark calls them."""


ROWS = "rows"
"""Beside the keys that occur more than once: how often each does."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold of a table.

    Args:
        name: on the page, in Data Docs and in the exit message; of a row rule, the rule's name.
        kind: how it came about.
        says: what must hold, or for a row rule what is wrong with a row that breaks it.
        sql: a row rule's predicate (true for a good row), or a query that gives the unexpected rows with
            `{batch}` for the table; "" for structural checks.
        columns: the columns that it needs.
    """

    name: str
    kind: CheckKind
    says: str
    sql: str = ""
    columns: tuple[str, ...] = ()

    @property
    def is_row_rule(self) -> bool:
        """Whether it is a property of single rows."""
        return self.kind in ("present", "range", "length", "custom")


def checks(table: Table, tables: Mapping[str, Table]) -> tuple[Check, ...]:
    """Every check of a table, as they are shown: structure, keys, references, row rules.

    Args:
        tables: those that it refers to, and perhaps others, by name.
    """
    return (
        Check(
            "columns_as_declared",
            "columns",
            f"there are exactly the {len(table.column_names)} declared columns",
        ),
        Check("types_as_declared", "types", "every column has its declared type"),
        Check(
            "row_count",
            "rows",
            "the table may be empty" if table.may_be_empty else "the table has rows",
        ),
        _unique(table),
        *(_reference(table, reference, tables[reference.table]) for reference in table.references),
        *(_row_rule(rule, table.column_names) for rule in table.row_rules),
    )


def least_rows(table: Table) -> int:
    """The fewest rows that a table may have."""
    return 0 if table.may_be_empty else 1


def type_names(table: Table) -> dict[str, str]:
    """Declared columns and what their types are called, in stored order."""
    return {column.name: TYPE_NAMES[column.type] for column in table.all_columns}


def broken_columns(table: Table, found: Mapping[str, str]) -> frozenset[str]:
    """Declared columns that a table with the columns `found` (name → type) lacks or has in another type."""
    return frozenset(name for name, type_ in type_names(table).items() if found.get(name) != type_)


def checkable(check: Check, broken: frozenset[str]) -> bool:
    """Whether a check can be made although these columns are missing or of the wrong type."""
    return broken.isdisjoint(check.columns)


def relation(name: str) -> str:
    """What a table is called in SQL while the gate runs."""
    return f"marquee_gate_{name}"


def _unique(table: Table) -> Check:
    keys, held = (", ".join(names) for names in (table.unique, map(quoted, table.unique)))
    return Check(
        f"{table.name}_are_unique",
        "unique",
        f"({keys}) occurs once" if len(table.unique) > 1 else f"{keys} occurs once",
        f"SELECT {held}, count(*) AS {quoted(ROWS)} FROM {{batch}} GROUP BY {held} HAVING count(*) > 1",
        table.unique,
    )


def _reference(table: Table, reference: Reference, other: Table) -> Check:
    (key,) = other.key
    shown = ", ".join(map(quoted, dict.fromkeys((*table.unique, reference.column))))
    held = f"here.{quoted(reference.column)}"
    return Check(
        reference.rule,
        "reference",
        f"every {reference.column} is in {reference.table}",
        f"SELECT {shown} FROM {{batch}} AS here WHERE {held} IS NOT NULL AND NOT EXISTS "
        f"(SELECT 1 FROM {relation(reference.table)} AS there "
        f"WHERE there.{quoted(key.name)} = {held})",
        tuple(dict.fromkeys((*table.unique, reference.column))),
    )


def _row_rule(rule: Rule, columns: tuple[str, ...]) -> Check:
    # A name may be quoted, and then be made of anything; or a word.
    words = {*re.findall(r"\w+", rule.predicate), *re.findall(r"`((?:[^`]|``)+)`", rule.predicate)}
    needed = tuple(name for name in columns if name.replace("`", "``") in words or name == rule.column)
    return Check(rule.name, rule.kind, rule.reason, rule.predicate, needed)
