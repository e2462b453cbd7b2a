"""What a model of scikit-learn says, in the terms of a task."""

from typing import Any

import numpy as np

from training.tasks import Objective


def predictions(fitted: Any, objective: Objective, x: np.ndarray) -> np.ndarray:
    """Predictions as the objective defines them: float64 (rows,), or (rows, classes).

    Args:
        fitted: classifier or regressor.
        objective: of its task.
        x: (rows, columns), at least one row.
    """
    if objective.kind == "regression":
        values: np.ndarray = fitted.predict(x)
        return values.astype(np.float64)
    probabilities: np.ndarray = fitted.predict_proba(x)
    if objective.kind == "binary":
        return probabilities[:, 1].astype(np.float64)
    # A class that no training row has is known to the task, not to the classifier.
    found = np.zeros((len(x), objective.outputs))
    found[:, fitted.classes_] = probabilities
    return found


def known_rows(objective: Objective, targets: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of `others` have a target that a classifier trained on `targets` can know, bool (rows,)."""
    if objective.kind == "regression":
        return np.ones(len(others), dtype=bool)
    return np.isin(others, np.unique(targets))
