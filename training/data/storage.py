"""Where labelled features lie, in memory or in a Parquet file, and how chosen rows of them become arrays.

What is streamed is read chunk by chunk, turned into inputs, and laid down as plain arrays in a scratch
folder, from which `training.fit.batches` takes block by block. Memory then holds one block, and of each row
its keys, instant and label only.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import pyarrow as pa

from common.errors import MarqueeError
from common.files import PARTIAL, held
from feature_repo.define.column import EVENT_TIMESTAMP
from feature_repo.define.table import Table
from feature_repo.define.task import Task
from lake.parquet import check_names, opened
from training.data.columns import readable_labels, without_views
from training.data.labels import check_events, given_label, row_names, with_label
from training.data.service import Service
from training.inputs.config import InputConfig
from training.inputs.spec import Arrays, InputSpec
from training.inputs.vocabulary import VocabularyCounts

READ = 262_144
"""Rows that are read and turned into inputs at a time."""
BLOCK = 1_000_000
"""Rows of a block, where nothing else is asked for."""


class FeatureRows(Protocol):
    """Labelled rows with the features of a service."""

    def fit(self, rows: np.ndarray, config: InputConfig) -> InputSpec:
        """The specification of inputs, fitted to some rows (ascending numbers)."""

    def arrays(self, spec: InputSpec, *parts: np.ndarray) -> list[Arrays]:
        """The inputs of the rows of each part (ascending numbers)."""


@dataclass(frozen=True, slots=True)
class InMemory:
    """Rows of a table.

    Args:
        table: the rows.
        service: whose features they have.
    """

    table: pa.Table
    service: Service

    def fit(self, rows: np.ndarray, config: InputConfig) -> InputSpec:
        """As `FeatureRows`."""
        return fit_inputs(self.table.take(rows), self.service, config)

    def arrays(self, spec: InputSpec, *parts: np.ndarray) -> list[Arrays]:
        """As `FeatureRows`."""
        whole = spec.apply(self.table)
        return [{name: array[rows] for name, array in whole.items()} for rows in parts]


def fit_inputs(
    table: pa.Table, service: Service, config: InputConfig, counts: VocabularyCounts | None = None
) -> InputSpec:
    """The specification of a service's inputs, fitted to training rows; `counts` as in `InputSpec.fit`."""
    return InputSpec.fit(table, service.name, service.views, config, counts)


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
    """Rows of Parquet files.

    Args:
        files: in the order of the rows.
        service: whose features they have.
        block: rows that memory holds at once.
        scratch: folder for the arrays.
    """

    files: tuple[Path, ...]
    service: Service
    block: int
    scratch: Path

    def fit(self, rows: np.ndarray, config: InputConfig) -> InputSpec:
        """As `FeatureRows`, in one pass. Vocabularies are those of all rows; moments, quantiles and
        lengths of lists are those of a block drawn at random, where there are more rows than it has."""
        drawn = rows
        if len(rows) > self.block:
            drawn = np.sort(np.random.default_rng(0).choice(rows, self.block, replace=False))
        counts, taken = VocabularyCounts(self.service.views, config), []
        for chunk, (every, sample) in self._chunks(rows, drawn):
            counts.add(chunk.take(every))
            taken.append(chunk.take(sample))
        spec = fit_inputs(pa.concat_tables(taken), self.service, config, counts)
        return spec.model_copy(update={"rows": len(rows)})

    def arrays(self, spec: InputSpec, *parts: np.ndarray) -> list[Arrays]:
        """As `FeatureRows`; the arrays are `OnDisk`."""
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

    def _chunks(self, *parts: np.ndarray) -> Iterator[tuple[pa.Table, list[np.ndarray]]]:
        """The files in chunks, each with the places in it of the rows of each part."""
        start = 0
        keys = self.service.keys
        names = [column.name for view in self.service.views for column in view.columns]
        if keys:
            names = [*(key.name for key in keys), EVENT_TIMESTAMP, *names]
        for path in self.files:
            with opened(path) as file:
                for batch in file.iter_batches(READ, columns=names):
                    cuts = [np.searchsorted(rows, (start, start + batch.num_rows)) for rows in parts]
                    places = [rows[low:high] - start for rows, (low, high) in zip(parts, cuts, strict=True)]
                    chunk = without_views(pa.Table.from_batches([batch]))
                    yield readable_labels(chunk, keys) if keys else chunk, places
                    start += batch.num_rows
        if any(len(rows) and rows[-1] >= start for rows in parts):
            raise MarqueeError(f"{path} is damaged: some of its columns have {start:,} rows only.")


@contextmanager
def feature_rows(
    table: pa.Table, service: Service, files: tuple[Path, ...], block: int, near: Path
) -> Iterator[FeatureRows]:
    """The features of labels: of the table itself, or of the files that it was read from.

    Args:
        table: labels, and features where there are no files.
        service: whose features they are.
        files: Parquet with the same rows in the same order.
        block: of a `Streamed`.
        near: a scratch folder is made beside this path.
    """
    if not files:
        yield InMemory(table, service)
        return
    near.parent.mkdir(parents=True, exist_ok=True)
    scratch = tempfile.TemporaryDirectory(dir=near.parent, prefix=f".{near.name}.rows.", suffix=PARTIAL)
    with scratch as name, held(Path(name)):
        yield Streamed(files, service, block, Path(name))


def label_column(file: Path, events: Table, task: Task) -> str:
    """The column that a data set's labels are in, or made of; no row is read.

    Raises:
        MarqueeError: no such file, no Parquet, a column is missing, or two have one name.
    """
    with opened(file) as parquet:
        there = parquet.schema_arrow.names
    check_names(file, there)
    told = next((name for name in (task.name, task.of) if name in there), None)
    missing = [name for name in row_names(events) if name not in there]
    if missing or told is None:
        raise MarqueeError(
            f"{file} lacks {', '.join(missing) or f'{task.name} or {task.of}'}: make it by marquee"
            " features dataset, from labels that have it."
        )
    return told


def read_label_columns(file: Path, events: Table, task: Task) -> pa.Table:
    """Keys, instant and label of each row of a data set, in its order.

    Args:
        file: Parquet with the events' keys, `event_timestamp`, and the task's label or the value behind it.
        events: the table that the rows are events of.
        task: what is to be predicted. A label that is there counts, else it is made of the value.

    Raises:
        MarqueeError: no such file, no Parquet, a column is missing or holds what it cannot, a row has no
            label or is no event (see `check_events`), or there are no rows.
    """
    told = label_column(file, events, task)
    names = [*row_names(events), told]
    with opened(file) as parquet:
        table = parquet.read(names).select(names)
    if table.num_rows == 0:
        raise MarqueeError(f"{file} has no rows: there is nothing to train on.")
    table = readable_labels(table, events.key)
    check_events(table, events, None if told == task.name else told)
    labelled = given_label(table, task) if told == task.name else with_label(table, task)
    if labelled.num_rows != table.num_rows:
        raise MarqueeError(
            f"{table.num_rows - labelled.num_rows:,} of {table.num_rows:,} rows of {file} lie between the two"
            f" classes of {task.name}: leave them out of the file."
        )
    return labelled
