"""Features of chosen rows as arrays for a model: out of a table in memory, or streamed from Parquet.

What is streamed is read chunk by chunk, turned into inputs, and laid down as plain arrays in a scratch
folder, from which `trainer.Batches` takes block by block. Memory then holds one block, and of each row its
keys, instant and label only.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from common.errors import MarqueeError
from feature_repo import schema
from feature_repo.domains.movies import DOMAIN
from training.data.fingerprint import fingerprint
from training.data.labels import LIKED, ORDER
from training.inputs.config import InputConfig
from training.inputs.spec import Arrays, InputSpec
from training.inputs.vocabulary import VocabularyCounts

READ = 65_536
"""Rows that are read and turned into inputs at a time."""
BLOCK = 1_000_000
"""Rows of a block, where nothing else is asked for."""


class Rows(Protocol):
    """Labelled rows with the features of a service."""

    def fit(self, rows: np.ndarray, service: str, config: InputConfig) -> InputSpec:
        """The specification fitted to some rows (ascending numbers)."""

    def arrays(self, spec: InputSpec, *parts: np.ndarray) -> list[Arrays]:
        """The inputs of the rows of each part (ascending numbers)."""

    def fingerprint(self) -> str:
        """Of all rows."""


@dataclass(frozen=True, slots=True)
class InMemory:
    """Rows of a table."""

    table: pa.Table

    def fit(self, rows: np.ndarray, service: str, config: InputConfig) -> InputSpec:
        """As `Rows`."""
        return InputSpec.fit(self.table.take(rows), service, DOMAIN.services[service], config)

    def arrays(self, spec: InputSpec, *parts: np.ndarray) -> list[Arrays]:
        """As `Rows`."""
        whole = spec.apply(self.table)
        return [{name: array[rows] for name, array in whole.items()} for rows in parts]

    def fingerprint(self) -> str:
        """As `Rows`."""
        return fingerprint(self.table)


@dataclass(frozen=True, slots=True)
class OnDisk:
    """An array that stays in its file but for the rows that are asked for; reads as slices only.

    Args:
        path: of the bytes, row after row.
        dtype: of a value.
        shape: of the whole.
        block: rows that are shuffled, and held in memory, together.
    """

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    block: int

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(len(self))
        values = int(np.prod(self.shape[1:], dtype=np.int64))
        count = max(stop - start, 0) * values
        offset = start * values * self.dtype.itemsize
        return np.fromfile(self.path, self.dtype, count, offset=offset).reshape(-1, *self.shape[1:])


@dataclass(frozen=True, slots=True)
class Streamed:
    """Rows of a Parquet file.

    Args:
        path: of the file.
        block: rows that memory holds at once.
        scratch: folder for the arrays.
    """

    path: Path
    block: int
    scratch: Path

    def fit(self, rows: np.ndarray, service: str, config: InputConfig) -> InputSpec:
        """As `Rows`. Vocabularies are those of all rows; moments, quantiles and the lengths of lists, where
        there are more rows than a block has, those of a block drawn at random."""
        if len(rows) <= self.block:
            return InputSpec.fit(self._take(rows), service, DOMAIN.services[service], config)
        drawn = np.sort(np.random.default_rng(0).choice(rows, self.block, replace=False))
        spec = InputSpec.fit(self._take(drawn), service, DOMAIN.services[service], config)
        counts = VocabularyCounts(DOMAIN.services[service], config)
        for chunk, (here,) in self._chunks(rows):
            counts.add(chunk.take(here))
        return spec.model_copy(update={"vocabularies": counts.vocabularies(), "rows": len(rows)})

    def arrays(self, spec: InputSpec, *parts: np.ndarray) -> list[Arrays]:
        """As `Rows`; the arrays are `OnDisk`."""
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        files: dict[tuple[int, str], IO[bytes]] = {}
        kinds: dict[str, np.ndarray] = {}
        try:
            for chunk, places in self._chunks(*parts):
                for name, array in spec.apply(chunk).items():
                    kinds[name] = array[:0]
                    for number, here in enumerate(places):
                        if (number, name) not in files:
                            files[number, name] = (folder / f"{number}-{name}").open("wb")
                        files[number, name].write(array[here].tobytes())
        finally:
            for file in files.values():
                file.close()

        def held(number: int, name: str) -> Any:
            kind = kinds[name]
            shape = (len(parts[number]), *kind.shape[1:])
            return OnDisk(folder / f"{number}-{name}", kind.dtype, shape, self.block)

        return [{name: held(number, name) for name in kinds} for number in range(len(parts))]

    def fingerprint(self) -> str:
        """Of the file's bytes."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _take(self, rows: np.ndarray) -> pa.Table:
        return pa.concat_tables([chunk.take(here) for chunk, (here,) in self._chunks(rows)])

    def _chunks(self, *parts: np.ndarray) -> Iterator[tuple[pa.Table, list[np.ndarray]]]:
        """The file in chunks, each with the places in it of the rows of each part."""
        start = 0
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(READ):
                cuts = [np.searchsorted(rows, (start, start + batch.num_rows)) for rows in parts]
                places = [rows[low:high] - start for rows, (low, high) in zip(parts, cuts, strict=True)]
                yield pa.Table.from_batches([batch]), places
                start += batch.num_rows


@contextmanager
def rows_of(table: pa.Table, file: Path | None, block: int, near: Path) -> Iterator[Rows]:
    """The features of labels: of the table itself, or of the file that it was read from.

    Args:
        table: labels, and features where there is no file.
        file: Parquet with the same rows in the same order.
        block: of a `Streamed`.
        near: a scratch folder is made beside this path.
    """
    if file is None:
        yield InMemory(table)
        return
    near.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=near.parent, prefix=f".{near.name}.rows.") as scratch:
        yield Streamed(file, block, Path(scratch))


def read_narrow(file: Path, liked_rating: float) -> pa.Table:
    """Keys, instant and label of each row of a data set, in its order.

    Args:
        file: Parquet with `user_id`, `movie_id`, `event_timestamp`, and `liked` or `rating`.
        liked_rating: a rating from here on is a like, where there is no `liked`.

    Raises:
        MarqueeError: no such file, no Parquet, a column is missing, or there are no rows.
    """
    try:
        with pq.ParquetFile(file) as parquet:
            names = parquet.schema_arrow.names
            told = next((name for name in (LIKED, "rating") if name in names), None)
            missing = [name for name in ORDER if name not in names]
            if missing or told is None:
                raise MarqueeError(
                    f"{file} lacks {', '.join(missing) or f'{LIKED} or rating'}: make it by marquee features"
                    " dataset, from labels that have it."
                )
            keys = [column.name for column in schema.RATINGS.key] + [schema.EVENT_TIMESTAMP]
            table = parquet.read([*keys, told]).select([*keys, told])
    except (OSError, pa.ArrowException) as error:
        why = " ".join(str(error).split()).rstrip(".")
        raise MarqueeError(f"{file} is not a Parquet file that can be read: {why}.") from error
    if table.num_rows == 0:
        raise MarqueeError(f"{file} has no rows: there is nothing to train on.")
    if told == LIKED:
        return table
    return table.append_column(LIKED, pc.greater_equal(table["rating"], liked_rating))
