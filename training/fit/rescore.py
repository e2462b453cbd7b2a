"""Score an artefact again, on its own test rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from common.errors import MarqueeError
from feature_repo.define.domain import Domain
from training.data.labels import read_labels, row_names
from training.data.log import log_chunks
from training.data.prepared import joined
from training.fit import artefact as artefacts
from training.fit.artefact import SCORE, Artefact
from training.fit.repeat import OpenStore, require_recorded
from training.tasks import Metrics

if TYPE_CHECKING:
    from feast import FeatureStore

ROUNDING = 1e-5
"""By how much a score may differ on another backend or processor."""


def rescore(folder: Path, lake: Path, domain: Domain, open_store: OpenStore, *, now: bool = False) -> Metrics:
    """Score an artefact again on its test rows, with their features joined anew.

    Args:
        folder: of the artefact.
        lake: the folder of the Delta tables.
        domain: that the artefact was trained in.
        open_store: opens the store that the features are joined from.
        now: join the features of the newest tables, which may say something else of the test rows than they
            did. Else the tables are read as the training read them, and the scores must be those that it
            wrote down.

    Raises:
        MarqueeError: another domain's artefact, test rows that are not those of the training or are gone from
            the events, tables that cannot be read as they were, or other scores.
    """
    artefact = artefacts.load(folder)
    recipe, rows = artefact.manifest.recipe, artefact.predictions
    if recipe.domain != domain.name:
        raise MarqueeError(f"{folder} was trained on {recipe.domain}, not on {domain.name}.")
    if rows.num_rows != artefact.manifest.rows["test"]:
        raise MarqueeError(
            f"{folder} has predictions of {rows.num_rows} rows, and was tested on"
            f" {artefact.manifest.rows['test']}: train the model again."
        )
    versions: Mapping[str, int] = {} if now else artefact.manifest.versions
    if not now:
        require_recorded(lake, artefact.manifest, folder)
    version = versions.get(domain.events.name)
    objective = artefact.estimator.blueprint.objective
    if domain.fields:
        places = rows[domain.events.key[0].name].to_numpy()
        parts = [artefact.predict(chunk) for chunk in log_chunks(lake, domain, places, version)]
        predicted = np.concatenate(parts) if parts else np.empty(0)
        _require_all(len(predicted), rows.num_rows, folder, lake, domain)
        targets = objective.targets(rows)
    else:
        store = open_store({name: at for name, at in versions.items() if name != domain.events.name})
        table = _features(artefact, folder, lake, domain, store, version)
        predicted, targets = artefact.predict(table), objective.targets(table)
    if not now:
        scores, written = objective.score(predicted), rows[SCORE].to_numpy()
        differing = int((~np.isclose(scores, written, rtol=ROUNDING, atol=ROUNDING)).sum())
        if differing:
            raise MarqueeError(
                f"{differing} of the {rows.num_rows} test rows of {folder} have another score than it wrote"
                f" down: {lake} belongs to another home, or the features are defined or joined differently"
                " now. `--now` scores them with the features of today."
            )
    threshold = artefact.metrics["test"].get("threshold")
    return objective.measure(targets, predicted, threshold)


def _features(
    artefact: Artefact,
    folder: Path,
    lake: Path,
    domain: Domain,
    store: "FeatureStore",
    version: int | None,
) -> pa.Table:
    """The test rows with their features, from events of a version.

    Raises:
        MarqueeError: test rows are not among the events.
    """
    recipe = artefact.manifest.recipe
    names = [*row_names(domain.events), recipe.task.name]
    rows = artefact.predictions.select(names)
    labels = read_labels(lake, domain, recipe.task, version=version).table.select(names)
    found = rows.join(labels, names, join_type="left semi").num_rows
    _require_all(found, rows.num_rows, folder, lake, domain)
    return joined(store, domain, recipe.service, rows, recipe.protocol)


def _require_all(found: int, rows: int, folder: Path, lake: Path, domain: Domain) -> None:
    """Refuse a lake that has not all test rows of an artefact.

    Raises:
        MarqueeError: naming how many it lacks.
    """
    if found != rows:
        raise MarqueeError(
            f"{rows - found} of the {rows} test rows of {folder} are not among the"
            f" {domain.events.name} of {lake}: evaluate it on the home that it was trained in."
        )
