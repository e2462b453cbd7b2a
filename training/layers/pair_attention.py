"""Products of all pairs of fields, weighted by attention."""

from typing import Any

import numpy as np

from training.backend import Shape, keras
from training.layers.bi_interaction import check_fields, projected


@keras.saving.register_keras_serializable(package="marquee")
class PairAttention(keras.layers.Layer):  # type: ignore[misc]
    """The mean of the element-wise products of all pairs of fields, weighted by a small network.

        pᵢⱼ = eᵢ ⊙ eⱼ                                  i < j
        aᵢⱼ = softmax over pairs of hᵀ relu(pᵢⱼ W + b)
        out = Σ_{i<j} aᵢⱼ pᵢⱼ

    Args:
        units: width of W, the attention factor. Default 8.
        dropout: of the weighted mean. Default 0.

    Input shape: `(batch, fields, dim)` of at least two fields. Output shape: `(batch, dim)`.

    Raises:
        ValueError: `units` below 1, another shape, or a single field.

    Example:
        ```python
        PairAttention(units=8)(fields).shape  # (batch, dim)
        ```

    Reference: J. Xiao et al., Attentional Factorization Machines, IJCAI 2017, eq. 4 to 6.
    """

    def __init__(self, units: int = 8, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` should be at least 1. Received: {units}")
        self.units = units
        self.dropout = dropout
        self._drop = keras.layers.Dropout(dropout)

    def build(self, input_shape: Shape) -> None:
        check_fields(input_shape)
        if input_shape[1] < 2:
            raise ValueError("A pair needs two fields. Received: one field")
        self.left, self.right = np.triu_indices(input_shape[1], k=1)
        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[2], self.units), initializer="glorot_uniform"
        )
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
        self.projection = self.add_weight(
            name="projection", shape=(self.units, 1), initializer="glorot_uniform"
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        ops = keras.ops
        pairs = ops.take(inputs, self.left, axis=1) * ops.take(inputs, self.right, axis=1)
        scores = projected(ops.relu(projected(pairs, self.kernel) + self.bias), self.projection)
        pooled = ops.sum(ops.softmax(scores, axis=1) * pairs, axis=1)
        return self._drop(pooled, training=training)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], input_shape[2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "dropout": self.dropout}
