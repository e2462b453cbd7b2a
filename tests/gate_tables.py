"""Rows of declared tables that break no rule."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from feature_repo.arrow import arrow_schema
from feature_repo.define.column import Column, Type
from feature_repo.define.table import Table

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


def frame(spark: SparkSession, table: Table, rows: list[Row]) -> DataFrame:
    return spark.createDataFrame(pa.Table.from_pylist(rows, schema=arrow_schema(table)))
