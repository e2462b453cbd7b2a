"""Studies of a paper: what leaks, and how models do by length of history."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from feature_repo.define.column import EVENT_TIMESTAMP
from feature_repo.define.view import View
from training.data.labels import row_names
from training.data.prepared import Prepared
from training.evaluate.attainable import true_probabilities
from training.evaluate.metrics import roc_auc
from training.papers.cells import scores_of
from training.papers.paper import HistoryStudy, Paper
from training.papers.results import HistoryBand
from training.tasks import objective_of

RANDOM_SPLIT = "random split"


def leaks_of(prepared: Prepared) -> tuple[str, ...]:
    """The split, and each view of the service whose values change with time."""
    views = (view for view in prepared.service.views if isinstance(view, View))
    return (RANDOM_SPLIT, *(view.name for view in views if not view.is_timeless))


def with_leak(honest: Prepared, whole: Prepared, view: str) -> Prepared:
    """Honest features, but those of the whole data that the service reads of one view."""
    table: pa.Table = honest.table
    (read,) = (one for one in honest.service.views if one.name == view)
    for column in read.columns:
        place = table.column_names.index(column.name)
        table = table.set_column(place, column.name, whole.table[column.name])
    return replace(honest, table=table)


def earlier_events(table: pa.Table, key: str) -> np.ndarray:
    """How many events of its key there were strictly before each row, int64 (rows,).

    Args:
        table: all labels.
        key: the column that events are counted by.
    """
    frame = table.select([key, EVENT_TIMESTAMP]).to_pandas()
    ranks = frame.groupby(key)[EVENT_TIMESTAMP].rank(method="min")
    earlier: np.ndarray = ranks.to_numpy().astype(np.int64) - 1
    return earlier


def history_bands(
    paper: Paper,
    study: HistoryStudy,
    protocol: str,
    cells: Mapping[str, Sequence[Path]],
    lengths: np.ndarray,
    truth: Path,
) -> list[HistoryBand]:
    """The test rows by length of history.

    Args:
        paper: whose domain and task they are of.
        study: which bands.
        protocol: of the cells.
        cells: folders of each variant's cells.
        lengths: of the test rows, int64 (rows,).
        truth: as in `true_probabilities`.
    """
    read = {key: scores_of(folders) for key, folders in cells.items()}
    rows = next(iter(read.values()))[0]
    positive = objective_of(paper.task_under(protocol)).targets(rows)
    true = true_probabilities(rows, row_names(paper.domain.events), truth)
    found = []
    for low, high in study.bands:
        here = (lengths >= low) & (lengths <= (np.inf if high is None else high))
        if here.sum() < study.fewest or len(np.unique(positive[here])) < 2:
            continue
        auc = {
            key: float(np.mean([roc_auc(positive[here], seed[here]) for seed in scores]))
            for key, (_, scores) in read.items()
        }
        best = roc_auc(positive[here], true[here])
        found.append(HistoryBand(protocol, low, high, int(here.sum()), best, auc))
    return found
