"""Search for a model's configuration on the validation rows; the test rows are never scored."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import MarqueeError
from training.data.rows import InMemory
from training.data.splits import Cut, before_test
from training.evaluate.metrics import roc_auc
from training.fit import predictor as predictors
from training.fit.curve import Curve, Progress
from training.fit.run import SPLIT_OF, Prepared, flags
from training.inputs.spec import Arrays, InputSpec
from training.models import model as entry_of
from training.models.config import KerasConfig, ModelConfig

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Args:
        config: of the best finalist, with dotted keys, as `train` takes it.
        validation_auc: of that, on the rows that the cuts score.
        trials: finished ones in the study, those of earlier runs included.
        pruned: trials that were given up early.
    """

    config: dict[str, Any]
    validation_auc: float
    trials: int
    pruned: int


FINALISTS, CUTS = 5, 2
"""Trials that are trained again at the end, and on how many cuts of the rows before the test."""


def tune(
    prepared: Prepared,
    model: str,
    storage: Path,
    *,
    trials: int = 50,
    seeds: int = 1,
    seed: int = 0,
    config: Mapping[str, Any] | None = None,
    on_trial: Callable[[int, int, float], None] | None = None,
) -> Found:
    """Search by TPE; a trial that is worse than the median at the same epoch is given up.

    The best epoch of the best of many trials is partly luck. So the `FINALISTS` best are trained again on
    `CUTS` cuts of the rows before the test, as the model will be: one block chooses the epoch, is trained on
    too, and the next is scored. The best mean wins. The study is kept in SQLite: a search that was stopped
    goes on where it was.

    Args:
        prepared: labels with the features of the model's service.
        model: key in the zoo.
        storage: SQLite file of the studies.
        trials: to finish or prune in all, those of earlier runs included.
        seeds: that each trial is averaged over, in turn on the cuts.
        seed: of the search.
        config: settings that stay fixed, with dotted keys; they win over the searched ones.
        on_trial: called with (trial, of, best validation AUC so far).

    Raises:
        MarqueeError: an unknown model or setting, a study that is no SQLite file, or no trial finished.
    """
    import optuna
    from sqlalchemy.exc import DatabaseError

    entry = entry_of(model)
    if entry.service != prepared.service:
        raise MarqueeError(
            f"{model} reads {entry.service}, but the features are those of {prepared.service}."
        )
    fixed = {"refit": True, **(config or {})}
    always = entry.config_class.of(fixed)
    cuts = before_test(prepared.table, SPLIT_OF[prepared.protocol], CUTS)
    liked = flags(prepared.table)

    def settings_of(params: Mapping[str, Any]) -> ModelConfig:
        return entry.config_class.of({**params, **fixed})

    def inputs(settings: ModelConfig, *parts: np.ndarray) -> tuple[InputSpec, list[Arrays]]:
        """Fitted to the rows of the first part."""
        tables = [prepared.table.take(part) for part in parts]
        spec = InMemory(prepared.table).fit(parts[0], entry.service, settings.inputs)
        return spec, [spec.apply(table) for table in tables]

    def fit(
        settings: ModelConfig, rows: np.ndarray, valid: np.ndarray, number: int, watch: Progress | None = None
    ) -> tuple[float, Curve]:
        spec, (x, x_valid) = inputs(settings, rows, valid)
        predictor, curve = predictors.fit(
            entry, settings, spec, x, liked[rows], x_valid, liked[valid], seed=number, on_progress=watch
        )
        return roc_auc(liked[valid], predictor.predict(x_valid)), curve

    def as_used(params: Mapping[str, Any], cut: Cut, number: int) -> float:
        settings = settings_of(params)
        _, curve = fit(settings, cut.train, cut.valid, number)
        spec, (x, x_later) = inputs(settings, cut.earlier, cut.later)
        predictor = predictors.refit(entry, settings, spec, x, liked[cut.earlier], curve, seed=number)
        return roc_auc(liked[cut.later], predictor.predict(x_later))

    def objective(trial: optuna.Trial) -> float:
        settings = settings_of(entry.space(trial))
        best = -np.inf

        def watch(*, epoch: int, of: int, loss: float, val_auc: float) -> None:  # noqa: ARG001
            nonlocal best
            best = max(best, val_auc)
            trial.report(best, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        scores = []
        for number in range(seeds):
            cut = cuts[number % CUTS]
            # Epochs of one seed only are compared: a step is reported once.
            found, _ = fit(settings, cut.earlier, cut.later, number, None if number else watch)
            scores.append(found)
        return float(np.mean(scores))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage.parent.mkdir(parents=True, exist_ok=True)
    # Trials on other data, in another space, or with other fixed settings, are another study.
    made_of = [prepared.versions, prepared.asked, prepared.liked_rating, _space(model), fixed, seeds]
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True, default=list).encode()).hexdigest()[:8]
    try:
        study = optuna.create_study(
            study_name=f"{model}-{prepared.protocol}-{digest}",
            storage=f"sqlite:///{storage}",
            load_if_exists=True,
            direction="maximize",
            pruner=pruner(always),
        )
    except DatabaseError as error:
        raise MarqueeError(f"The study {storage} cannot be used: {error.orig}. Name another file.") from error
    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    done = len(study.get_trials(states=ended))
    # A search that goes on must not draw the first trials again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + done)
    for number in range(done, trials):
        study.optimize(objective, n_trials=1)
        finished = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
        if on_trial is not None:
            on_trial(number + 1, trials, study.best_value if finished else float("nan"))
    finished = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    if not finished:
        raise MarqueeError(f"No trial of {model} has finished yet: give at least one.")
    pruned = len(study.get_trials(states=(optuna.trial.TrialState.PRUNED,)))
    finalists = sorted(finished, key=lambda trial: trial.value or 0.0, reverse=True)[:FINALISTS]
    if len(finalists) == 1:
        return Found({**study.best_params, **fixed}, study.best_value, 1, pruned)
    scores: list[float] = []
    for trial in finalists:
        scores.append(float(np.mean([as_used(trial.params, cut, n) for n, cut in enumerate(cuts)])))
        if on_trial is not None:
            on_trial(trials, trials, max(scores))
    best = int(np.argmax(scores))
    return Found({**finalists[best].params, **fixed}, scores[best], len(finished), pruned)


def pruner(fixed: ModelConfig) -> "optuna.pruners.BasePruner":
    """What gives a trial up that is worse than the median: never before it had the epochs of its patience, as
    networks learn late by ids, and never among the first five trials.

    Args:
        fixed: the model's settings without the searched ones.
    """
    import optuna

    patience = fixed.training.patience if isinstance(fixed, KerasConfig) else 2
    return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=patience)


def _space(model: str) -> list[str]:
    """The settings that are searched, and between which values."""
    import optuna

    trial = optuna.create_study().ask()
    entry_of(model).space(trial)
    return [f"{name} {values}" for name, values in sorted(trial.distributions.items())]
