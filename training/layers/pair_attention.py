"""Products of all pairs of fields, weighted by attention."""

from typing import Any

import numpy as np

from training.backend import Shape, keras
from training.layers.bi_interaction import check_fields, check_present, projected


@keras.saving.register_keras_serializable(package="marquee")
class PairAttention(keras.layers.Layer):  # type: ignore[misc]
    """The mean of the element-wise products of all pairs of fields, weighted by a small network.

        pᵢⱼ = eᵢ ⊙ eⱼ                                  i < j
        aᵢⱼ = softmax over pairs of hᵀ relu(pᵢⱼ W + b)
        out = Σ_{i<j} aᵢⱼ pᵢⱼ

    over the fields that are there; without two of them it is zero.

    Args:
        units: width of W, the attention factor. Default 8.
        dropout: of the weighted mean. Default 0.

    Input: `layer(fields, present)`
        fields: `(batch, fields, dim)` of at least two fields
        present: bool `(batch, fields)`
    Output shape: `(batch, dim)`.

    Raises:
        ValueError: `units` below 1, another shape, or a single field.

    Example:
        ```python
        PairAttention(units=8)(fields, present).shape  # (batch, dim)
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

    def build(self, fields_shape: Shape, present_shape: Shape) -> None:
        check_fields(fields_shape)
        check_present(fields_shape, present_shape)
        if fields_shape[1] < 2:
            raise ValueError("A pair needs two fields. Received: one field")
        self.left, self.right = np.triu_indices(fields_shape[1], k=1)
        self.kernel = self.add_weight(
            name="kernel", shape=(fields_shape[2], self.units), initializer="glorot_uniform"
        )
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
        self.projection = self.add_weight(
            name="projection", shape=(self.units, 1), initializer="glorot_uniform"
        )

    def call(self, fields: Any, present: Any, training: bool = False) -> Any:
        ops = keras.ops
        pairs = ops.take(fields, self.left, axis=1) * ops.take(fields, self.right, axis=1)
        there = ops.cast(present, "float32")[:, :, None]
        there = ops.take(there, self.left, axis=1) * ops.take(there, self.right, axis=1)
        scores = projected(ops.relu(projected(pairs, self.kernel) + self.bias), self.projection)
        weights = ops.softmax(scores - 1e9 * (1 - there), axis=1) * there
        return self._drop(ops.sum(weights * pairs, axis=1), training=training)

    def compute_output_shape(self, fields_shape: Shape, present_shape: Shape) -> Shape:  # noqa: ARG002
        return (fields_shape[0], fields_shape[2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "dropout": self.dropout}
