"""Search for a model's configuration on the validation rows; the test rows are never scored."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import MarqueeError
from training import predictor as predictors
from training.inputs import Arrays, InputSpec
from training.labels import LIKED
from training.metrics import roc_auc
from training.models import model as entry_of
from training.run import SPLIT_OF, Prepared
from training.splits import split

if TYPE_CHECKING:
    import optuna

Suggest = Callable[["optuna.Trial"], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Args:
        config: of the best trial, with dotted keys, as `train` takes it.
        validation_auc: of that trial.
        trials: finished ones in the study, those of earlier runs included.
        pruned: trials that were given up early.
    """

    config: dict[str, Any]
    validation_auc: float
    trials: int
    pruned: int


def _network(trial: "optuna.Trial") -> dict[str, Any]:
    return {
        "training.learning_rate": trial.suggest_float("training.learning_rate", 1e-4, 5e-3, log=True),
        "training.weight_decay": trial.suggest_float("training.weight_decay", 0.03, 10.0, log=True),
        "training.embedding_decay": trial.suggest_float("training.embedding_decay", 0.3, 100.0, log=True),
        "training.averaging": trial.suggest_categorical("training.averaging", [0.0, 0.95, 0.98, 0.99]),
        "inputs.shrinkage": trial.suggest_float("inputs.shrinkage", 1.0, 40.0, log=True),
        "inputs.buckets": trial.suggest_int("inputs.buckets", 6, 32),
        "embedding.id_dropout": trial.suggest_float("embedding.id_dropout", 0.0, 0.9),
        "dropout": trial.suggest_float("dropout", 0.0, 0.6),
    }


def _widths(trial: "optuna.Trial") -> dict[str, Any]:
    return {
        name: trial.suggest_categorical(name, [4, 8, 16])
        for name in ("embedding.id_dim", "embedding.list_dim", "embedding.bucket_dim")
    }


def _mmdin(trial: "optuna.Trial") -> dict[str, Any]:
    return {
        **_network(trial),
        **_widths(trial),
        "inputs.poster_buckets": trial.suggest_int("inputs.poster_buckets", 2, 16),
        "poster_gate": trial.suggest_float("poster_gate", -5.0, 1.0),
        "poster_dropout": trial.suggest_float("poster_dropout", 0.0, 0.7),
        "poster_match": trial.suggest_categorical("poster_match", [0, 4, 8, 16]),
        "width": trial.suggest_categorical("width", [16, 32, 64]),
        "heads": trial.suggest_int("heads", 2, 6),
        "blocks": trial.suggest_int("blocks", 1, 3),
    }


def _gbt(trial: "optuna.Trial") -> dict[str, Any]:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
        "leaves": trial.suggest_int("leaves", 4, 48, log=True),
        "min_leaf": trial.suggest_int("min_leaf", 10, 500, log=True),
        "l2": trial.suggest_float("l2", 0.01, 30.0, log=True),
        "features": trial.suggest_float("features", 0.2, 1.0),
    }


def _logistic(trial: "optuna.Trial") -> dict[str, Any]:
    return {
        "inputs.shrinkage": trial.suggest_float("inputs.shrinkage", 1.0, 40.0, log=True),
        "inputs.buckets": trial.suggest_int("inputs.buckets", 4, 32),
    }


SPACES: dict[str, Suggest] = {
    "neuralcf": lambda trial: {
        key: value for key, value in _network(trial).items() if not key.startswith("inputs.")
    },
    "embedding_mlp": lambda trial: {**_network(trial), **_widths(trial)},
    "deepfm": lambda trial: {
        **_network(trial),
        "embedding.dim": trial.suggest_categorical("embedding.dim", [4, 8, 16]),
    },
    "din": lambda trial: {**_network(trial), **_widths(trial)},
    "mmdin": _mmdin,
    "gbt": _gbt,
    "logistic": _logistic,
}
"""What is searched, by model."""


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

    The study is kept in SQLite: a search that was stopped goes on where it was.

    Args:
        prepared: labels with the features of the model's service.
        model: key in the zoo.
        storage: SQLite file of the studies.
        trials: to finish or prune in all, those of earlier runs included.
        seeds: that each trial is averaged over.
        seed: of the search.
        config: settings that stay fixed, with dotted keys; they win over the searched ones.
        on_trial: called with (trial, of, best validation AUC so far).

    Raises:
        MarqueeError: an unknown model or setting, or no trial finished.
    """
    import optuna

    entry = entry_of(model)
    if entry.service != prepared.service:
        raise MarqueeError(
            f"{model} reads {entry.service}, but the features are those of {prepared.service}."
        )
    entry.config_class.of(config)
    fixed = dict(config or {})
    parts = split(prepared.table, SPLIT_OF[prepared.protocol])
    table = prepared.table.take(np.concatenate([parts.train, parts.valid]))  # the test rows are left behind
    liked: np.ndarray = table[LIKED].to_numpy(zero_copy_only=False).astype(bool)
    cut = len(parts.train)

    def objective(trial: optuna.Trial) -> float:
        settings = entry.config_class.of({**SPACES[model](trial), **fixed})
        spec = InputSpec.fit(table.slice(0, cut), entry.service, settings.inputs)
        arrays = spec.apply(table)
        train, valid = _cut(arrays, slice(0, cut)), _cut(arrays, slice(cut, None))
        best = -np.inf

        def watch(*, epoch: int, of: int, loss: float, val_auc: float) -> None:  # noqa: ARG001
            nonlocal best
            best = max(best, val_auc)
            trial.report(best, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        scores = []
        for number in range(seeds):
            # Epochs of one seed only are compared: a step is reported once.
            predictor, _ = predictors.fit(
                entry,
                settings,
                spec,
                train,
                liked[:cut],
                valid,
                liked[cut:],
                seed=number,
                on_progress=watch if number == 0 else None,
            )
            scores.append(roc_auc(liked[cut:], predictor.predict(valid)))
        return float(np.mean(scores))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage.parent.mkdir(parents=True, exist_ok=True)
    # Trials on other data, or with other fixed settings, are another study.
    made_of = [prepared.versions, prepared.asked, prepared.liked_rating, fixed, seeds]
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True, default=list).encode()).hexdigest()[:8]
    study = optuna.create_study(
        study_name=f"{model}-{prepared.protocol}-{digest}",
        storage=f"sqlite:///{storage}",
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
    )
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
    return Found({**study.best_params, **fixed}, float(study.best_value), len(finished), pruned)


def _cut(arrays: Arrays, rows: slice) -> Arrays:
    return {name: array[rows] for name, array in arrays.items()}
