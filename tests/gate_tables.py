"""Rows of declared tables that break no rule, in either engine of the gate."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from feature_repo.arrow import arrow_schema, arrow_schema_of
from feature_repo.define.column import Column, Type
from feature_repo.define.table import QUARANTINE_COLUMNS, Table
from validation.gate.duckdb_tables import in_process
from validation.gate.report import CheckResult, ValidationReport
from validation.gate.spark_tables import on_spark
from validation.gate.tables import Tables

Row = dict[str, Any]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def good_value(column: Column, place: int) -> Any:
    """A value that breaks no rule; of keys and times, another one for each place."""
    if column.type is Type.TIMESTAMP:
        return NOW + timedelta(seconds=place)
    if column.type is Type.STRING:
        return f"text {place}"
    if column.type is Type.STRING_LIST:
        return ["Drama"] * (column.length or 2)
    if column.type is Type.INT64_LIST:
        return [1] * (column.length or 2)
    number = column.low if column.low is not None else 0
    if column.type is Type.FLOAT64:
        return float(number)
    return place + 1 if column.name.endswith("_id") else int(number)


def good_rows(table: Table, count: int = 4) -> list[Row]:
    return [{c.name: good_value(c, place) for c in table.all_columns} for place in range(count)]


def rows_of(table: Table, rows: list[Row]) -> pa.Table:
    """Rows in the table's declared types."""
    return pa.Table.from_pylist(rows, schema=arrow_schema(table))


@contextmanager
def opened(engine: str, rows: Mapping[str, pa.Table], request: pytest.FixtureRequest) -> Iterator[Tables]:
    """Tables in an engine, "duckdb" or "spark"; the latter is started only where it is asked for."""
    if engine == "duckdb":
        with in_process(rows) as tables:
            yield tables
    else:
        spark: SparkSession = request.getfixturevalue("spark")
        with on_spark({name: spark.createDataFrame(table) for name, table in rows.items()}) as tables:
            yield tables


def quarantine_of(rows: list[tuple[Any, ...]]) -> pa.Table:
    names = [column.name for column in QUARANTINE_COLUMNS]
    return pa.Table.from_pylist(
        [dict(zip(names, row, strict=True)) for row in rows], arrow_schema_of(QUARANTINE_COLUMNS)
    )


def result(report: ValidationReport, table: str, check: str) -> CheckResult:
    (found,) = (t for t in report.tables if t.name == table)
    (wanted,) = (r for r in found.results if r.check.name == check)
    return wanted
