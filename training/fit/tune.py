"""Search for a model's configuration on the validation rows; the test rows are never scored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import MarqueeError
from training.data.prepared import Prepared
from training.data.splits import Cut, before_test
from training.data.storage import fit_inputs
from training.estimators import Blueprint, Estimator, Examples, estimator_of
from training.fit.curve import Curve, Epoch, OnEpoch
from training.models import Entry
from training.models.config import KerasConfig, ModelConfig
from training.recipe import Recipe
from training.tasks import check_monitor, objective_of

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, slots=True)
class BestFound:
    """What a search found.

    Args:
        config: of the best finalist, with dotted keys, as `recipe_of` takes it.
        metric: that was searched by, the default monitor of the task.
        value: of that, on the rows that the cuts score.
        trials: finished ones in the study, those of earlier runs included.
        pruned: trials that were given up early.
    """

    config: dict[str, Any]
    metric: str
    value: float
    trials: int
    pruned: int


FINALISTS, CUTS = 5, 2
"""Trials that are trained again at the end, and on how many cuts of the rows before the test."""


def tune(
    prepared: Prepared,
    recipe: Recipe,
    storage: Path,
    *,
    trials: int = 50,
    seeds: int = 1,
    seed: int = 0,
    fixed: Mapping[str, Any] | None = None,
    on_trial: Callable[[int, int, float], None] | None = None,
) -> BestFound:
    """Search by TPE; a trial that is worse than the median at the same epoch is given up.

    The best epoch of the best of many trials is partly luck. So the `FINALISTS` best are trained again on
    `CUTS` cuts of the rows before the test, as the model will be: one block chooses the epoch, is trained on
    too, and the next is scored. The best mean wins. The study is kept in SQLite: a search that was stopped
    goes on where it was.

    Args:
        prepared: rows that the recipe fits.
        recipe: whose model is searched for, under its split; its own configuration does not count.
        storage: SQLite file of the studies.
        trials: to finish or prune in all, those of earlier runs included.
        seeds: that each trial is averaged over, in turn on the cuts.
        seed: of the search.
        fixed: settings that are not searched, with dotted keys; they win over the searched ones.
        on_trial: called with (trial, of, best value so far).

    Raises:
        MarqueeError: an unknown model or setting, a study that is no SQLite file, or no trial finished.
    """
    import optuna
    from sqlalchemy.exc import DatabaseError

    prepared.check_recipe(recipe)
    entry, objective = recipe.entry, objective_of(recipe.task)
    metric = check_monitor(objective, None)
    sign = objective.monitors[metric]
    kept = {"refit": True, **(fixed or {})}
    always = entry.config_class.of(kept)
    by = prepared.domain.events.in_time
    cuts = before_test(
        prepared.table, recipe.split, CUTS, by=by, shares=recipe.shares, seed=recipe.split_seed
    )
    targets = objective.targets(prepared.table)

    def chosen(trial: optuna.trial.BaseTrial) -> dict[str, Any]:
        return {**entry.space(trial), **kept}

    def settings_of(trial: optuna.trial.BaseTrial) -> ModelConfig:
        return entry.config_class.of(chosen(trial))

    def examples(settings: ModelConfig, *parts: np.ndarray) -> tuple[Blueprint, list[Examples]]:
        """The rows of each part, the inputs fitted to those of the first."""
        tables = [prepared.table.take(part) for part in parts]
        spec = fit_inputs(tables[0], prepared.service, settings.inputs)
        rows = [Examples(spec.apply(table), targets[part]) for table, part in zip(tables, parts, strict=True)]
        return Blueprint(entry, settings, spec, objective), rows

    def value_of(estimator: Estimator, rows: Examples) -> float:
        return objective.validate(rows.targets, estimator.predict(rows.arrays))[metric]

    def fit(
        settings: ModelConfig, rows: np.ndarray, valid: np.ndarray, number: int, watch: OnEpoch | None = None
    ) -> tuple[float, Curve]:
        model, (train, later) = examples(settings, rows, valid)
        estimator = estimator_of(model)
        curve = estimator.fit(train, later, seed=number, on_epoch=watch)
        return value_of(estimator, later), curve

    def as_used(trial: optuna.trial.FrozenTrial, cut: Cut, number: int) -> float:
        settings = settings_of(trial)
        _, curve = fit(settings, cut.train, cut.valid, number)
        model, (earlier, later) = examples(settings, cut.earlier, cut.later)
        estimator = estimator_of(model)
        estimator.refit(earlier, curve, seed=number)
        return value_of(estimator, later)

    def tried(trial: optuna.Trial) -> float:
        settings = settings_of(trial)
        best = -np.inf

        def watch(point: Epoch, of: int) -> None:  # noqa: ARG001
            nonlocal best
            best = max(best, sign * point.validation[metric])
            trial.report(sign * best, point.epoch)
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
    digest = replace(recipe, config={}, seed=0).digest(
        versions=dict(prepared.versions), asked=prepared.asked, space=_told(entry), fixed=kept, seeds=seeds
    )[:8]
    try:
        study = optuna.create_study(
            study_name=f"{recipe.model}-{recipe.protocol}-{digest}",
            storage=f"sqlite:///{storage}",
            load_if_exists=True,
            direction="maximize" if sign > 0 else "minimize",
            pruner=pruner(always),
        )
    except DatabaseError as error:
        raise MarqueeError(f"The study {storage} cannot be used: {error.orig}. Name another file.") from error
    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    done = len(study.get_trials(states=ended))
    # A search that goes on must not draw the first trials again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + done)
    for number in range(done, trials):
        study.optimize(tried, n_trials=1)
        finished = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
        if on_trial is not None:
            on_trial(number + 1, trials, study.best_value if finished else float("nan"))
    finished = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    if not finished:
        raise MarqueeError(f"No trial of {recipe.model} has finished yet: give at least one.")
    pruned = len(study.get_trials(states=(optuna.trial.TrialState.PRUNED,)))
    finalists = sorted(finished, key=lambda trial: -sign * (trial.value or 0.0))[:FINALISTS]
    if len(finalists) == 1:
        return BestFound(chosen(finalists[0]), metric, study.best_value, 1, pruned)
    scores: list[float] = []
    for trial in finalists:
        scores.append(float(np.mean([as_used(trial, cut, n) for n, cut in enumerate(cuts)])))
        if on_trial is not None:
            on_trial(trials, trials, max(scores, key=lambda value: sign * value))
    best = int(np.argmax(sign * np.array(scores)))
    return BestFound(chosen(finalists[best]), metric, scores[best], len(finished), pruned)


def pruner(fixed: ModelConfig) -> "optuna.pruners.BasePruner":
    """What gives a trial up that is worse than the median: never before it had the epochs of its patience, as
    networks learn late by ids, and never among the first five trials.

    Args:
        fixed: the model's settings without the searched ones.
    """
    import optuna

    patience = fixed.training.patience if isinstance(fixed, KerasConfig) else 2
    return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=patience)


def _told(entry: Entry) -> list[str]:
    """The settings that are searched, and between which values."""
    import optuna

    trial = optuna.create_study().ask()
    entry.space(trial)
    return [f"{name} {values}" for name, values in sorted(trial.distributions.items())]
