"""The gate judges as the quarantine does, and as the declaration says."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from feature_repo.define.column import BEGINNING, EVENT, Column, Type
from feature_repo.define.rule import Rule
from feature_repo.define.table import Table
from feature_repo.domains.movies.tables import USER_ID
from tests.gate_tables import NOW, Row, rows_of
from validation.gate.checks import checks
from validation.gate.duckdb_tables import in_process
from validation.gate.gate import judge, open_project
from validation.gate.measure import measure
from validation.gate.spark_tables import on_spark
from validation.gate.tables import Tables

TOY = Table(
    name="toy",
    kind="event",
    key=(USER_ID,),
    columns=(
        Column("bounded", Type.FLOAT64, "A float with both bounds.", low=-1, high=2.5),
        Column("above", Type.FLOAT64, "A float with a lower bound.", low=0),
        Column("below", Type.FLOAT64, "A float with an upper bound.", high=3, nullable=True),
        Column("whole", Type.INT64, "An integer.", low=1, high=3, nullable=True),
        Column("ids", Type.INT64_LIST, "A list of numbers.", low=0, length=2, nullable=True),
        Column("words", Type.STRING_LIST, "A list of any length."),
        Column("text", Type.STRING, "Text."),
        EVENT,
    ),
    description="Every kind of column.",
    unique=("user_id",),
    rules=(Rule("above_exceeds_bounded", "above > bounded", "above is not above bounded"),),
)

FLOATS = st.sampled_from(
    [None, math.nan, math.inf, -math.inf, -1.0, math.nextafter(-1.0, -2.0), 2.5, 2.6, 0.0, -0.0, 3.0, 3.5]
)
TIMES = st.sampled_from(
    [None, BEGINNING, BEGINNING - timedelta(microseconds=1), NOW, datetime(2150, 1, 1, tzinfo=UTC)]
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "user_id": st.sampled_from([None, 0, 1, 2, 3, 4, 5]),
            "bounded": FLOATS,
            "above": FLOATS,
            "below": FLOATS,
            "whole": st.sampled_from([None, 0, 1, 3, 4]),
            "ids": st.none() | st.lists(st.sampled_from([None, -1, 0, 7]), max_size=3),
            "words": st.none() | st.lists(st.sampled_from([None, "", "a"]), max_size=2),
            "text": st.sampled_from([None, "", "a"]),
            "event_timestamp": TIMES,
        }
    ),
    min_size=1,
    max_size=40,
)


def breaks_slowly(column: Column, kind: str, value: Any) -> bool:
    """The declaration's meaning, one value at a time."""
    if kind == "present":
        return value is None
    if value is None:
        return False
    if kind == "length":
        return len(value) != column.length
    if column.type is Type.TIMESTAMP:
        return not BEGINNING <= value <= datetime.now(UTC)
    for element in value if column.type.is_list else [value]:
        if element is None or math.isnan(element):
            return True
        if column.low is not None and element < column.low:
            return True
        if column.high is not None and element > column.high:
            return True
    return False


def counts_slowly(rows: list[Row]) -> dict[str, int]:
    columns = {column.name: column for column in TOY.all_columns}
    counts = {
        rule.name: sum(breaks_slowly(columns[rule.column], rule.kind, row[rule.column]) for row in rows)
        for rule in TOY.row_rules
        if rule.kind != "custom"
    }

    def above_exceeds_bounded(row: Row) -> bool:
        above, bounded = row["above"], row["bounded"]
        if above is None or bounded is None or math.isnan(bounded):
            return False
        return math.isnan(above) or above > bounded  # to Spark, NaN is the largest number

    counts["above_exceeds_bounded"] = sum(not above_exceeds_bounded(row) for row in rows)
    keys = [row["user_id"] for row in rows]
    counts["toy_are_unique"] = len({key for key in keys if keys.count(key) > 1})
    return counts


def measured_by(tables: Tables) -> tuple[int, dict[str, int]]:
    """How many rows there are, and how many break each check that has SQL."""
    everything = checks(TOY, {})
    count, found = measure(TOY, tables, everything)
    assert all(each.holds == (each.unexpected == 0) and not each.error for each in found.values())
    return count, {check.name: found[check.name].unexpected for check in everything if check.sql}


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(ROWS)
def test_the_gate_and_the_declaration_agree(rows: list[Row]) -> None:
    with in_process({TOY.name: rows_of(TOY, rows)}) as tables:
        assert measured_by(tables) == (len(rows), counts_slowly(rows))


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(ROWS)
def test_the_gate_the_quarantine_and_the_declaration_agree_in_spark(
    spark: SparkSession, rows: list[Row]
) -> None:
    df = spark.createDataFrame(rows_of(TOY, rows))
    breaks = {rule.name: ~F.coalesce(F.expr(rule.predicate), F.lit(False)) for rule in TOY.row_rules}
    by_quarantine = df.select([F.count_if(broken).alias(name) for name, broken in breaks.items()]).first()
    assert by_quarantine is not None
    with on_spark({TOY.name: df}) as tables:
        count, gate = measured_by(tables)
    assert (count, gate) == (len(rows), counts_slowly(rows))
    assert {rule.name: gate[rule.name] for rule in TOY.row_rules} == by_quarantine.asDict()


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(ROWS)
def test_great_expectations_passes_what_nothing_breaks(context: Any, rows: list[Row]) -> None:
    with in_process({TOY.name: rows_of(TOY, rows)}) as tables:
        report = judge(context, TOY, tables, {})
    assert {r.check.name: r.unexpected for r in report.results if r.check.sql} == counts_slowly(rows)
    assert report.rows == len(rows)
    assert all((r.outcome == "passed") == (r.unexpected == 0) for r in report.results)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_project(tmp_path_factory.mktemp("toy"), fresh=True)
