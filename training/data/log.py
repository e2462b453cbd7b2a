"""The rows of a log: labels in memory, and the fields too where they are few, else in the table's files."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from common.errors import MarqueeError
from feature_repo.define.domain import Domain
from feature_repo.define.table import Table
from lake.damage import reading
from lake.parquet import opened
from lake.tables import exists, require_rows
from training.data.labels import row_names, with_label
from training.data.prepared import Prepared
from training.data.service import service_of
from training.data.storage import BLOCK, READ
from training.recipe import Recipe


def prepare_log(
    lake: Path, domain: Domain, recipe: Recipe, *, version: int | None = None, block: int = BLOCK
) -> Prepared:
    """Read the labels of a log, and its fields where there are no more rows than a block has.

    Args:
        lake: the folder of the Delta tables.
        domain: of the log; the recipe's.
        recipe: whose task counts.
        version: the Delta version to read; the newest where None.
        block: rows that memory holds with their fields, and that are shuffled, at once.

    Raises:
        MarqueeError: there is no such table or version, it has no rows, or they are not in the log's order.
    """
    log, task = domain.events, recipe.task
    if not exists(lake, log.name):
        raise MarqueeError(
            f"There is no {log.name} at {lake / log.name}: run `marquee pipeline ingest` with its source"
            " first."
        )
    delta = require_rows(lake, log.name, version)
    service = service_of(domain, recipe.service)
    with reading(lake / log.name, version):
        files = files_in_order(delta, log)
        rows = sum(pq.read_metadata(file).num_rows for file in files)
        if rows == 0:
            raise MarqueeError(f"The table {log.name} at {lake} is empty: there is nothing to train on.")
        fields = [column.name for view in service.views for column in view.columns]
        names = list(dict.fromkeys([*row_names(log), task.of, *(fields if rows <= block else ())]))
        table = pa.concat_tables(pq.read_table(file, columns=names, partitioning=None) for file in files)
    places = table[log.key[0].name].to_numpy()
    if not (np.diff(places) > 0).all():
        raise MarqueeError(f"The rows of {log.name} in {lake} are not in the log's order: ingest it again.")
    labelled = with_label(table, task)
    if labelled.num_rows != rows:
        raise MarqueeError(f"{task.name} leaves rows of {log.name} out, which a log does not know how to do.")
    return Prepared(
        table=labelled.drop_columns([task.of]) if task.of != task.name else labelled,
        domain=domain,
        service=service,
        task=task,
        protocol=recipe.protocol,
        versions={log.name: delta.version()},
        asked=rows,
        files=() if rows <= block else files,
        block=block,
    )


def log_chunks(lake: Path, domain: Domain, places: np.ndarray, version: int | None) -> Iterator[pa.Table]:
    """Some rows of a log with all their columns, chunk by chunk, in order; those that are not there lack.

    Args:
        lake: the folder of the Delta tables.
        domain: of the log.
        places: of the rows, ascending.
        version: the Delta version to read; the newest where None.

    Raises:
        MarqueeError: there is no such table or version, or it cannot be read.
    """
    log = domain.events
    delta = require_rows(lake, log.name, version)
    with reading(lake / log.name, version):
        for file in files_in_order(delta, log):
            with opened(file) as parquet:
                for batch in parquet.iter_batches(READ):
                    here = batch.column(log.key[0].name).to_numpy()
                    low, high = np.searchsorted(places, (here[0], here[-1] + 1))
                    asked = np.isin(here, places[low:high])
                    if asked.any():
                        yield pa.Table.from_batches([batch]).filter(pa.array(asked))


def features_of(prepared: Prepared, lake: Path, rows: np.ndarray) -> pa.Table:
    """Some rows of what was prepared, with their features, in memory.

    Args:
        prepared: of a log or of events.
        lake: the folder of the Delta tables.
        rows: their numbers, ascending.
    """
    chosen = prepared.table.take(rows)
    if not prepared.files:
        return chosen
    log = prepared.domain.events
    places = chosen[log.key[0].name].to_numpy()
    return pa.concat_tables(log_chunks(lake, prepared.domain, places, prepared.versions[log.name]))


def files_in_order(delta: DeltaTable, log: Table) -> tuple[Path, ...]:
    """The files of a log's table, such that those with earlier rows come first."""
    key = log.key[0].name

    def first(file: Path) -> int:
        found = pq.read_metadata(file)
        if found.num_rows == 0:
            return 0
        place = found.schema.names.index(key)
        return int(found.row_group(0).column(place).statistics.min)

    return tuple(sorted((Path(file) for file in delta.file_uris()), key=first))
