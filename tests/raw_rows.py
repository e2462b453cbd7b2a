"""Raw rows for tests of ingest, and what `check` makes of them by either engine."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from feature_repo.define.domain import Domain
from lake import session as session_module
from lake.session import StartSpark
from pipelines.ingest.check import check
from pipelines.ingest.engine import Engine, engine_for
from pipelines.sources.readings import Reading
from pipelines.sources.source import ORIGIN, Raw, rows_of

ENGINES = ("in process", "on Spark")


def no_spark() -> SparkSession:
    """A `StartSpark` for what must do without."""
    raise AssertionError("Spark was asked for")


@contextmanager
def engine_named(name: str, request: pytest.FixtureRequest) -> Iterator[StartSpark]:
    """Make ingest use an engine of `ENGINES`, however few the rows; gives how Spark is started."""
    if name == ENGINES[0]:
        yield no_spark
        return
    session: SparkSession = request.getfixturevalue("spark")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_module, "FEW", -1)
        yield lambda: session


def table_rows(lake: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a table of a lake."""
    rows: list[dict[str, Any]] = DeltaTable(lake / name).to_pyarrow_table().to_pylist()
    return rows


@contextmanager
def opened(start: StartSpark) -> Iterator[Engine]:
    """The engine that `start` was made for."""
    with engine_for(start, 0, Path(tempfile.gettempdir())) as engine:
        yield engine


def raw(
    rows: Sequence[Sequence[Any]],
    readings: Sequence[Reading],
    types: Mapping[str, pa.DataType] | None = None,
    source: str = "f",
    first_row: int = 2,
) -> Raw:
    """Rows of one file, from its line 2 on, as the readings' raw columns: text, or as `types` says."""
    names = [reading.raw for reading in readings]
    columns = {
        name: pa.array([row[at] for row in rows], (types or {}).get(name, pa.string()))
        for at, name in enumerate(names)
    }
    columns["record"] = pa.array(["/".join(map(str, row)) for row in rows], pa.string())
    columns["source"] = pa.array([source] * len(rows), pa.string())
    columns["row"] = pa.array(range(first_row, first_row + len(rows)), pa.int64())
    return Raw(rows_of(pa.table(columns)), tuple(readings))


@dataclass(frozen=True)
class Parted:
    """What `check` made of rows: good ones as tuples in the table's order, sorted; bad ones by name."""

    good: list[tuple[Any, ...]]
    bad: list[dict[str, Any]]
    read: int
    left_out: int
    notes: tuple[str, ...]

    @property
    def verdicts(self) -> dict[int, tuple[str, str]]:
        """Rule and reason by row."""
        return {row["row"]: (row["rule"], row["reason"]) for row in self.bad}


def part(
    start: StartSpark,
    domain: Domain,
    table: str,
    rows: Raw,
    known: Mapping[str, Sequence[Any]] | None = None,
) -> Parted:
    """Check one table's rows.

    Args:
        known: by table that it refers to, the keys that this has.
    """
    declared = domain.tables[table]
    with opened(start) as engine:
        names = {}
        for name, keys in (known or {}).items():
            engine.load(f"known_{name}", rows_of(pa.table({"known": pa.array(keys)})))
            names[name] = f"known_{name}"
        checked = check(engine, domain, declared, rows, names)
        good = engine.fetch(f"SELECT * FROM {checked.good}")
        assert good.column_names == [*declared.column_names, *ORIGIN]
        columns = good.select(declared.column_names).to_pylist()
        return Parted(
            sorted((tuple(row.values()) for row in columns), key=repr),
            engine.fetch(f"SELECT * FROM {checked.bad}").to_pylist(),
            checked.read,
            checked.left_out,
            checked.notes,
        )


def raw_values(start: StartSpark, rows: Raw, *columns: str) -> list[tuple[Any, ...]]:
    """Raw columns of a source's rows, those that are computed too, of the rows that were asked for."""
    from pipelines.ingest.judge import raw_rows

    names = ", ".join(f"`{name}`" for name in columns)
    with opened(start) as engine:
        engine.load("loaded", rows.rows)
        engine.view("raw", raw_rows("loaded", rows))
        asked = f" WHERE coalesce({rows.asked}, true)" if rows.asked else ""
        found = engine.fetch(f"SELECT {names} FROM raw{asked}")
    return sorted((tuple(row.values()) for row in found.to_pylist()), key=repr)
