"""Opening a lake's tables for the gate: where rows are few, without Spark."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lake import session
from lake.duckdb import MEMORY
from lake.session import StartSpark
from lake.tables import count_rows, rows_of
from validation.gate.duckdb_tables import in_process
from validation.gate.tables import Tables


@contextmanager
def open_tables(
    spark: StartSpark, lake: Path, names: Iterable[str], hidden: Collection[str] = (), memory: str = MEMORY
) -> Iterator[Tables]:
    """Tables of a lake at their newest versions; Spark is started only where one has many rows.

    Args:
        hidden: columns that are not part of the tables, such as what jobs keep for themselves.
        memory: limit of DuckDB, past which it spills.

    Raises:
        MarqueeError: a table is not there.
    """
    names = list(names)
    if all(count_rows(lake, name) <= session.FEW for name in names):
        datasets = {name: rows_of(lake, name) for name in names}
        with in_process(datasets, hidden, memory, lake) as opened:
            yield opened
        return
    from lake.spark_tables import read
    from validation.gate.spark_tables import on_spark

    with on_spark({name: read(spark(), lake, name).drop(*hidden) for name in names}) as tables:
        yield tables
