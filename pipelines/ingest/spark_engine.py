"""Ingest's SQL on Spark, for many rows."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession

from common.errors import MarqueeError
from common.files import REFUSALS
from feature_repo.define.column import Column
from feature_repo.spark import spark_schema_of
from lake import spark_tables
from pipelines.ingest.spark_workers import in_workers
from pipelines.sources.lines import LINKED, check_readable
from pipelines.sources.source import Rows

MOST_IN_FILE = 500_000
"""Rows of one file, so that readers of a part of a table need little memory."""
DAMAGED = {
    "EOFException": "it was cut off",
    "ZipException": "it is damaged",
    "java.io.IOException: not a gzip file": "it is damaged",
}
"""What Java says of a packed file, and what that means."""


class OnSpark:
    """`pipelines.ingest.engine.Engine` by a session of Spark."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self._names: set[str] = set()
        self._kept: list[DataFrame] = []

    def _name(self, name: str, rows: DataFrame) -> None:
        rows.createOrReplaceTempView(name)
        self._names.add(name)

    def load(self, name: str, rows: Rows) -> None:
        self._name(name, rows.on_spark(self._spark))

    def held(self, name: str, lake: Path, table: str, columns: tuple[str, ...], near: str) -> None:
        del near  # Spark joins without
        self._name(name, spark_tables.read(self._spark, lake, table, columns))

    def view(self, name: str, query: str) -> None:
        self._name(name, self._spark.sql(query))

    def keep(self, name: str, query: str) -> None:
        rows = spark_tables.kept(self._spark.sql(query), StorageLevel.DISK_ONLY)
        self._kept.append(rows)
        self._name(name, rows)

    def again(self, name: str, query: str, one_by_one: str = "") -> None:
        rows = self._spark.sql(query)
        if one_by_one:
            rows = in_workers(self._spark.table(one_by_one), one_by_one, query, rows.schema)
        self._name(name, rows)

    def fetch(self, query: str) -> pa.Table:
        return self._spark.sql(query).toArrow()

    def write(
        self, query: str, lake: Path, table: str, columns: tuple[Column, ...], replace: bool = False
    ) -> None:
        write = spark_tables.overwrite if replace else spark_tables.append
        write(self._spark.sql(query), lake, table, spark_schema_of(columns), most_in_file=MOST_IN_FILE)

    def close(self) -> None:
        """Release what was kept."""
        for name in self._names:
            self._spark.catalog.dropTempView(name)
        for rows in self._kept:
            spark_tables.release(rows)


@contextmanager
def on_spark(spark: SparkSession) -> Iterator[OnSpark]:
    """An engine whose errors that a person can mend are one sentence.

    Raises:
        MarqueeError: a file of the source vanished, or the disk refuses temporary files.
    """
    engine = OnSpark(spark)
    try:
        yield engine
    except spark_tables.SPARK_ERRORS as error:
        text = str(error)
        refusal = next((refusal for refusal in REFUSALS if refusal in text), None)
        if refusal is not None:
            raise MarqueeError(
                f"Spark cannot write its temporary files: {refusal}. "
                "Free some space, or choose a roomy writable folder (--home or MARQUEE_HOME)."
            ) from error
        found = re.search(r"file:/+[^\s'\"]*[^\s'\".]", text)
        name = f"/{found[0].removeprefix('file:').lstrip('/')}" if found else "A file of the source"
        name = str(LINKED.get(name, name))
        why = next((says for said, says in DAMAGED.items() if said in text), None)
        if why is not None:
            raise MarqueeError(f"Cannot read {name}: {why}.") from error
        if "FAILED_READ_FILE" in text or "PATH_NOT_FOUND" in text:
            if Path(name).is_file():
                check_readable(Path(name))
            raise MarqueeError(f"{name} vanished or changed while it was read; run again.") from error
        raise
    finally:
        engine.close()
