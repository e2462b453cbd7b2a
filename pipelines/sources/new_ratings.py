"""New ratings that come by themselves, without a catalogue: one, or a file of them."""

import csv
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from common.errors import MarqueeError

ALIASES = {"userId": "user_id", "movieId": "movie_id"}
"""MovieLens' names of columns."""
FIELDS = ("user_id", "movie_id", "rating", "timestamp")


def one_rating(user_id: int, movie_id: int, rating: float, at: datetime, source: str = "push") -> pa.Table:
    """One rating as a raw row, such as `Source.ratings` holds.

    Args:
        at: when it was given; aware.
        source: what the quarantine names as its origin.
    """
    instant = pa.scalar(at, pa.timestamp("us", "UTC"))
    columns = {
        "user_id": pa.array([user_id], pa.int64()),
        "movie_id": pa.array([movie_id], pa.int64()),
        "rating": pa.array([rating], pa.float64()),
        "timestamp": _seconds(pa.array([instant.as_py()], instant.type)),
    }
    return _located(columns, [f"{user_id},{movie_id},{rating},{at.isoformat()}"], source)


def read_new_ratings(path: Path) -> pa.Table:
    """The ratings of a CSV or Parquet file as raw rows.

    Its columns are `user_id` (or `userId`), `movie_id` (or `movieId`), `rating`, and `timestamp` in seconds
    since 1970; instead of that, Parquet may have `event_timestamp` of a timestamp type. Further columns
    are left alone.

    Raises:
        MarqueeError: it is no such file, or lacks a column.
    """
    if not path.is_file():
        raise MarqueeError(f"There is no file {path}.")
    return _parquet(path) if path.suffix == ".parquet" else _csv(path)


def _csv(path: Path) -> pa.Table:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            numbered = [(n, line) for n, line in enumerate(file, start=1) if line.strip()]
    except OSError as error:
        raise MarqueeError(f"Cannot read {path}: {error.strerror}.") from error
    if not numbered:
        raise MarqueeError(f"{path} is empty.")
    # One line at a time: a quote that is never closed spoils its own row only.
    lines = [line.rstrip("\n") for _, line in numbered]
    header, *rows = (next(csv.reader([line]), []) for line in lines)
    places = _places(path, [name.strip() for name in header])
    width = len(header)

    def field(row: list[str], place: int) -> str | None:
        # What a line has too much stands in its last field, which then is no number.
        values = row if len(row) <= width else [*row[: width - 1], ",".join(row[width - 1 :])]
        return values[place] if place < len(values) else None

    columns = {
        name: pa.array([field(row, place) for row in rows], pa.string()) for name, place in places.items()
    }
    return _located(columns, lines[1:], str(path), [n for n, _ in numbered[1:]])


def _parquet(path: Path) -> pa.Table:
    try:
        names = pq.read_schema(path).names
        instants = "timestamp" not in names and "event_timestamp" in names
        places = _places(path, ["timestamp" if instants and n == "event_timestamp" else n for n in names])
        table = pq.read_table(path, columns=[names[place] for place in places.values()])
    except (OSError, pa.ArrowInvalid) as error:
        raise MarqueeError(f"{path} cannot be read as Parquet: {error}.") from error
    columns: dict[str, Any] = dict(zip(places, table.columns, strict=True))
    if pa.types.is_timestamp(columns["timestamp"].type):
        columns["timestamp"] = _seconds(columns["timestamp"])
    texts = [pc.fill_null(pc.cast(columns[name], pa.string()), "") for name in FIELDS]
    return _located(columns, pc.binary_join_element_wise(*texts, ","), str(path))


def _places(path: Path, names: list[str]) -> dict[str, int]:
    """Where each field is among a file's columns."""
    known = [ALIASES.get(name, name) for name in names]
    missing = [name for name in FIELDS if name not in known]
    if missing:
        raise MarqueeError(f"{path} lacks the column {', '.join(missing)}; it has {', '.join(names)}.")
    return {name: known.index(name) for name in FIELDS}


def _seconds(instants: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    micros = pc.cast(pc.cast(instants, pa.timestamp("us", "UTC"), safe=False), pa.int64())
    return pc.divide(pc.cast(micros, pa.float64(), safe=False), 1e6)


def _located(columns: dict[str, Any], records: Any, source: str, rows: Any = None) -> pa.Table:
    """The columns with where each row came from; rows count from 1 unless their numbers are given."""
    table = pa.table(columns)
    n = table.num_rows
    records = pa.array(records, pa.string()) if isinstance(records, list) else records
    table = table.append_column("record", records).append_column("source", pa.repeat(source, n))
    return table.append_column("row", pa.array(rows if rows is not None else range(1, n + 1), pa.int64()))
