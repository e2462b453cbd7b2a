"""Logistic regression: the other reference that a network has to beat."""

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from training.evaluate.metrics import log_loss_of
from training.fit.curve import Curve, Epoch
from training.inputs.config import InputConfig
from training.inputs.spec import Arrays, InputSpec
from training.models.config import ModelConfig

if TYPE_CHECKING:
    import optuna


class LogisticConfig(ModelConfig):
    """Configuration of `logistic`.

    Args:
        strengths: of the L2 penalty that are tried (as C, its inverse); the validation loss chooses.
        iterations: of the solver, at most.
    """

    inputs: InputConfig = InputConfig(
        ids=False, categories=False, lists=False, vectors=False, context=False, shrinkage=5.0
    )
    strengths: tuple[float, ...] = Field(default=(0.003, 0.03, 0.3, 3.0), min_length=1)
    iterations: int = Field(default=500, ge=1)


def fit(
    config: LogisticConfig,
    spec: InputSpec,
    train: Arrays,
    liked: np.ndarray,
    valid: Arrays,
    valid_liked: np.ndarray,
    seed: int = 0,
) -> tuple[Any, Curve]:
    """Fit one regression for each strength, and keep that of the least validation loss.

    Args:
        config: how.
        spec: of the inputs.
        train, liked: training rows.
        valid, valid_liked: validation rows, for the choice of the strength only.
        seed: unused: the solver is exact.

    Returns:
        The fitted `LogisticRegression`, and one point of a curve for each strength, in their order.
    """
    rows, valid_rows = matrix(spec, train), matrix(spec, valid)
    fitted, curve = [], Curve()
    for number, strength in enumerate(config.strengths, start=1):
        regression = _regression(config, strength, seed).fit(rows, liked)
        losses = [
            log_loss_of(flags, regression.predict_proba(x)[:, 1])
            for x, flags in ((rows, liked), (valid_rows, valid_liked))
        ]
        curve.epochs.append(Epoch(number, loss=losses[0], val_log_loss=losses[1]))
        fitted.append(regression)
    best = min(range(len(fitted)), key=lambda i: curve.epochs[i].val_log_loss)
    curve.best = best + 1
    return fitted[best], curve


def refit(
    config: LogisticConfig, spec: InputSpec, rows: Arrays, liked: np.ndarray, curve: Curve, seed: int = 0
) -> Any:
    """Fit with the strength that was best in `curve`, to other rows."""
    return _regression(config, config.strengths[curve.best - 1], seed).fit(matrix(spec, rows), liked)


def _regression(config: LogisticConfig, strength: float, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=config.iterations, random_state=seed)


def matrix(spec: InputSpec, arrays: Arrays) -> np.ndarray:
    """Standardised numbers and one column for each bucket, (rows, columns)."""
    blocks = [arrays[item.name].astype(np.float64) for item in spec.select("numeric")]
    for item in spec.select("bucketised"):
        blocks += [
            (arrays[item.name][:, [i]] == np.arange(size)).astype(np.float64)
            for i, size in enumerate(item.sizes)
        ]
    return np.concatenate(blocks, axis=1)


def space(trial: "optuna.Trial") -> dict[str, Any]:
    """What is searched."""
    return {
        "inputs.shrinkage": trial.suggest_float("inputs.shrinkage", 1.0, 40.0, log=True),
        "inputs.buckets": trial.suggest_int("inputs.buckets", 4, 32),
    }
