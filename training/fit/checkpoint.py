"""Where a training stands, in one file, so that a killed one goes on to the same result."""

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.files import json_in, write_atomically
from training.fit.curve import Curve

Arrays = list[np.ndarray]


@dataclass(frozen=True, slots=True)
class State:
    """All that the next batch depends on; the order of the rows follows from seed and epoch.

    Args:
        epoch: epochs done.
        batch: batches done of the next one.
        loss: the sums that the mean loss of that epoch is made of.
        variables: of the model, its random generators included.
        optimizer: the optimiser's variables.
        best: value of the best epoch so far, of what is monitored.
        best_weights: of that epoch.
        curve: so far.
    """

    epoch: int
    batch: int
    loss: Arrays
    variables: Arrays
    optimizer: Arrays
    best: float
    best_weights: Arrays
    curve: Curve


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file that holds a `State`.

    Args:
        path: of the file.
        of: digest of what is trained (`Recipe.digest`): the state of another training is none.
    """

    path: Path
    of: str

    def write(self, state: State) -> None:
        """Replace what was there."""
        groups = {
            "variables": state.variables,
            "optimizer": state.optimizer,
            "best_weights": state.best_weights,
            "loss": state.loss,
        }
        meta = {
            "of": self.of,
            "epoch": state.epoch,
            "batch": state.batch,
            "best": state.best,
            "curve": state.curve.as_json(),
        }
        meta |= {name: len(arrays) for name, arrays in groups.items()}
        arrays = {f"{name}_{i}": array for name, group in groups.items() for i, array in enumerate(group)}
        file = io.BytesIO()
        np.savez(file, meta=np.array(json.dumps(meta)), **arrays)  # type: ignore[arg-type]
        write_atomically(self.path, file.getvalue())

    def read(self) -> State | None:
        """The state of this very training; None where there is none, or the file cannot be read."""
        try:
            with np.load(self.path, allow_pickle=False) as file:
                meta = json_in(str(file["meta"]))
                if meta["of"] != self.of:
                    return None
                groups = {
                    name: [file[f"{name}_{i}"] for i in range(meta[name])]
                    for name in ("variables", "optimizer", "best_weights", "loss")
                }
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None
        return State(
            meta["epoch"], meta["batch"], best=meta["best"], curve=Curve.from_json(meta["curve"]), **groups
        )

    def remove(self) -> None:
        """When the training is done."""
        self.path.unlink(missing_ok=True)
