"""Models of scikit-learn as estimators.

A model's file (`training.models.gbt`, …) has:

- `fit(config, objective, x, targets, x_valid, valid_targets, seed)`: the fitted model and its learning curve;
- `refit(config, objective, x, targets, curve, seed)`: the model anew, to what an earlier curve chose;
- `matrix(spec, arrays)`: what it reads, float (rows, columns).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from common.errors import MarqueeError
from training.estimators.estimator import Blueprint, Examples, check_arrays, require_file
from training.estimators.predictions import predictions
from training.fit.checkpoint import Checkpoint
from training.fit.curve import Curve, OnEpoch
from training.inputs.spec import Arrays


@dataclass
class ScikitModel:
    """A model of scikit-learn: trained in one go, kept as a pickle. Load artefacts that you trust only."""

    blueprint: Blueprint
    fitted: Any = field(default=None, repr=False)
    streams: ClassVar[bool] = False
    file: ClassVar[str] = "model.joblib"
    backend: ClassVar[str] = ""

    def fit(
        self,
        train: Examples,
        valid: Examples,
        *,
        seed: int = 0,
        on_epoch: OnEpoch | None = None,  # noqa: ARG002
        checkpoint: Checkpoint | None = None,  # noqa: ARG002
    ) -> Curve:
        """As `Estimator`; there are no epochs to tell of or to go on from."""
        self.fitted, curve = self.blueprint.entry.module.fit(
            self.blueprint.config,
            self.blueprint.objective,
            self._matrix(train.arrays),
            train.targets,
            self._matrix(valid.arrays),
            valid.targets,
            seed,
        )
        return curve  # type: ignore[no-any-return]

    def refit(self, rows: Examples, curve: Curve, *, seed: int = 0) -> None:
        """As `Estimator`."""
        of = self.blueprint
        x = self._matrix(rows.arrays)
        self.fitted = of.entry.module.refit(of.config, of.objective, x, rows.targets, curve, seed)

    def predict(self, arrays: Arrays) -> np.ndarray:
        """As `Estimator`."""
        if not check_arrays(self.blueprint.spec, arrays):
            return self.blueprint.objective.link(np.empty((0, self.blueprint.objective.outputs)))
        return predictions(self.fitted, self.blueprint.objective, self._matrix(arrays))

    def save(self, folder: Path) -> None:
        """As `Estimator`."""
        import joblib

        joblib.dump(self.fitted, folder / self.file)

    def load(self, folder: Path) -> None:
        """As `Estimator`."""
        import joblib

        path = require_file(folder, self.file)
        try:
            self.fitted = joblib.load(path)
        except Exception as error:  # whatever a damaged pickle raises
            raise MarqueeError(f"The model in {path} cannot be read: {error}.") from error

    def _matrix(self, arrays: Arrays) -> np.ndarray:
        matrix: np.ndarray = self.blueprint.entry.module.matrix(self.blueprint.spec, arrays)
        return matrix
