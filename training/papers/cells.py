"""Cells of a paper's table: one training each, resumable, kept as an artefact.

A cell's mark holds the digest of all that it was made of; a finished cell of the same making is not trained
again, one that was cut off or does not read back whole is.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.errors import MarqueeError
from common.files import write_atomically
from training.data.prepared import Prepared
from training.fit import artefact as artefacts
from training.fit.artefact import SCORE
from training.fit.train import PROBABILITIES, train_on
from training.recipe import Recipe

MARK = "cell.json"


def train_cell(prepared: Prepared, recipe: Recipe, folder: Path, truth: Path | None) -> bool:
    """Train one cell unless a finished one was made of the same.

    Args:
        prepared: rows that the recipe fits.
        recipe: of the cell.
        folder: of its artefact; the mark stands beside it.
        truth: as in `training.fit.train.train_on`.

    Returns:
        Whether it was trained.
    """
    digest = recipe.digest(
        versions=dict(prepared.versions),
        data=prepared.fingerprint(),
        truth=None if truth is None else str(truth),
    )
    mark = folder.parent / f"{folder.name}.{MARK}"
    if mark.is_file() and mark.read_text().strip() == digest and _is_whole(folder):
        return False
    mark.unlink(missing_ok=True)
    if folder.is_dir() and not _is_whole(folder):
        shutil.rmtree(folder)  # what is left of a cell, which may not look like an artefact any more
    train_on(prepared, recipe, folder, truth=truth)
    # Last: a cell that was cut off has no mark, and is trained again.
    write_atomically(mark, digest + "\n")
    return True


def _is_whole(folder: Path) -> bool:
    """Whether each file is what was saved."""
    try:
        artefacts.check_files(folder, artefacts.read_manifest(folder))
    except MarqueeError:
        return False
    return True


def metrics_of(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The metrics of each cell's test rows."""
    return [artefacts.read_metrics(folder)["test"] for folder in folders]


def mean_of(metric: str, folders: Sequence[Path]) -> float:
    """The mean of a metric of the test rows over cells."""
    return float(np.mean([found[metric] for found in metrics_of(folders)]))


def scores_of(folders: Sequence[Path]) -> tuple[pa.Table, list[np.ndarray]]:
    """The test rows that cells share, and the scores (rows,) of each, in the order of the first cell's rows.

    Raises:
        MarqueeError: a cell has other rows.
    """
    tables = [artefacts.read_predictions(folder) for folder in folders]
    told = {SCORE, PROBABILITIES}
    rows = [table.select([name for name in table.column_names if name not in told]) for table in tables]
    scores = []
    for folder, table, mine in zip(folders, tables, rows, strict=True):
        found = _in_order_of(rows[0], mine, table[SCORE].to_numpy())
        if found is None:
            raise MarqueeError(
                f"{folder} scored other test rows than {folders[0]}: remove the one that is out of date, and"
                " it is trained again."
            )
        scores.append(found)
    return rows[0], scores


def _in_order_of(wanted: pa.Table, rows: pa.Table, scores: np.ndarray) -> np.ndarray | None:
    """The scores of rows in the order of others; None where they are not the same rows."""
    if rows.equals(wanted):
        return scores
    if rows.schema != wanted.schema or rows.num_rows != wanted.num_rows:
        return None
    by = [(name, "ascending") for name in wanted.column_names]
    places, mine = (pc.sort_indices(table, by) for table in (wanted, rows))
    if not rows.take(mine).equals(wanted.take(places)):
        return None
    found = np.empty_like(scores)
    found[places.to_numpy()] = scores[mine.to_numpy()]
    return found


def made_with(cells: Sequence[Path]) -> str:
    """What trained the networks among `cells`: "Keras 3.15.1 on jax 0.10.2", such as there are."""
    found = set()
    for folder in cells:
        manifest = artefacts.read_manifest(folder)
        if manifest.backend:
            keras, backend = (manifest.packages.get(name, "?") for name in ("keras", manifest.backend))
            found.add(f"Keras {keras} on {manifest.backend} {backend}")
    return " and ".join(sorted(found))
