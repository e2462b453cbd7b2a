"""Logistic regression: the other reference that a network has to beat."""

from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator

from common.errors import MarqueeError
from training.estimators.predictions import predictions
from training.fit.curve import Curve, Epoch
from training.inputs.config import InputConfig
from training.inputs.spec import Arrays, InputSpec
from training.models.config import ModelConfig
from training.tasks import Objective

if TYPE_CHECKING:
    import optuna


Strength = Annotated[float, Field(gt=0)]


class LogisticConfig(ModelConfig):
    """Configuration of `logistic`.

    Args:
        strengths: of the L2 penalty that are tried (as C, its inverse); the validation loss chooses.
        iterations: of the solver, at most.
    """

    inputs: InputConfig = InputConfig(
        ids=False, categories=False, lists=False, vectors=False, context=False, shrinkage=5.0
    )
    strengths: tuple[Strength, ...] = Field(default=(0.003, 0.03, 0.3, 3.0), min_length=1)
    iterations: int = Field(default=500, ge=1)

    @model_validator(mode="after")
    def _reads_numbers(self) -> Self:
        if not (self.inputs.numeric or self.inputs.bucketised):
            raise ValueError("it reads numbers: set inputs.numeric or inputs.bucketised to true")
        return self


def fit(
    config: LogisticConfig,
    objective: Objective,
    x: np.ndarray,
    targets: np.ndarray,
    x_valid: np.ndarray,
    valid_targets: np.ndarray,
    seed: int = 0,
) -> tuple[Any, Curve]:
    """Fit one regression for each strength, and keep that of the least validation loss.

    Args:
        config: how.
        objective: of the task.
        x, targets: training rows, (rows, columns) and (rows,).
        x_valid, valid_targets: validation rows, for the choice of the strength only.
        seed: unused: the solver is exact.

    Returns:
        The fitted `LogisticRegression`, and one point of a curve for each strength, in their order.
    """
    fitted, curve = [], Curve()
    for number, strength in enumerate(config.strengths, start=1):
        regression = _regression(config, strength, seed).fit(x, targets)
        loss, validation = (
            objective.validate(happened, predictions(regression, objective, rows))
            for rows, happened in ((x, targets), (x_valid, valid_targets))
        )
        curve.epochs.append(Epoch(number, loss[objective.loss], validation))
        fitted.append(regression)
    best = min(range(len(fitted)), key=lambda i: curve.epochs[i].validation[objective.loss])
    curve.best = best + 1
    return fitted[best], curve


def refit(
    config: LogisticConfig,
    objective: Objective,  # noqa: ARG001
    x: np.ndarray,
    targets: np.ndarray,
    curve: Curve,
    seed: int = 0,
) -> Any:
    """Fit with the strength that was best in `curve`, to other rows."""
    return _regression(config, config.strengths[curve.best - 1], seed).fit(x, targets)


def _regression(config: LogisticConfig, strength: float, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=config.iterations, random_state=seed)


def matrix(spec: InputSpec, arrays: Arrays) -> np.ndarray:
    """Standardised numbers and one column for each bucket, (rows, columns).

    Raises:
        MarqueeError: there are none.
    """
    blocks = [arrays[item.name].astype(np.float64) for item in spec.select("numeric")]
    for item in spec.select("bucketised"):
        blocks += [
            (arrays[item.name][:, [i]] == np.arange(size)).astype(np.float64)
            for i, size in enumerate(item.sizes)
        ]
    if not blocks:
        raise MarqueeError(
            f"Logistic regression reads numbers, and the inputs of {spec.service} have none: set"
            " inputs.numeric or inputs.bucketised to true."
        )
    return np.concatenate(blocks, axis=1)


def space(trial: "optuna.Trial") -> dict[str, Any]:
    """What is searched."""
    return {
        "inputs.shrinkage": trial.suggest_float("inputs.shrinkage", 1.0, 40.0, log=True),
        "inputs.buckets": trial.suggest_int("inputs.buckets", 4, 32),
    }
