"""What the gate checks follows from the declarations: every rule, reference and type has its expectation."""

from dataclasses import replace

import pytest

from feature_repo.define.column import Column, Type
from feature_repo.define.table import Table
from feature_repo.domains.movies import DOMAIN
from feature_repo.spark import spark_schema
from tests.toy_domain import PRESS
from validation.gate.checks import checks, type_names
from validation.gate.expectations import suite

TABLES = DOMAIN.tables
DECLARED = [
    pytest.param(table, domain.tables, id=table.name)
    for domain in (DOMAIN, PRESS)
    for table in domain.tables.values()
]


@pytest.mark.parametrize(("table", "tables"), DECLARED)
def test_every_declaration_is_checked(table: Table, tables: dict[str, Table]) -> None:
    by_name = {check.name: check for check in checks(table, tables)}
    assert len(by_name) == len(checks(table, tables)), "names are unique"
    for rule in table.row_rules:
        assert by_name[rule.name].sql == rule.predicate
    for reference in table.references:
        assert reference.rule in by_name
    assert {"columns_as_declared", "types_as_declared", "row_count", f"{table.name}_are_unique"} <= set(
        by_name
    )


@pytest.mark.parametrize(("table", "tables"), DECLARED)
def test_each_check_is_an_expectation_of_the_suite(table: Table, tables: dict[str, Table]) -> None:
    expectations = suite(table, checks(table, tables)).expectations
    assert [e.meta["check"] for e in expectations] == [c.name for c in checks(table, tables)]


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_the_types_that_are_checked_are_those_that_the_lake_stores(table: Table) -> None:
    stored = {field.name: field.dataType.simpleString() for field in spark_schema(table)}
    assert type_names(table) == stored


def test_a_new_column_brings_its_checks() -> None:
    new = Column("user_mood", Type.INT64_LIST, "Mood.", low=0, high=9, length=3)
    old = TABLES["user_recent_likes"]
    grown = replace(old, columns=(*old.columns, new))
    brought = {c.name for c in checks(grown, TABLES)} - {c.name for c in checks(old, TABLES)}
    assert brought == {"user_mood_is_present", "user_mood_in_range", "user_mood_has_length"}
    assert "user_mood" in type_names(grown)
