"""What the gate checks, derived from a table's declaration: table → checks → GX suite.

`checks` is pure and knows nothing of Great Expectations; `suite` turns its result into one. Row rules keep
the predicate of the declaration to the letter, the one by which the quarantine judged the same rows.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from feature_repo.define.column import Type
from feature_repo.define.rule import Reference, Rule
from feature_repo.define.table import Table

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation import Expectation

CheckKind = Literal["columns", "types", "rows", "present", "range", "length", "custom", "unique", "reference"]

STRUCTURAL: tuple[CheckKind, ...] = ("columns", "types")
"""Checks of the schema alone; the others look at rows."""

SPARK_TYPES: dict[Type, str] = {
    Type.INT64: "bigint",
    Type.FLOAT64: "double",
    Type.STRING: "string",
    Type.TIMESTAMP: "timestamp",
    Type.INT64_LIST: "array<bigint>",
    Type.FLOAT64_LIST: "array<double>",
    Type.STRING_LIST: "array<string>",
}
"""Declared type → Spark's `simpleString`."""


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


def spark_types(table: Table) -> dict[str, str]:
    """Declared columns and their Spark types, in stored order."""
    return {column.name: SPARK_TYPES[column.type] for column in table.all_columns}


def broken_columns(table: Table, found: Mapping[str, str]) -> frozenset[str]:
    """Declared columns that a frame with the columns `found` (name → type) lacks or has in another type."""
    return frozenset(name for name, type_ in spark_types(table).items() if found.get(name) != type_)


def checkable(check: Check, broken: frozenset[str]) -> bool:
    """Whether a check can be made although these columns are missing or of the wrong type."""
    return broken.isdisjoint(check.columns)


def reference_view(table: str) -> str:
    """The temporary view that holds a referenced table while the gate runs."""
    return f"marquee_gate_{table}"


def suite(table: Table, chosen: Iterable[Check]) -> "ExpectationSuite":
    """The Great Expectations suite that makes these checks; each expectation carries its check's name."""
    from great_expectations import ExpectationSuite

    return ExpectationSuite(name=table.name, expectations=[expectation(table, check) for check in chosen])


def expectation(table: Table, check: Check) -> "Expectation":
    """One check as an expectation: `meta["check"]` is its name, its notes show the SQL."""
    from great_expectations.expectations.core.expect_table_columns_to_match_set import (
        ExpectTableColumnsToMatchSet,
    )
    from great_expectations.expectations.core.expect_table_row_count_to_be_between import (
        ExpectTableRowCountToBeBetween,
    )

    from validation.gate import expectations as ours

    common: dict[str, Any] = {
        "description": f"{check.name}: {'no row where ' if check.is_row_rule else ''}{check.says}",
        "meta": {"check": check.name},
        "notes": check.sql or None,
    }
    match check.kind:
        case "columns":
            return ExpectTableColumnsToMatchSet(
                column_set=list(table.column_names), exact_match=True, **common
            )
        case "types":
            return ours.ExpectColumnsToHaveTypes(types=spark_types(table), **common)
        case "rows":
            return ExpectTableRowCountToBeBetween(min_value=least_rows(table), **common)
        case "unique" | "reference":
            return ours.ExpectNoRowsFrom(unexpected_rows_query=check.sql, **common)
        case _:
            # A rule about one column stands under that column in Data Docs.
            column = check.columns[0] if len(check.columns) == 1 else None
            return ours.ExpectRowsToSatisfy(predicate=check.sql, column=column, **common)


def _unique(table: Table) -> Check:
    keys = ", ".join(table.unique)
    return Check(
        f"{table.name}_are_unique",
        "unique",
        f"({keys}) occurs once" if len(table.unique) > 1 else f"{keys} occurs once",
        f"SELECT {keys}, count(*) AS rows FROM {{batch}} GROUP BY {keys} HAVING count(*) > 1",
        table.unique,
    )


def _reference(table: Table, reference: Reference, other: Table) -> Check:
    (key,) = other.key
    shown = ", ".join(dict.fromkeys((*table.unique, reference.column)))
    return Check(
        reference.rule,
        "reference",
        f"every {reference.column} is in {reference.table}",
        f"SELECT {shown} FROM {{batch}} AS here WHERE here.{reference.column} IS NOT NULL AND NOT EXISTS "
        f"(SELECT 1 FROM {reference_view(reference.table)} AS there "
        f"WHERE there.{key.name} = here.{reference.column})",
        tuple(dict.fromkeys((*table.unique, reference.column))),
    )


def _row_rule(rule: Rule, columns: tuple[str, ...]) -> Check:
    words = set(re.findall(r"\w+", rule.predicate))
    needed = tuple(name for name in columns if name in words or name == rule.column)
    return Check(rule.name, rule.kind, rule.reason, rule.predicate, needed)
