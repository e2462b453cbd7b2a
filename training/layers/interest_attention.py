"""The attention unit of the Deep Interest Network."""

from collections.abc import Sequence
from typing import Any

from training.backend import Shape, keras


@keras.saving.register_keras_serializable(package="marquee")
class InterestAttention(keras.layers.Layer):  # type: ignore[misc]
    """Pools a user's history by how much each item of it has to do with the candidate.

    For history items h₁ … h_T and candidate c, all of width d, a small network reads an item, the candidate
    and their outer product and gives one weight; the history is summed with those weights:

        zₜ = φ(hₜ W_h + c W_c + vec(hₜ ⊗ c) W_o + b)       first hidden layer
        aₜ = vᵀ mlp(zₜ) + a₀                                further hidden layers, then one unit
        out = Σₜ mₜ aₜ hₜ,   mₜ = 1 for an item, 0 for padding

    The weights are not normalised, so that the sum keeps the strength of an interest; with
    `normalise=True` they go through a softmax over the items that are there.

    vec(hₜ ⊗ c) W_o is computed as hₜ (W_o · c), the same sum in another order: the outer products are never
    laid out, and a history of T items costs one pass over W_o instead of T.

    Args:
        units: widths of the hidden layers. Default `(32,)`.
        activation: φ and that of further hidden layers. Default None: PReLU.
        normalise: softmax over the items. Default False.
        kernel_regularizer: of all kernels. Default None.

    Input: `layer(candidate, history, present)`
        candidate: `(batch, d)`
        history: `(batch, T, d)`
        present: bool `(batch, T)`, true for an item, false for padding
    Output shape: `(batch, d)`; zero where all is padding.

    Raises:
        ValueError: no hidden layer, or widths or lengths that do not match.

    Example:
        ```python
        pooled = InterestAttention(units=(32,))(candidate, history, present=history_ids != 0)
        ```

    Reference: G. Zhou et al., Deep Interest Network for Click-Through Rate Prediction, KDD 2018, eq. 3 and
    figure 2 (activation unit); the outer product as in MMDIN.
    """

    def __init__(
        self,
        units: Sequence[int] = (32,),
        activation: Any = None,
        normalise: bool = False,
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not units or min(units) < 1:
            raise ValueError(f"`units` should hold widths of at least 1. Received: {units}")
        self.units = tuple(int(unit) for unit in units)
        self.activation = None if activation is None else keras.activations.get(activation)
        self.normalise = normalise
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(
        self,
        candidate_shape: Shape,
        history_shape: Shape,
        present_shape: Shape,
    ) -> None:
        width = candidate_shape[-1]
        if len(candidate_shape) != 2 or len(history_shape) != 3 or history_shape[-1] != width:
            raise ValueError(
                "`candidate` should have shape (batch, d) and `history` (batch, T, d). "
                f"Received: {candidate_shape} and {history_shape}"
            )
        if len(present_shape) != 2 or present_shape[1] != history_shape[1]:
            raise ValueError(
                f"`present` should have shape (batch, {history_shape[1]}), one value for each item. "
                f"Received: {present_shape}"
            )
        first = self.units[0]
        self.item_kernel = self._kernel("item_kernel", (width, first))
        self.candidate_kernel = self._kernel("candidate_kernel", (width, first))
        # Its inputs are the d² products, so its rows are scaled as such (Glorot).
        limit = (6 / (width * width + first)) ** 0.5
        self.outer_kernel = self.add_weight(
            name="outer_kernel",
            shape=(width, width, first),  # candidate, item, unit
            initializer=keras.initializers.RandomUniform(-limit, limit),
            regularizer=self.kernel_regularizer,
        )
        self.bias = self.add_weight(name="bias", shape=(first,), initializer="zeros")
        self.activations = [self._activation(f"activation_{i}") for i in range(len(self.units))]
        self.hidden = [
            keras.layers.Dense(unit, kernel_regularizer=self.kernel_regularizer, name=f"hidden_{i}")
            for i, unit in enumerate(self.units[1:], start=1)
        ]
        self.weigh = keras.layers.Dense(1, kernel_regularizer=self.kernel_regularizer, name="weight")
        shape: Shape = (*history_shape[:2], first)
        self.activations[0].build(shape)
        for layer, activation in zip(self.hidden, self.activations[1:], strict=True):
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
            activation.build(shape)
        self.weigh.build(shape)

    def _kernel(self, name: str, shape: Shape) -> Any:
        return self.add_weight(
            name=name, shape=shape, initializer="glorot_uniform", regularizer=self.kernel_regularizer
        )

    def _activation(self, name: str) -> Any:
        if self.activation is None:
            return keras.layers.PReLU(shared_axes=[1], name=name)
        return keras.layers.Activation(self.activation, name=name)

    def weights_of(self, candidate: Any, history: Any, present: Any) -> Any:
        """The weight of each item, `(batch, T)`; 0 for padding."""
        ops = keras.ops
        width = history.shape[-1]
        by_candidate = ops.reshape(
            ops.matmul(candidate, ops.reshape(self.outer_kernel, (width, width * self.units[0]))),
            (-1, width, self.units[0]),
        )
        z = ops.matmul(history, self.item_kernel + by_candidate)
        z = z + (ops.matmul(candidate, self.candidate_kernel) + self.bias)[:, None, :]
        z = self.activations[0](z)
        for layer, activation in zip(self.hidden, self.activations[1:], strict=True):
            z = activation(layer(z))
        weights = ops.squeeze(self.weigh(z), axis=-1)
        present = ops.cast(present, "bool")
        if self.normalise:
            weights = ops.softmax(ops.where(present, weights, -1e9), axis=-1)
        return ops.where(present, weights, ops.zeros_like(weights))

    def call(self, candidate: Any, history: Any, present: Any) -> Any:
        weights = self.weights_of(candidate, history, present)
        return keras.ops.squeeze(keras.ops.matmul(weights[:, None, :], history), axis=1)

    def compute_output_shape(
        self,
        candidate_shape: Shape,
        history_shape: Shape,  # noqa: ARG002
        present_shape: Shape,  # noqa: ARG002
    ) -> Shape:
        return candidate_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": None if self.activation is None else keras.activations.serialize(self.activation),
            "normalise": self.normalise,
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
