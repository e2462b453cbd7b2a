"""The gate's tables in Spark."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pyspark.sql import DataFrame

from lake.spark_tables import SPARK_ERRORS
from validation.gate.checks import relation
from validation.gate.tables import QueryError, Tables


@contextmanager
def on_spark(frames: Mapping[str, DataFrame]) -> Iterator[Tables]:
    """Tables as temporary views of Spark's session, gone afterwards.

    Args:
        frames: at least one, by the table's name. Each is read a few times: give tables of the lake, not
            computations.
    """
    spark = next(iter(frames.values())).sparkSession
    for name, frame in frames.items():
        frame.createOrReplaceTempView(relation(name))
    try:
        yield _OnSpark(frames)
    finally:
        for name in frames:
            spark.catalog.dropTempView(relation(name))


class _OnSpark:
    """`Tables` by Spark."""

    def __init__(self, frames: Mapping[str, DataFrame]) -> None:
        self._frames = frames
        self._spark = next(iter(frames.values())).sparkSession

    def __contains__(self, name: str) -> bool:
        return name in self._frames

    def types(self, name: str) -> dict[str, str]:
        return dict(self._frames[name].dtypes)

    def fetch(self, query: str) -> list[dict[str, Any]]:
        try:
            return [row.asDict() for row in self._spark.sql(query).collect()]
        except SPARK_ERRORS as error:
            raise QueryError(str(error).strip().splitlines()[0]) from error
