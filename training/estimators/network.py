"""Keras networks as estimators."""

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from common.errors import MarqueeError
from training.backend import keras, seed_everything
from training.estimators.estimator import Blueprint, Examples, check_arrays, require_file
from training.estimators.heads import headed
from training.fit import trainer
from training.fit.checkpoint import Checkpoint
from training.fit.curve import Curve, OnEpoch
from training.inputs.spec import Arrays
from training.models.config import KerasConfig


@dataclass
class Network:
    """A network of the zoo: trained by `training.fit.trainer`, kept as Keras' weights."""

    blueprint: Blueprint
    fitted: Any = field(default=None, repr=False)
    streams: ClassVar[bool] = True
    file: ClassVar[str] = "model.weights.h5"

    @property
    def backend(self) -> str:
        """Keras' backend, such as "jax"."""
        return str(keras.backend.backend())

    def fit(
        self,
        train: Examples,
        valid: Examples,
        *,
        seed: int = 0,
        on_epoch: OnEpoch | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Curve:
        """As `Estimator`."""
        self.build(train.targets, seed)
        return trainer.fit(
            self.fitted,
            train.arrays,
            train.targets,
            valid.arrays,
            valid.targets,
            self._config.training,
            self.blueprint.objective,
            seed=seed,
            on_epoch=on_epoch,
            checkpoint=checkpoint,
        )

    def refit(self, rows: Examples, curve: Curve, *, seed: int = 0) -> None:
        """As `Estimator`."""
        self.build(rows.targets, seed)
        trainer.refit(
            self.fitted,
            rows.arrays,
            rows.targets,
            self._config.training,
            self.blueprint.objective,
            curve.best,
            seed=seed,
        )

    def predict(self, arrays: Arrays) -> np.ndarray:
        """As `Estimator`."""
        check_arrays(self.blueprint.spec, arrays)
        return trainer.predict(self.fitted, arrays, self.blueprint.objective)

    def save(self, folder: Path) -> None:
        """As `Estimator`."""
        self.fitted.save_weights(folder / self.file)

    def load(self, folder: Path) -> None:
        """As `Estimator`."""
        path = require_file(folder, self.file)
        network = self._untrained(None)
        try:
            with warnings.catch_warnings():
                # Keras only warns where a layer finds no weights and keeps its random ones.
                warnings.simplefilter("error", UserWarning)
                network.load_weights(path)
        except Exception as error:  # whatever Keras and HDF5 raise for a damaged file
            raise MarqueeError(f"The weights in {path} do not fit the model: {error}.") from error
        self.fitted = network

    def build(self, targets: np.ndarray | None, seed: int) -> None:
        """Put the untrained network in place, its first weights drawn by `seed`.

        Args:
            targets: of the rows that it will be trained on, to start its head from; None for any.
        """
        seed_everything(seed)
        self.fitted = self._untrained(targets)

    def _untrained(self, targets: np.ndarray | None) -> Any:
        network = self.blueprint.entry.build(self._config, self.blueprint.spec)
        return headed(network, self.blueprint.objective, targets)

    @property
    def _config(self) -> KerasConfig:
        assert isinstance(self.blueprint.config, KerasConfig)  # the kind of the model says so
        return self.blueprint.config
