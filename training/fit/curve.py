"""Training curves: what happened epoch by epoch."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from training.config import checked


@dataclass(frozen=True, slots=True)
class Epoch:
    """One point of a training curve.

    Args:
        epoch: from 1; of trees, their number; of a penalty, which was tried.
        loss: mean training loss, penalties included.
        validation: metrics of the validation rows at its end, by name; the task's loss is among them.
        seconds: that it took, validation included.
    """

    epoch: int
    loss: float
    validation: dict[str, float]
    seconds: float = 0.0


@dataclass(slots=True)
class Curve:
    """A training curve, and which point of it the model is at.

    Args:
        epochs: in order.
        best: `epoch` of the point whose weights were kept.
    """

    epochs: list[Epoch] = field(default_factory=list)
    best: int = 0

    def as_json(self) -> dict[str, Any]:
        """The curve as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Curve":
        """What `as_json` gave, as a curve again.

        Raises:
            TypeError, ValueError: it is no such data.
        """
        return checked(cls, data)


OnEpoch = Callable[[Epoch, int], None]
"""Called after each epoch with what happened and the most epochs that there will be."""
