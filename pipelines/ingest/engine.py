"""Where ingest's SQL runs: by DuckDB in this process where rows are few, or by Spark; the text is one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.arrow import arrow_schema_of
from feature_repo.define.column import Column, quoted
from lake import session, tables
from lake.dialect import for_duckdb, teach
from lake.duckdb import connection
from lake.session import StartSpark
from pipelines.sources.source import Rows

PREFIX = "ingest"
"""Names of relations start so: a session of Spark may have others."""


class Engine(Protocol):
    """Runs SQL over named relations."""

    def load(self, name: str, rows: Rows) -> None:
        """Name rows of a source."""

    def held(self, name: str, lake: Path, table: str, columns: tuple[str, ...], near: str) -> None:
        """Name columns of a table of the lake.

        Args:
            near: a relation: only rows whose first column is also one of its values are needed; "" for all.
        """

    def view(self, name: str, query: str) -> None:
        """Name a query; it is run wherever the name is used."""

    def keep(self, name: str, query: str) -> None:
        """Name a query that is run once; its rows stay until the engine is closed."""

    def again(self, name: str, query: str, one_by_one: str = "") -> None:
        """Name a query whose rows take less to compute again than to keep where they are many.

        Args:
            one_by_one: the only relation that the query reads, where each of its rows stands for itself; ""
                where that is not so, or where expressions are few and short.
        """

    def fetch(self, query: str) -> pa.Table:
        """Run a query of few rows."""

    def write(
        self, query: str, lake: Path, table: str, columns: tuple[Column, ...], replace: bool = False
    ) -> None:
        """Append a query's rows to a table of the lake in one commit, or replace the table by them.

        Where nothing is grouped, joined or united in the query, rows stay in the order of the source: each
        file holds a part of it.
        """


@contextmanager
def engine_for(spark: StartSpark, most: int, lake: Path) -> Iterator[Engine]:
    """The engine for tables of at most so many rows; what it keeps is released at the end.

    Args:
        lake: the folder of the tables, in which it spills.

    Raises:
        MarqueeError: a file vanished, or the disk refuses temporary files.
    """
    if most <= session.FEW:
        with connection(spill=lake) as opened:
            teach(opened)
            yield InProcess(opened)
        return
    from pipelines.ingest.spark_engine import on_spark

    with on_spark(spark()) as engine:
        yield engine


class InProcess:
    """`Engine` by DuckDB."""

    def __init__(self, opened: duckdb.DuckDBPyConnection) -> None:
        self._duckdb = opened

    def load(self, name: str, rows: Rows) -> None:
        self._duckdb.register(name, rows.in_memory())

    def held(self, name: str, lake: Path, table: str, columns: tuple[str, ...], near: str) -> None:
        dataset = tables.rows_of(lake, table)
        wanted = None
        if near:
            keys = self.fetch(f"SELECT DISTINCT {quoted(columns[0])} FROM {near}").column(0)
            wanted = pc.field(columns[0]).isin(keys)
        self._duckdb.register(name, dataset.to_table(columns=list(columns), filter=wanted))

    def view(self, name: str, query: str) -> None:
        self._duckdb.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {for_duckdb(query)}")

    def keep(self, name: str, query: str) -> None:
        self._duckdb.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {for_duckdb(query)}")

    def again(self, name: str, query: str, one_by_one: str = "") -> None:
        del one_by_one
        self.keep(name, query)

    def fetch(self, query: str) -> pa.Table:
        return self._duckdb.sql(for_duckdb(query)).to_arrow_table()

    def write(
        self, query: str, lake: Path, table: str, columns: tuple[Column, ...], replace: bool = False
    ) -> None:
        schema = arrow_schema_of(columns)
        rows = self.fetch(query).select(schema.names).cast(schema)
        (tables.overwrite if replace else tables.append)(rows, lake, table)
