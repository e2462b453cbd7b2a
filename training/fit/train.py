"""Train a model as a recipe says, on rows that are prepared for it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from common.errors import MarqueeError
from common.files import remove_partial_of
from feature_repo.define.task import rule_of
from training.data.labels import row_names
from training.data.prepared import Prepared
from training.data.splits import Split
from training.data.storage import FeatureRows, feature_rows
from training.estimators import Blueprint, Estimator, Examples, estimator_of, streams
from training.evaluate.attainable import best_attainable_auc
from training.evaluate.metrics import attainable_share
from training.fit import artefact as artefacts
from training.fit.artefact import SCORE, Artefact, Manifest
from training.fit.checkpoint import Checkpoint
from training.fit.curve import Curve, OnEpoch
from training.recipe import Recipe
from training.tasks import Metrics, objective_of

PROBABILITIES = "probabilities"
"""The column of predictions that holds a probability for each class, where there are several."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one training gave.

    Args:
        recipe: that was followed.
        folder: of the artefact.
        metrics: on the test rows.
        validation: on the validation rows, which chose the threshold and the epoch, before any refit.
        labels_asked, labels_returned: rows into and out of the point-in-time join.
        rows: of each part.
        positive_rates: share of rows of each part whose label is true; empty where labels are not binary.
        best_auc: the ROC-AUC of the true probabilities on the same test rows, where they are known.
        attainable: (AUC - .5) / (best_auc - .5).
        resumed: epochs that an earlier call, which was cut off, had done, and batches of the next.
        unread: columns of the service that the model's configuration reads in no input.
    """

    recipe: Recipe
    folder: Path
    metrics: Metrics
    validation: Metrics
    labels_asked: int
    labels_returned: int
    rows: dict[str, int]
    positive_rates: dict[str, float]
    best_auc: float | None = None
    attainable: float | None = None
    resumed: tuple[int, int] = (0, 0)
    unread: tuple[str, ...] = ()


def train_on(
    prepared: Prepared,
    recipe: Recipe,
    out: Path,
    *,
    truth: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> Result:
    """Split, inputs, model, metrics; the artefact is written to `out`.

    A network keeps a checkpoint beside `out` until it is done: the same call, after one that was cut off,
    goes on from there to the result of an unbroken one. What else one that was killed left beside `out` is
    removed.

    Args:
        prepared: rows that the recipe fits.
        recipe: what to train, and how.
        out: folder of the artefact; replaced as a whole.
        truth: Parquet file or folder of the true probabilities of the domain's first task, where they are
            known (see `training.evaluate.attainable`); its best attainable AUC is then given too.
        on_epoch: called after each epoch of a network.

    Raises:
        MarqueeError: rows that the recipe does not fit, that nothing can be learnt from, or that the model
            cannot be trained on.
    """
    prepared.check_recipe(recipe)
    if prepared.files:
        check_streams(recipe)
    remove_partial_of(out)
    objective = objective_of(recipe.task)
    cut = prepared.cut(recipe)
    targets = objective.targets(prepared.table)
    for name, part in cut.parts.items():
        objective.check(targets[part], name)
    best = None
    if truth is not None and recipe.task == prepared.domain.tasks[0] and objective.kind == "binary":
        events = prepared.table.take(cut.test)
        best = best_attainable_auc(events, row_names(prepared.domain.events), recipe.task, truth)
    with feature_rows(prepared.table, prepared.service, prepared.files, prepared.block, out) as rows:
        trained = _train(prepared, recipe, rows, cut, targets, out, on_epoch)
    metrics = objective.measure(targets[cut.test], trained.predicted, trained.threshold)
    predictions = _predictions(prepared, cut.test, trained.predicted)
    share = None if best is None else attainable_share(metrics["roc_auc"], best)
    parts = {"train": cut.train, "valid": cut.valid, "test": cut.test}
    sizes = {name: len(part) for name, part in parts.items()}
    rates = {}
    if objective.kind == "binary":
        rates = {name: float(targets[part].mean()) for name, part in parts.items()}
    manifest = Manifest(
        recipe=recipe,
        versions=dict(prepared.versions),
        rows={"asked": prepared.asked, "returned": prepared.table.num_rows, **sizes},
        backend=trained.estimator.backend,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        packages=artefacts.code_versions(recipe),
        data=trained.data,
        block=prepared.block if prepared.files else 0,
    )
    written = {
        "test": dict(metrics),
        "validation": dict(trained.validation),
        "best_attainable_auc": best,
        "attainable_share": share,
        "label": rule_of(recipe.task),
        "positive_rates": rates,
    }
    artefacts.save(Artefact(manifest, trained.estimator, written, trained.curve, predictions), out)
    trained.checkpoint.remove()
    return Result(
        recipe=recipe,
        folder=out,
        metrics=metrics,
        validation=trained.validation,
        labels_asked=prepared.asked,
        labels_returned=prepared.table.num_rows,
        rows=sizes,
        positive_rates=rates,
        best_auc=best,
        attainable=share,
        resumed=trained.resumed,
        unread=tuple(
            column.name
            for view in prepared.service.views
            for column in view.columns
            if column.name not in trained.estimator.blueprint.spec.columns
        ),
    )


def check_streams(recipe: Recipe) -> None:
    """Refuse a model that cannot be trained on rows that stay in a file.

    Raises:
        MarqueeError: naming it.
    """
    if not streams(recipe.entry):
        raise MarqueeError(f"{recipe.model} needs all rows in memory: networks only are trained on a stream.")


@dataclass(frozen=True, slots=True)
class _Trained:
    """A trained estimator, what it said of the test rows, and how it came about."""

    estimator: Estimator
    curve: Curve
    predicted: np.ndarray
    threshold: float | None
    validation: Metrics
    data: str
    checkpoint: Checkpoint
    resumed: tuple[int, int]


def _train(
    prepared: Prepared,
    recipe: Recipe,
    rows: FeatureRows,
    cut: Split,
    targets: np.ndarray,
    out: Path,
    on_epoch: OnEpoch | None,
) -> _Trained:
    """Fit, choose the threshold, refit where the configuration says so, predict the test rows."""
    entry, settings, objective = recipe.entry, recipe.settings, objective_of(recipe.task)
    spec = rows.fit(cut.train, settings.inputs)
    train, valid, test = rows.arrays(spec, cut.train, cut.valid, cut.test)
    estimator = estimator_of(Blueprint(entry, settings, spec, objective))
    data = prepared.fingerprint()
    made_of = {
        "data": data,
        "block": prepared.block,
        "backend": estimator.backend,
        "packages": artefacts.code_versions(recipe),
    }
    checkpoint = Checkpoint(out.with_name(f".{out.name}.checkpoint"), recipe.digest(**made_of))
    state = checkpoint.read()
    curve = estimator.fit(
        Examples(train, targets[cut.train]),
        Examples(valid, targets[cut.valid]),
        seed=recipe.seed,
        on_epoch=on_epoch,
        checkpoint=checkpoint,
    )
    chosen_on = estimator.predict(valid)
    threshold = objective.threshold(targets[cut.valid], chosen_on)
    if settings.refit:
        every = np.sort(np.concatenate([cut.train, cut.valid]))
        spec = rows.fit(every, settings.inputs)
        both, test = rows.arrays(spec, every, cut.test)
        estimator = estimator_of(Blueprint(entry, settings, spec, objective))
        estimator.refit(Examples(both, targets[every]), curve, seed=recipe.seed)
    return _Trained(
        estimator,
        curve,
        estimator.predict(test),
        threshold,
        objective.measure(targets[cut.valid], chosen_on, threshold),
        data,
        checkpoint,
        (0, 0) if state is None else (state.epoch, state.batch),
    )


def _predictions(prepared: Prepared, test: np.ndarray, predicted: np.ndarray) -> pa.Table:
    """The test rows with their label, score, and where there are several classes the probability of each."""
    rows = prepared.table.take(test).select([*row_names(prepared.domain.events), prepared.task.name])
    scored = rows.append_column(SCORE, pa.array(objective_of(prepared.task).score(predicted)))
    if predicted.ndim == 1:
        return scored
    flat = pa.array(predicted.reshape(-1))
    return scored.append_column(PROBABILITIES, pa.FixedSizeListArray.from_arrays(flat, predicted.shape[1]))
