"""What stands between a network's one logit a row and the outputs of its task."""

from typing import Any

import numpy as np

from training.backend import Shape, keras
from training.tasks import Objective


def headed(network: Any, objective: Objective, targets: np.ndarray | None) -> Any:
    """A network whose outputs are those that the objective links to predictions.

    Args:
        network: from the dictionary of tensors to logits (batch, 1). A binary task takes it as it is.
        objective: of the task.
        targets: of the training rows, to start from; None where weights are loaded.
    """
    if objective.kind == "binary":
        return network
    head = Affine(name="affine") if objective.kind == "regression" else OrderedThresholds(objective.outputs)
    outputs = head(network.output)
    if targets is not None:
        head.start_from(targets)
    return keras.Model(network.input, outputs, name=network.name)


class Affine(keras.layers.Layer):  # type: ignore[misc]
    """A logit in the units of a value.

        y = μ + σ z

    with μ and σ the mean and deviation of the training values: they are kept with the weights, not trained.

    Shapes: z (batch, 1) to y (batch, 1).
    """

    def build(self, input_shape: Shape) -> None:  # noqa: ARG002
        self.mean = self.add_weight(shape=(), initializer="zeros", trainable=False, name="mean")
        self.deviation = self.add_weight(shape=(), initializer="ones", trainable=False, name="deviation")

    def start_from(self, targets: np.ndarray) -> None:
        """Take mean and deviation from values (rows,)."""
        self.mean.assign(float(targets.mean()))
        self.deviation.assign(float(targets.std()) or 1.0)

    def call(self, z: Any) -> Any:
        return self.mean + self.deviation * z


class OrderedThresholds(keras.layers.Layer):  # type: ignore[misc]
    """A logit as logarithms of the probabilities of K ordered classes: proportional odds.

        P(class ≤ k) = σ(θₖ - z),  θ₁ < θ₂ < … < θₖ₋₁

    so that a greater logit makes higher classes likelier. The first threshold and the gaps between the others
    (through softplus, so that they stay ordered) are trained.

    Args:
        classes: K, at least 2.

    Shapes: z (batch, 1) to log P (batch, K).

    Example: with θ = (0, 1) and z = 0, P = (.5, σ(1) - .5, 1 - σ(1)).

    Reference: P. McCullagh, Regression Models for Ordinal Data, 1980.
    """

    def __init__(self, classes: int, name: str = "ordinal", **rest: Any) -> None:
        super().__init__(name=name, **rest)
        self.classes = classes

    def build(self, input_shape: Shape) -> None:  # noqa: ARG002
        # "bias": the optimiser's weight decay leaves such weights alone.
        self.first = self.add_weight(shape=(1,), initializer="zeros", name="first_bias")
        self.gaps = self.add_weight(shape=(self.classes - 2,), initializer="zeros", name="gap_bias")

    def start_from(self, targets: np.ndarray) -> None:
        """Take the thresholds that a logit of 0 needs for the shares of the classes, (rows,) from 0."""
        counts = np.bincount(targets, minlength=self.classes) + 0.5
        below = np.cumsum(counts)[:-1] / counts.sum()
        thresholds = np.log(below / (1 - below))
        self.first.assign(thresholds[:1])
        self.gaps.assign(np.log(np.expm1(np.diff(thresholds))))

    def call(self, z: Any) -> Any:
        ops = keras.ops
        gaps = ops.softplus(self.gaps)
        thresholds = self.first + ops.concatenate([ops.zeros((1,), gaps.dtype), ops.cumsum(gaps)])
        below, above = ops.log_sigmoid(thresholds - z), ops.log_sigmoid(z - thresholds)
        # σ(b) - σ(a) = σ(b) σ(-a) (1 - e^(a-b)), each factor exact in logarithms.
        between = below[:, 1:] + above[:, :-1] + ops.log(-ops.expm1(-gaps))
        return ops.concatenate([below[:, :1], between, above[:, -1:]], axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes}


def loss_of(objective: Objective) -> Any:
    """The Keras loss of a network's outputs."""
    match objective.kind:
        case "binary":
            return keras.losses.BinaryCrossentropy(from_logits=True)
        case "regression":
            return keras.losses.MeanSquaredError()
        case "ordinal":
            return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
