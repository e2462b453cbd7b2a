"""What a declared task means to training: targets, loss, link, metrics, monitor, threshold, figures.

| task | targets | outputs to predictions | loss | metrics |
|---|---|---|---|---|
| `Binary` | true or false | sigmoid | log loss | areas, log loss, and F1 … at a threshold |
| `Regression` | the value | identity | squared error | RMSE, MAE |
| `Ordinal` | class, ascending | probabilities, scored by expectation | log loss | log loss, RMSE, MAE |

Everything else asks the `Objective` of a task and knows no kind of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa

from common.errors import MarqueeError, unknown
from feature_repo.define.task import Binary, Ordinal, Regression, Task
from training.evaluate import metrics
from training.evaluate.picture import Picture

Kind = Literal["binary", "regression", "ordinal"]
Loss = Literal["log_loss", "mse"]
Metrics = Mapping[str, Any]
"""Metrics by name; `rows` is always among them."""


class Objective(Protocol):
    """A task, as training needs it. Targets and predictions are arrays with one entry a row."""

    @property
    def task(self) -> Task:
        """As it was declared."""

    @property
    def kind(self) -> Kind:
        """Which kind of task it is."""

    @property
    def outputs(self) -> int:
        """How many numbers a network gives for a row."""

    @property
    def loss(self) -> Loss:
        """What is minimised, a name in `validate`."""

    @property
    def monitors(self) -> Mapping[str, int]:
        """What the best epoch may have the best of: names in `validate`, with 1 where more is better and -1
        where less is. The first is the default."""

    def targets(self, table: pa.Table) -> np.ndarray:
        """What models are trained on, made of the label column (rows,)."""

    def check(self, targets: np.ndarray, part: str) -> None:
        """Refuse targets that nothing can be learnt from or measured on.

        Raises:
            MarqueeError: names the part ("training", "test" …) and what it lacks.
        """

    def link(self, outputs: np.ndarray) -> np.ndarray:
        """From a network's outputs, float64 (rows, outputs), to predictions."""

    def score(self, predicted: np.ndarray) -> np.ndarray:
        """From predictions to one number a row, by which rows are ranked, float64 (rows,)."""

    def validate(self, targets: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        """The few metrics that are watched while training."""

    def threshold(self, targets: np.ndarray, predicted: np.ndarray) -> float | None:
        """From which score on a row counts as true, chosen on these rows; None where nothing is decided."""

    def measure(self, targets: np.ndarray, predicted: np.ndarray, threshold: float | None) -> Metrics:
        """All metrics of some rows."""

    def figures(self, models: Mapping[str, "Scored"]) -> list[Picture]:
        """What the scores of several models look like, by their titles."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model said of some rows.

    Args:
        targets: (rows,).
        scores: float64 (rows,).
    """

    targets: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True, slots=True)
class BinaryObjective:
    """Predictions are probabilities of true, float64 (rows,)."""

    task: Binary
    kind: Kind = "binary"
    outputs: int = 1
    loss: Loss = "log_loss"

    @property
    def monitors(self) -> Mapping[str, int]:
        """As `Objective`."""
        return {"auc": 1, "log_loss": -1}

    def targets(self, table: pa.Table) -> np.ndarray:
        """As `Objective`: bool."""
        flags: np.ndarray = table[self.task.name].to_numpy(zero_copy_only=False)
        return flags.astype(bool)

    def check(self, targets: np.ndarray, part: str) -> None:
        """As `Objective`: both classes must be there."""
        if not (targets.any() and not targets.all()):
            says = self.task.says or self.task.name
            what = says if len(targets) and targets.all() else f"not {says}"
            raise MarqueeError(
                f"All {len(targets)} {part} rows are {what}: metrics need both kinds, and so does training."
                f" Give more events, some of them {says} and some not."
            )

    def link(self, outputs: np.ndarray) -> np.ndarray:
        """As `Objective`."""
        return sigmoid(outputs[:, 0])

    def score(self, predicted: np.ndarray) -> np.ndarray:
        """As `Objective`: the probability."""
        return predicted

    def validate(self, targets: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        """As `Objective`."""
        auc = metrics.roc_auc(targets, predicted)
        return {"auc": auc, "log_loss": metrics.log_loss_of(targets, predicted)}

    def threshold(self, targets: np.ndarray, predicted: np.ndarray) -> float | None:
        """As `Objective`: that of the greatest F1."""
        return metrics.best_threshold(targets, predicted)

    def measure(self, targets: np.ndarray, predicted: np.ndarray, threshold: float | None) -> Metrics:
        """As `Objective`."""
        return metrics.binary_metrics(targets, predicted, 0.5 if threshold is None else threshold)

    def figures(self, models: Mapping[str, Scored]) -> list[Picture]:
        """As `Objective`: both curves, then a histogram for each model."""
        from training.evaluate import class_figures as draw

        says = self.task.says or self.task.name
        pairs = {name: (found.targets, found.scores) for name, found in models.items()}
        return [
            draw.roc_curves(pairs),
            draw.precision_recall_curves(pairs),
            *(draw.score_histogram(name, *pair, says) for name, pair in pairs.items()),
        ]


@dataclass(frozen=True, slots=True)
class RegressionObjective:
    """Predictions are values, float64 (rows,)."""

    task: Regression
    kind: Kind = "regression"
    outputs: int = 1
    loss: Loss = "mse"

    @property
    def monitors(self) -> Mapping[str, int]:
        """As `Objective`."""
        return {"rmse": -1, "mae": -1}

    def targets(self, table: pa.Table) -> np.ndarray:
        """As `Objective`: float64."""
        return _values(table, self.task)

    def check(self, targets: np.ndarray, part: str) -> None:
        """As `Objective`: any number will do."""

    def link(self, outputs: np.ndarray) -> np.ndarray:
        """As `Objective`."""
        return outputs[:, 0]

    def score(self, predicted: np.ndarray) -> np.ndarray:
        """As `Objective`: the value."""
        return predicted

    def validate(self, targets: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        """As `Objective`."""
        rmse, mae = metrics.errors(targets, predicted)
        return {"rmse": rmse, "mae": mae, "mse": rmse * rmse}

    def threshold(self, targets: np.ndarray, predicted: np.ndarray) -> float | None:  # noqa: ARG002
        """As `Objective`: none."""
        return None

    def measure(self, targets: np.ndarray, predicted: np.ndarray, threshold: float | None) -> Metrics:  # noqa: ARG002
        """As `Objective`."""
        rmse, mae = metrics.errors(targets, predicted)
        return {"rmse": rmse, "mae": mae, "rows": len(targets)}

    def figures(self, models: Mapping[str, Scored]) -> list[Picture]:
        """As `Objective`: the errors of all models, then predictions by value for each."""
        from training.evaluate import number_figures as draw

        pairs = {name: (found.targets, found.scores) for name, found in models.items()}
        return [draw.error_curves(pairs), *(draw.by_value(name, *pair) for name, pair in pairs.items())]


@dataclass(frozen=True, slots=True)
class OrdinalObjective:
    """Predictions are probabilities of each class, float64 (rows, classes); scores are expectations."""

    task: Ordinal
    kind: Kind = "ordinal"
    loss: Loss = "log_loss"

    @property
    def outputs(self) -> int:
        """As `Objective`: one for each class."""
        return len(self.task.values)

    @property
    def monitors(self) -> Mapping[str, int]:
        """As `Objective`."""
        return {"log_loss": -1, "rmse": -1, "mae": -1}

    def targets(self, table: pa.Table) -> np.ndarray:
        """As `Objective`: the place of each value among the task's, int64."""
        return np.searchsorted(np.asarray(self.task.values), _values(table, self.task)).astype(np.int64)

    def check(self, targets: np.ndarray, part: str) -> None:
        """As `Objective`: training needs two classes."""
        if part == "training" and len(np.unique(targets)) < 2:
            raise MarqueeError(
                f"All {len(targets)} {part} rows have one and the same {self.task.name}: there is nothing to"
                " learn. Give more rows."
            )

    def link(self, outputs: np.ndarray) -> np.ndarray:
        """As `Objective`: outputs are logarithms of probabilities, up to a constant."""
        weights = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        shares: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
        return shares

    def score(self, predicted: np.ndarray) -> np.ndarray:
        """As `Objective`: the expected value."""
        expected: np.ndarray = predicted @ np.asarray(self.task.values)
        return expected

    def validate(self, targets: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        """As `Objective`."""
        rmse, mae = metrics.errors(self._happened(targets), self.score(predicted))
        return {"log_loss": metrics.class_log_loss(targets, predicted), "rmse": rmse, "mae": mae}

    def threshold(self, targets: np.ndarray, predicted: np.ndarray) -> float | None:  # noqa: ARG002
        """As `Objective`: none."""
        return None

    def measure(self, targets: np.ndarray, predicted: np.ndarray, threshold: float | None) -> Metrics:  # noqa: ARG002
        """As `Objective`."""
        return {**self.validate(targets, predicted), "rows": len(targets)}

    def figures(self, models: Mapping[str, Scored]) -> list[Picture]:
        """As `Objective`: the errors of all models, then predictions by value for each."""
        from training.evaluate import number_figures as draw

        pairs = {name: (self._happened(found.targets), found.scores) for name, found in models.items()}
        return [draw.error_curves(pairs), *(draw.by_value(name, *pair) for name, pair in pairs.items())]

    def _happened(self, targets: np.ndarray) -> np.ndarray:
        """The values of classes, float64 (rows,)."""
        values: np.ndarray = np.asarray(self.task.values, dtype=np.float64)[targets]
        return values


def objective_of(task: Task) -> Objective:
    """What a declared task means to training."""
    match task:
        case Binary():
            return BinaryObjective(task)
        case Regression():
            return RegressionObjective(task)
        case Ordinal():
            return OrdinalObjective(task)


def check_monitor(objective: Objective, monitor: str | None) -> str:
    """What the best epoch has the best of; the task's own choice where None is asked for.

    Raises:
        MarqueeError: the task does not measure it.
    """
    if monitor is None:
        return next(iter(objective.monitors))
    if monitor not in objective.monitors:
        raise unknown(f"monitor of {objective.task.name}", monitor, objective.monitors)
    return monitor


def happened(task: Task, table: pa.Table) -> np.ndarray:
    """The labels that scores are measured against (rows,): bool of a binary task, else values, float64."""
    return objective_of(task).targets(table) if isinstance(task, Binary) else _values(table, task)


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-z), without overflow."""
    tail = np.exp(-np.abs(z))
    p: np.ndarray = np.where(z >= 0, 1.0, tail) / (1.0 + tail)
    return p


def _values(table: pa.Table, task: Task) -> np.ndarray:
    values: np.ndarray = table[task.name].to_numpy()
    return values.astype(np.float64)
