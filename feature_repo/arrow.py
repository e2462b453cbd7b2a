"""The lake's tables as Arrow schemas."""

from collections.abc import Iterable

import pyarrow as pa

from feature_repo.define.column import Column, Type
from feature_repo.define.table import Table

ARROW_TYPES: dict[Type, pa.DataType] = {
    Type.INT64: pa.int64(),
    Type.FLOAT64: pa.float64(),
    Type.STRING: pa.string(),
    Type.TIMESTAMP: pa.timestamp("us", "UTC"),
    Type.INT64_LIST: pa.list_(pa.int64()),
    Type.FLOAT64_LIST: pa.list_(pa.float64()),
    Type.STRING_LIST: pa.list_(pa.string()),
}


def arrow_field(column: Column) -> pa.Field:
    """One column as an Arrow field. Delta's nullability is left open: the gate checks presence."""
    return pa.field(column.name, ARROW_TYPES[column.type])


def arrow_schema_of(columns: Iterable[Column]) -> pa.Schema:
    """Columns as an Arrow schema."""
    return pa.schema([arrow_field(column) for column in columns])


def arrow_schema(table: Table) -> pa.Schema:
    """All columns of a table, in stored order, as an Arrow schema."""
    return arrow_schema_of(table.all_columns)
