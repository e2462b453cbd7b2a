"""A fitted model of any kind: fit it, ask it, keep it, bring it back."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import MarqueeError
from training.fit.checkpoint import Checkpoint
from training.fit.curve import Curve, Progress
from training.inputs.spec import Arrays, InputSpec
from training.models import Entry
from training.models.config import ModelConfig

KERAS_FILE = "model.weights.h5"
SKLEARN_FILE = "model.joblib"


@dataclass(frozen=True, slots=True)
class Predictor:
    """A fitted model.

    Args:
        entry: which model of the zoo.
        spec: of its inputs.
        model: the Keras model, or the scikit-learn estimator.
    """

    entry: Entry
    spec: InputSpec
    model: Any

    def predict(self, arrays: Arrays) -> np.ndarray:
        """The probability of a like, float64 (rows,).

        Args:
            arrays: as `spec.apply` gives them.
        """
        if self.entry.kind == "keras":
            from training.fit.trainer import predict

            return predict(self.model, arrays)
        if not len(next(iter(arrays.values()))):
            return np.empty(0)
        probabilities: np.ndarray = self.model.predict_proba(self.entry.matrix(self.spec, arrays))
        return probabilities[:, 1].astype(np.float64)

    def save(self, folder: Path) -> None:
        """Write the weights into an existing folder."""
        if self.entry.kind == "keras":
            self.model.save_weights(folder / KERAS_FILE)
        else:
            import joblib

            joblib.dump(self.model, folder / SKLEARN_FILE)


def fit(
    entry: Entry,
    config: ModelConfig,
    spec: InputSpec,
    train: Arrays,
    liked: np.ndarray,
    valid: Arrays,
    valid_liked: np.ndarray,
    *,
    seed: int = 0,
    on_progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[Predictor, Curve]:
    """Build and train a model of the zoo.

    Args:
        entry: which.
        config: an instance of its configuration class.
        spec: fitted to the training rows.
        train, liked: training rows.
        valid, valid_liked: validation rows, for early stopping only.
        seed: of everything random.
        on_progress: called after each epoch of a network.
        checkpoint: where a network keeps its state after each epoch, and goes on from; nowhere where None.
    """
    if entry.kind == "keras":
        from training.backend import seed_everything
        from training.fit import trainer

        seed_everything(seed)
        model = entry.build(config, spec)
        curve = trainer.fit(
            model,
            train,
            liked,
            valid,
            valid_liked,
            config.training,  # type: ignore[attr-defined]  # a network's configuration has it
            seed=seed,
            on_progress=on_progress,
            checkpoint=checkpoint,
        )
    else:
        model, curve = entry.fit(config, spec, train, liked, valid, valid_liked, seed)
    return Predictor(entry, spec, model), curve


def refit(
    entry: Entry,
    config: ModelConfig,
    spec: InputSpec,
    rows: Arrays,
    liked: np.ndarray,
    curve: Curve,
    *,
    seed: int = 0,
) -> Predictor:
    """Build a model of the zoo anew and train it for as long as was best before.

    Args:
        entry, config, seed: as in `fit`.
        spec: fitted to `rows`.
        rows, liked: all rows that may be trained on; none is held back.
        curve: what `fit` gave.
    """
    if entry.kind == "keras":
        from training.backend import seed_everything
        from training.fit import trainer

        seed_everything(seed)
        model = entry.build(config, spec)
        trainer.refit(model, rows, liked, config.training, curve.best, seed=seed)  # type: ignore[attr-defined]
    else:
        model = entry.refit(config, spec, rows, liked, curve, seed)
    return Predictor(entry, spec, model)


def load(entry: Entry, config: ModelConfig, spec: InputSpec, folder: Path) -> Predictor:
    """Bring back what `Predictor.save` wrote.

    A scikit-learn model is a pickle: load artefacts that you trust only.

    Raises:
        MarqueeError: the file is missing, or does not fit the configuration.
    """
    path = folder / (KERAS_FILE if entry.kind == "keras" else SKLEARN_FILE)
    if not path.is_file():
        raise MarqueeError(f"{folder} has no {path.name}: it is not a whole artefact.")
    if entry.kind == "keras":
        model = entry.build(config, spec)
        try:
            with warnings.catch_warnings():
                # Keras only warns where a layer finds no weights and keeps its random ones.
                warnings.simplefilter("error", UserWarning)
                model.load_weights(path)
        except (ValueError, OSError, KeyError, UserWarning) as error:
            raise MarqueeError(f"The weights in {path} do not fit the model: {error}.") from error
    else:
        import joblib

        try:
            model = joblib.load(path)
        except Exception as error:  # whatever a damaged pickle raises
            raise MarqueeError(f"The model in {path} cannot be read: {error}.") from error
    return Predictor(entry, spec, model)
