"""Training curves: what happened epoch by epoch."""

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Epoch:
    """One point of a training curve.

    Args:
        epoch: from 1; of trees, their number.
        loss: mean training loss, penalties included.
        val_log_loss: on the validation rows at its end.
        val_auc: the same; None where the model does not measure it on the way.
        seconds: that it took, validation included.
    """

    epoch: int
    loss: float
    val_log_loss: float
    val_auc: float | None = None
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
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Curve":
        return cls([Epoch(**epoch) for epoch in data["epochs"]], data["best"])


class Progress(Protocol):
    """Told after each epoch; `epoch` counts from 1 to at most `of`."""

    def __call__(self, *, epoch: int, of: int, loss: float, val_auc: float) -> None: ...
