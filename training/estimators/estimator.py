"""What every model can do, whatever library it is made with: fit, refit, predict, save, load."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from common.errors import MarqueeError
from training.fit.checkpoint import Checkpoint
from training.fit.curve import Curve, OnEpoch
from training.inputs.spec import Arrays, InputSpec
from training.models import Entry
from training.models.config import ModelConfig
from training.tasks import Objective


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows to learn from, or to be measured on.

    Args:
        arrays: inputs, as `InputSpec.apply` gives them.
        targets: (rows,), as `Objective.targets` gives them.
    """

    arrays: Arrays
    targets: np.ndarray


@dataclass(frozen=True, slots=True)
class Blueprint:
    """Which model an estimator is of, and what for.

    Args:
        entry: in the zoo.
        config: an instance of its configuration class.
        spec: of its inputs, fitted to the rows that it is trained on.
        objective: of its task.
    """

    entry: Entry
    config: ModelConfig
    spec: InputSpec
    objective: Objective


class Estimator(Protocol):
    """A model to train, ask, keep and bring back. Before `fit`, `refit` or `load` it knows nothing."""

    streams: bool
    """Whether it can be trained on arrays that stay on disk."""
    file: str
    """The file that `save` writes."""

    @property
    def blueprint(self) -> Blueprint:
        """Which model it is of."""

    @property
    def fitted(self) -> Any:
        """The library's own model, once trained."""

    @property
    def backend(self) -> str:
        """What computes it, where the library has several; else ""."""

    def fit(
        self,
        train: Examples,
        valid: Examples,
        *,
        seed: int = 0,
        on_epoch: OnEpoch | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Curve:
        """Train, with the validation rows for the choice of when to stop only.

        Args:
            train, valid: rows.
            seed: of everything random.
            on_epoch: called after each epoch, where there are epochs.
            checkpoint: where the state is kept after each epoch, and gone on from; nowhere where None.
        """

    def refit(self, rows: Examples, curve: Curve, *, seed: int = 0) -> None:
        """Train anew for as long as was best before, on all rows that may be trained on.

        Args:
            rows: none is held back.
            curve: what `fit` gave.
            seed: as in `fit`.
        """

    def predict(self, arrays: Arrays) -> np.ndarray:
        """Predictions as the task's objective defines them: float64 (rows,), or (rows, classes).

        Raises:
            MarqueeError: inputs are missing, or of another shape than the specification's.
        """

    def save(self, folder: Path) -> None:
        """Write what was learnt into an existing folder."""

    def load(self, folder: Path) -> None:
        """Bring back what `save` wrote: predictions are identical.

        Raises:
            MarqueeError: the file is missing or damaged, or does not fit the configuration.
        """


def check_arrays(spec: InputSpec, arrays: Arrays) -> int:
    """The number of rows of inputs, which must be those of a specification.

    Raises:
        MarqueeError: an input is missing, or of another shape.
    """
    missing = [item.name for item in spec.inputs if item.name not in arrays]
    if missing or not spec.inputs:
        raise MarqueeError(
            f"The inputs lack {', '.join(missing) or 'everything'}: apply the specification that the model"
            " was trained with."
        )
    for item in spec.inputs:
        found = tuple(_shape(arrays[item.name])[1:])
        if found != item.shape:
            raise MarqueeError(
                f"Input {item.name} has the shape {found} a row, and the model was trained on {item.shape}:"
                " apply the specification that it was trained with."
            )
    return int(_shape(arrays[spec.inputs[0].name])[0])


def _shape(array: Any) -> Sequence[int]:
    shape: Sequence[int] = array.shape
    return shape


def require_file(folder: Path, name: str) -> Path:
    """A file of an artefact.

    Raises:
        MarqueeError: it is not there.
    """
    path = folder / name
    if not path.is_file():
        raise MarqueeError(f"{folder} has no {name}: it is not a whole artefact.")
    return path
