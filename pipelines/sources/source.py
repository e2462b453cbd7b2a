"""What every source gives: raw rows for tables of a domain, and how they are read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.sources.readings import Guess, Reading

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ORIGIN = ("source", "row", "record")
"""Where a row came from: the file (STRING), the row in it from 1, a header line included (BIGINT), and the
row as it was read (STRING)."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that are read when they are asked for: into memory where they are few, or by Spark.

    Args:
        count: how many there are, or at least more than are few.
        in_memory: reads them as an Arrow table.
        on_spark: reads the same rows as a frame of Spark.
    """

    count: int
    in_memory: Callable[[], pa.Table]
    on_spark: Callable[["SparkSession"], "DataFrame"]


def rows_of(table: pa.Table) -> Rows:
    """Rows that are in memory already."""
    return Rows(table.num_rows, lambda: table, lambda spark: spark.createDataFrame(table))


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule of the source's own.

    Args:
        rule: stands in the quarantine.
        broken: SQL over the raw columns, true for a row that breaks it.
        reason: SQL of the sentence that says how.
    """

    rule: str
    broken: str
    reason: str


@dataclass(frozen=True, slots=True)
class Raw:
    """One table's rows as they were read, unchecked, and how they become typed ones.

    Values stand as they were read: text, or numbers where the files are typed. Whatever cannot be read as
    what it should be is for the quarantine, not for the source. All SQL is that of `lake.dialect`.

    Args:
        rows: the raw columns, and `ORIGIN`.
        readings: of all the table's columns.
        fields: SQL of further raw columns, computed from those of the rows, by name.
        faults: judged after the types and before the table's own rules.
        guesses: what is guessed of the rows as such; a row is judged no differently for them.
        asked: SQL over the raw columns, false for a row that was not asked for: it is left out.
        shape: rules of the row as a whole, judged before the types: where one is broken, values may stand in
            one another's places.
    """

    rows: Rows
    readings: tuple[Reading, ...]
    fields: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    guesses: tuple[Guess, ...] = ()
    asked: str = ""
    shape: tuple[Fault, ...] = ()

    @property
    def reads_text(self) -> bool:
        """Whether text is taken apart, which takes long expressions."""
        return any(reading.of == "text" for reading in self.readings)

    @property
    def all_guesses(self) -> tuple[Guess, ...]:
        """What is guessed of the rows, and in reading their columns."""
        return (*self.guesses, *(reading.guess for reading in self.readings if reading.guess is not None))


@dataclass(frozen=True, slots=True)
class Source:
    """Raw tables of a domain, which `pipelines.ingest` checks.

    Args:
        name: of the kind of source, such as "synthetic".
        description: one line for people: which files, in which layout.
        tables: by the name of the domain's table; one that the source does not have is not there.
        notes: sentences for people about what was guessed in opening it.
        likelihood: Parquet of the events' true label probabilities, which no table and no feature ever
            holds; None where they are unknown.
        check_unchanged: refuses a source that is no more what it was when it was opened, such as a file that
            grew while it was read.
    """

    name: str
    description: str
    tables: Mapping[str, Raw]
    notes: tuple[str, ...] = ()
    likelihood: Path | None = None
    check_unchanged: Callable[[], None] = lambda: None
