"""Score an artefact again, on its own test rows."""

from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import MarqueeError
from feature_repo.define.domain import Domain
from training.data.labels import read_labels, row_names
from training.data.prepared import joined
from training.fit import artefact as artefacts
from training.tasks import Metrics

if TYPE_CHECKING:
    from feast import FeatureStore


def rescore(folder: Path, store: "FeatureStore", lake: Path, domain: Domain) -> Metrics:
    """Score an artefact again on its test rows, with their features joined anew from the store.

    Args:
        folder: of the artefact.
        store: an applied feature store.
        lake: the folder of the Delta tables; the test rows must still be among its events.
        domain: that the artefact was trained in.

    Raises:
        MarqueeError: another domain's artefact, test rows that are gone from the events, or features of
            another shape.
    """
    artefact = artefacts.load(folder)
    recipe = artefact.manifest.recipe
    if recipe.domain != domain.name:
        raise MarqueeError(f"{folder} was trained on {recipe.domain}, not on {domain.name}.")
    names = [*row_names(domain.events), recipe.task.name]
    rows = artefact.predictions.select(names)
    labels = read_labels(lake, domain, recipe.task).table.select(names)
    found = rows.join(labels, names, join_type="left semi").num_rows
    if found != rows.num_rows:
        raise MarqueeError(
            f"{rows.num_rows - found} of the {rows.num_rows} test rows of {folder} are not among the"
            f" {domain.events.name} of {lake}: evaluate it on the home that it was trained in."
        )
    table = joined(store, domain, recipe.service, rows, recipe.protocol)
    objective = artefact.estimator.blueprint.objective
    threshold = artefact.metrics["test"].get("threshold")
    return objective.measure(objective.targets(table), artefact.predict(table), threshold)
