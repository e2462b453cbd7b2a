"""What the search spaces of several models have in common.

A network's compiled step serves all values of its rates; what else changes the step has few values, but for
the pull on embeddings, which matters most and has no good ones for all.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna


def search_rates(trial: "optuna.Trial") -> dict[str, Any]:
    """Rates of a network's training, and how often it forgets ids."""
    return {
        "training.learning_rate": trial.suggest_float("training.learning_rate", 3e-4, 3e-2, log=True),
        "training.weight_decay": trial.suggest_float("training.weight_decay", 0.03, 10.0, log=True),
        "training.embedding_decay": trial.suggest_float("training.embedding_decay", 0.1, 100.0, log=True),
        "training.averaging": trial.suggest_float("training.averaging", 0.9, 0.995),
        "embedding.id_dropout": trial.suggest_categorical("embedding.id_dropout", [0.1, 0.5]),
    }


def search_fields(trial: "optuna.Trial") -> dict[str, Any]:
    """Rates of a click model's training; width, regularisation and initial size of its embeddings."""
    return {
        "training.learning_rate": trial.suggest_float("training.learning_rate", 5e-4, 2e-2, log=True),
        "training.weight_decay": trial.suggest_float("training.weight_decay", 0.01, 10.0, log=True),
        "training.embedding_decay": trial.suggest_float("training.embedding_decay", 0.003, 30.0, log=True),
        "training.averaging": trial.suggest_float("training.averaging", 0.9, 0.995),
        "embedding.dim": trial.suggest_categorical("embedding.dim", [8, 16, 32, 64]),
        "embedding.id_dropout": trial.suggest_categorical("embedding.id_dropout", [0.0, 0.1, 0.3]),
        "embedding.l2": trial.suggest_float("embedding.l2", 1e-5, 0.1, log=True),
        "embedding.initial": trial.suggest_float("embedding.initial", 1e-4, 0.1, log=True),
    }


def search_deep_fields(trial: "optuna.Trial") -> dict[str, Any]:
    """The same, with hidden layers and what they forget."""
    return {**search_fields(trial), **search_dropout(trial), **search_units(trial)}


def search_dropout(trial: "optuna.Trial") -> dict[str, Any]:
    """What a click model forgets."""
    return {"dropout": trial.suggest_categorical("dropout", [0.0, 0.2, 0.5])}


def search_first_order(trial: "optuna.Trial") -> dict[str, Any]:
    """Whether a click model has a first-order term that its paper does not have."""
    return {"first_order": trial.suggest_categorical("first_order", [False, True])}


HIDDEN = {"64, 32": (64, 32), "128, 64": (128, 64), "256, 128": (256, 128)}
"""Hidden layers by what a study calls them: it keeps no lists."""


def search_units(trial: "optuna.Trial") -> dict[str, Any]:
    """The hidden layers of a click model."""
    return {"units": HIDDEN[trial.suggest_categorical("units", list(HIDDEN))]}


def search_attention(trial: "optuna.Trial") -> dict[str, Any]:
    """What one head of a layer of attention between fields gathers, how many heads, whether it is normalised,
    and what is forgotten after it."""
    return {
        "width": trial.suggest_categorical("width", [8, 16, 32]),
        "heads": trial.suggest_categorical("heads", [2, 4]),
        "normalise": trial.suggest_categorical("normalise", [False, True]),
        "attention_dropout": trial.suggest_categorical("attention_dropout", [0.0, 0.2, 0.5]),
    }


def search_network(trial: "optuna.Trial") -> dict[str, Any]:
    """Rates of a network's training, and what it forgets."""
    return {
        **search_rates(trial),
        "dropout": trial.suggest_categorical("dropout", [0.01, 0.1, 0.3]),
    }


def search_numbers(trial: "optuna.Trial") -> dict[str, Any]:
    """How a network reads numbers."""
    return {
        "inputs.shrinkage": trial.suggest_float("inputs.shrinkage", 1.0, 40.0, log=True),
        "inputs.buckets": trial.suggest_categorical("inputs.buckets", [8, 24]),
    }
