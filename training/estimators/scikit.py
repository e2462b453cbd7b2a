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

TREES = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
"""The one type of the models' that skops does not know: arrays of nodes, and no more."""


@dataclass
class ScikitModel:
    """A model of scikit-learn: trained in one go, kept by skops, whose files cannot run code."""

    blueprint: Blueprint
    fitted: Any = field(default=None, repr=False)
    streams: ClassVar[bool] = False
    file: ClassVar[str] = "model.skops"
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
        from skops import io

        io.dump(self.fitted, folder / self.file)

    def load(self, folder: Path) -> None:
        """As `Estimator`."""
        from skops import io
        from skops.io.exceptions import UntrustedTypesFoundException

        path = require_file(folder, self.file)
        try:
            fitted = io.load(path, trusted=[TREES])
            check_trees(fitted)
            spec = self.blueprint.spec
            # What it needs to predict may be lacking, or belong to other inputs.
            predictions(fitted, self.blueprint.objective, self._matrix(spec.apply(spec.nothing())))
        except UntrustedTypesFoundException as error:
            raise MarqueeError(
                f"The model in {path} has parts that Marquee does not write: it is not loaded."
            ) from error
        except Exception as error:  # whatever skops and scikit-learn raise for a damaged file
            raise MarqueeError(f"The model in {path} cannot be read: {error}.") from error
        self.fitted = fitted

    def _matrix(self, arrays: Arrays) -> np.ndarray:
        matrix: np.ndarray = self.blueprint.entry.module.matrix(self.blueprint.spec, arrays)
        return matrix


def check_trees(fitted: Any) -> None:
    """Refuse trees with nodes that lead out of their arrays: compiled code would follow them.

    Raises:
        ValueError: one does.
    """
    for predictor in (one for stage in getattr(fitted, "_predictors", ()) for one in stage):
        nodes = predictor.nodes
        inner = nodes[nodes["is_leaf"] == 0]
        place = np.arange(len(nodes))[nodes["is_leaf"] == 0]
        for side in ("left", "right"):  # children stand after their parent, so that no walk is endless
            if (inner[side] <= place).any() or (inner[side] >= len(nodes)).any():
                raise ValueError("a node of a tree leads nowhere")
        if (inner["feature_idx"] < 0).any() or (inner["feature_idx"] >= fitted.n_features_in_).any():
            raise ValueError("a node of a tree asks for a column that is not there")
        if inner["is_categorical"].any():
            raise ValueError("a node of a tree asks for categories, which no model has")
