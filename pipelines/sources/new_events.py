"""New events that come by themselves, without a catalogue: one, or a file of them."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from common.errors import MarqueeError
from feature_repo.define.column import EVENT_TIMESTAMP, Column, Type
from feature_repo.define.table import Table
from lake.parquet import opened
from pipelines.sources.delimited import fields, find_columns, split_quoted, surplus
from pipelines.sources.lines import ENCODING, first_lines, line_rows
from pipelines.sources.plain_types import INSTANT, WHAT, plain
from pipelines.sources.readings import Kind, Reading, instant, number, text, whole_number
from pipelines.sources.source import Raw, rows_of

SECONDS = "timestamp"
"""The column of a file with seconds since 1970, or, where the file is typed, with instants."""
PARQUET = b"PAR1"


def one_event(table: Table, values: Mapping[str, Any], at: datetime, source: str = "push") -> Raw:
    """One event as a raw row.

    Args:
        table: of the events.
        values: of its columns but the instant, by name; in the columns' types.
        at: when it happened; aware.
        source: what the quarantine names as its origin.

    Raises:
        MarqueeError: a number is beyond 64 bits.
    """
    columns = _columns(table)
    typed = {SECONDS if name == EVENT_TIMESTAMP else name: values.get(name, at) for name in columns}
    texts = (v.isoformat() if isinstance(v, datetime) else str(v) for v in typed.values())
    try:
        arrays = {name: pa.chunked_array([_array(value)]) for name, value in typed.items()}
    except OverflowError as error:
        beyond = next(name for name, value in values.items() if abs(value) >= 2**63)
        raise MarqueeError(f"{beyond} is {values[beyond]}, beyond 64 bits: give a smaller number.") from error
    return _raw(table, arrays, source, pa.array([",".join(texts)]))


def _array(value: Any) -> pa.Array:
    return pa.array([value], INSTANT) if isinstance(value, datetime) else pa.array([value])


def raw_events(table: Table, events: pa.Table, source: str) -> Raw:
    """Events that are typed as a lake's are, as raw rows.

    Args:
        events: (n,) with the table's columns.
        source: what the quarantine names as their origin.
    """
    arrays = {(SECONDS if n == EVENT_TIMESTAMP else n): events.column(n) for n in _columns(table)}
    return _raw(table, arrays, source)


def read_events(path: Path, table: Table) -> Raw:
    """The events of a CSV or Parquet file as raw rows.

    Its columns are those of the table, their names in snake case, camel case or any case, in any order; that
    of instants may be called `timestamp`, too. Instants are seconds since 1970, or written out as text; in
    Parquet, of a type of instants as well. Further columns are left alone.

    Raises:
        MarqueeError: it is no such file, lacks a column, has one of a type that cannot be read, or no row.
    """
    if not path.is_file():
        raise MarqueeError(f"There is no file {path}.")
    try:
        with path.open("rb") as file:
            typed = file.read(len(PARQUET)) == PARQUET
    except OSError as error:
        raise MarqueeError(f"Cannot read {path}: {error.strerror}.") from error
    raw = _parquet(path, table) if typed or path.suffix == ".parquet" else _csv(path, table)
    if raw.rows.count == 0:
        raise MarqueeError(f"There are no {table.name} in {path}.")
    return raw


def _columns(table: Table) -> dict[str, Column]:
    return {column.name: column for column in table.all_columns}


def _csv(path: Path, table: Table) -> Raw:
    first = first_lines(path, 2)
    if not first:
        raise MarqueeError(f"There are no {table.name} in {path}: it is empty.")
    names = _header(first[0][1])
    places = _places(path, names, table)
    if len(first) == 1:
        raise MarqueeError(f"There are no {table.name} in {path}.")
    readings = tuple(_reading(column, "text") for column in table.all_columns)
    return Raw(
        line_rows(path, header=True),
        readings,
        fields(places, len(names), ",", quoted=True),
        surplus(places, len(names), ",", quoted=True),
        (ENCODING,),
    )


def _header(line: str) -> list[str]:
    return [name.strip() for name in split_quoted(line)]


def _parquet(path: Path, table: Table) -> Raw:
    with opened(path) as file:
        names = file.schema_arrow.names
        places = _places(path, names, table)
        read = file.read(columns=[names[place] for place in places.values()])
    arrays = {name: read.column(names[place]) for name, place in places.items()}
    return _raw(table, arrays, str(path), path=path)


def _places(path: Path, names: list[str], table: Table) -> dict[str, int]:
    """Where the columns are among a file's."""
    called = [SECONDS if name == EVENT_TIMESTAMP else name for name in _columns(table)]
    wanted: dict[str, tuple[str, ...]] = dict.fromkeys(called, ())
    places, _, why = find_columns(names, wanted)
    if SECONDS in why:
        # Seconds stand for themselves; only without them an instant does.
        wanted[SECONDS] = (EVENT_TIMESTAMP,)
        places, _, why = find_columns(names, wanted)
    if why.startswith("lacks"):
        why = f"{why}; it has {', '.join(names)}"
    if why:
        raise MarqueeError(f"{path} {why}.")
    return places


def _raw(
    table: Table,
    arrays: Mapping[str, pa.ChunkedArray],
    source: str,
    records: pa.Array | None = None,
    path: Path | None = None,
) -> Raw:
    """Typed columns as raw rows.

    Args:
        records: the rows as they were read; made of the columns where None.
        path: the file that is to blame for a column's type.
    """
    columns: dict[str, pa.Array] = {}
    readings = []
    for column in table.all_columns:
        name = SECONDS if column.name == EVENT_TIMESTAMP else column.name
        found = plain(arrays[name], column.type)
        if found is None:
            raise MarqueeError(
                f"{path or source}: the column for {column.name} is of type {arrays[name].type}, "
                f"which is not {WHAT[column.type]}."
            )
        columns[name], kind = found
        readings.append(_reading(column, kind))
    if records is None:
        texts = [pc.fill_null(pc.cast(values, pa.string()), "") for values in columns.values()]
        records = pc.binary_join_element_wise(*texts, ",")
    rows = len(records)
    located = {
        "record": records,
        "source": pa.repeat(source, rows),
        "row": pa.array(range(1, rows + 1), pa.int64()),
    }
    return Raw(rows_of(pa.table({**columns, **located})), tuple(readings))


def _reading(column: Column, kind: Kind) -> Reading:
    """How a column of so typed values is read."""
    if column.type is Type.TIMESTAMP:
        return instant(column.name, SECONDS, kind)
    if column.type is Type.STRING:
        return text(column.name)
    return (whole_number if column.type is Type.INT64 else number)(column.name, of=kind)
