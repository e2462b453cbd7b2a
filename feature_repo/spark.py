"""The lake's tables as Spark schemas."""

from collections.abc import Iterable

from pyspark.sql.types import (
    ArrayType,
    DataType,
    DoubleType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from feature_repo.define.column import Column, Type
from feature_repo.define.table import Table

SPARK_TYPES: dict[Type, DataType] = {
    Type.INT64: LongType(),
    Type.FLOAT64: DoubleType(),
    Type.STRING: StringType(),
    Type.TIMESTAMP: TimestampType(),
    Type.INT64_LIST: ArrayType(LongType()),
    Type.FLOAT64_LIST: ArrayType(DoubleType()),
    Type.STRING_LIST: ArrayType(StringType()),
}


def spark_schema_of(columns: Iterable[Column]) -> StructType:
    """Columns as a Spark schema, all nullable: the gate checks presence."""
    return StructType([StructField(column.name, SPARK_TYPES[column.type]) for column in columns])


def spark_schema(table: Table) -> StructType:
    """All columns of a table, in stored order, as a Spark schema."""
    return spark_schema_of(table.all_columns)
