"""Gradient-boosted trees: the reference that a network has to beat."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field, model_validator

from common.errors import MarqueeError
from training.estimators.predictions import known_rows
from training.fit.curve import Curve, Epoch
from training.inputs.config import InputConfig
from training.inputs.spec import Arrays, InputSpec
from training.models.config import ModelConfig
from training.tasks import Objective

if TYPE_CHECKING:
    import optuna


class GBTConfig(ModelConfig):
    """Configuration of `gbt`, on numbers only.

    Args:
        learning_rate: shrinkage of each tree.
        iterations: the most trees; early stopping on the validation rows may end sooner.
        leaves: of a tree, at most.
        min_leaf: rows of a leaf, at least.
        l2: regularisation of leaf values.
        features: share of the columns that each split may use.
        patience: trees without a better validation loss before growing stops.
    """

    inputs: InputConfig = InputConfig(
        bucketised=False,
        ids=False,
        categories=False,
        lists=False,
        vectors=False,
        context=False,
        missing="nan",
    )
    learning_rate: float = Field(default=0.05, gt=0)
    iterations: int = Field(default=400, ge=1)
    leaves: int = Field(default=15, ge=2)
    min_leaf: int = Field(default=100, ge=1)
    l2: float = Field(default=1.0, ge=0)
    features: float = Field(default=0.5, gt=0, le=1)
    patience: int = Field(default=30, ge=1)

    @model_validator(mode="after")
    def _reads_numbers(self) -> Self:
        if not self.inputs.numeric:
            raise ValueError("trees read numbers: set inputs.numeric to true")
        return self


def fit(
    config: GBTConfig,
    objective: Objective,
    x: np.ndarray,
    targets: np.ndarray,
    x_valid: np.ndarray,
    valid_targets: np.ndarray,
    seed: int = 0,
) -> tuple[Any, Curve]:
    """Grow trees until the validation loss stops falling, and keep those up to its least.

    Args:
        config: how.
        objective: of the task.
        x, targets: training rows, (rows, columns) and (rows,).
        x_valid, valid_targets: validation rows, for early stopping only.
        seed: of the columns that splits are drawn from.

    Returns:
        The fitted `HistGradientBoostingClassifier` or `…Regressor`, and its curve, one point for each tree.
    """
    rows = _with_values(x)
    known = known_rows(objective, targets, valid_targets)
    grown = _trees(config, objective, config.iterations, seed, stop=True)
    grown.fit(rows, targets, X_val=x_valid[known], y_val=valid_targets[known])
    scale = 2.0 if objective.kind == "regression" else 1.0  # scikit-learn halves the squared error
    losses = -scale * np.asarray(grown.validation_score_)
    curve = [
        Epoch(trees, float(-scale * grown.train_score_[trees]), {objective.loss: float(losses[trees])})
        for trees in range(len(losses))
        if trees
    ]
    best = max(1, int(losses.argmin()))
    # Early stopping keeps the trees beyond the best ones too; the same seed grows the best ones again.
    return _trees(config, objective, best, seed).fit(rows, targets), Curve(curve, best)


def refit(
    config: GBTConfig, objective: Objective, x: np.ndarray, targets: np.ndarray, curve: Curve, seed: int = 0
) -> Any:
    """Grow as many trees as were best in `curve`, on other rows."""
    return _trees(config, objective, curve.best, seed).fit(_with_values(x), targets)


def _trees(config: GBTConfig, objective: Objective, iterations: int, seed: int, stop: bool = False) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if objective.kind == "regression" else HistGradientBoostingClassifier
    return kind(
        learning_rate=config.learning_rate,
        max_iter=iterations,
        max_leaf_nodes=config.leaves,
        min_samples_leaf=config.min_leaf,
        l2_regularization=config.l2,
        max_features=config.features,
        early_stopping=stop,
        n_iter_no_change=config.patience,
        tol=0.0,
        random_state=seed,
    )


def _with_values(x: np.ndarray) -> np.ndarray:
    """Training rows whose columns without any value hold 0: scikit-learn cannot bin those, and no tree asks
    for a column that is the same in all rows."""
    empty = np.isnan(x).all(axis=0)
    return np.where(empty, np.zeros((), x.dtype), x) if empty.any() else x


def matrix(spec: InputSpec, arrays: Arrays) -> np.ndarray:
    """All blocks of numbers side by side, (rows, columns).

    Raises:
        MarqueeError: there are none.
    """
    blocks = [arrays[item.name] for item in spec.select("numeric")]
    if not blocks:
        raise MarqueeError(
            f"Trees read numbers, and the inputs of {spec.service} have none: set inputs.numeric to true."
        )
    return np.concatenate(blocks, axis=1)


def space(trial: "optuna.Trial") -> dict[str, Any]:
    """What is searched."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
        "leaves": trial.suggest_int("leaves", 4, 48, log=True),
        "min_leaf": trial.suggest_int("min_leaf", 10, 500, log=True),
        "l2": trial.suggest_float("l2", 0.01, 30.0, log=True),
        "features": trial.suggest_float("features", 0.2, 1.0),
    }
