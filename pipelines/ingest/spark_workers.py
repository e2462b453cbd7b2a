"""Rows judged one by one where text is taken apart: by DuckDB in Spark's workers.

Spark puts long expressions into each other wherever one is used, so that a line of forty fields is split over
a hundred times, in a method that is too long for Java to compile. DuckDB runs the same text on many lines at
once.
"""

from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from lake.dialect import for_duckdb, teach
from lake.duckdb import connection

MEMORY = "1GB"
"""Of DuckDB in a worker."""
AT_ONCE = 50_000
"""Rows, about, that a worker hands to DuckDB at once."""
Batches = Iterable[pa.RecordBatch]


def in_workers(rows: DataFrame, name: str, query: str, schema: StructType) -> DataFrame:
    """A query's rows, in the order of those that it reads.

    Args:
        rows: what the query reads.
        name: what it calls them.
        query: in the words of `lake.dialect`.
        schema: of its rows.
    """
    return rows.mapInArrow(asker(name, query, to_arrow_schema(schema)), schema)


def asker(name: str, query: str, schema: pa.Schema) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    """What asks DuckDB the query about batches of rows, as `in_workers` says."""

    def ask(batches: Batches) -> Iterator[pa.RecordBatch]:
        with connection(MEMORY, threads=1) as duckdb:
            teach(duckdb)
            for some in _gathered(batches):
                duckdb.register(name, some)
                yield from duckdb.sql(for_duckdb(query)).to_arrow_table().cast(schema).to_batches()

    return ask


def _gathered(batches: Batches) -> Iterator[pa.Table]:
    """Batches put together, as a query costs something by itself."""
    kept: list[pa.RecordBatch] = []
    for batch in batches:
        kept.append(batch)
        if sum(part.num_rows for part in kept) >= AT_ONCE:
            yield pa.Table.from_batches(kept)
            kept = []
    if kept:
        yield pa.Table.from_batches(kept)
