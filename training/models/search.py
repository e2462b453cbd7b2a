"""What the search spaces of several models have in common.

A network's compiled step serves all values of its rates; what else changes the step has few values.
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
