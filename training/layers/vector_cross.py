"""The first cross layer, whose weights are a vector."""

from typing import Any

from training.backend import Shape, keras


@keras.saving.register_keras_serializable(package="marquee")
class VectorCross(keras.layers.Layer):  # type: ignore[misc]
    """Crosses features with themselves once more.

        out = x₀ (xᵀ w) + b + x

    Keras Recommenders' `FeatureCross` is the second kind, with a matrix in place of the vector w.

    Input: `layer(x0, x)`, both `(batch, n)`. Output shape: `(batch, n)`.

    Raises:
        ValueError: shapes that differ, or are not `(batch, n)`.

    Example:
        ```python
        x = VectorCross()(x0, x0)
        x = VectorCross()(x0, x)  # holds products of up to three features
        ```

    Reference: R. Wang et al., Deep & Cross Network for Ad Click Predictions, ADKDD 2017, eq. 3.
    """

    def build(self, x0_shape: Shape, x_shape: Shape) -> None:
        if len(x0_shape) != 2 or tuple(x0_shape) != tuple(x_shape):
            raise ValueError(f"Both inputs should have one shape (batch, n). Received: {x0_shape}, {x_shape}")
        width = x0_shape[-1]
        self.kernel = self.add_weight(name="kernel", shape=(width, 1), initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=(width,), initializer="zeros")

    def call(self, x0: Any, x: Any) -> Any:
        return x0 * keras.ops.matmul(x, self.kernel) + self.bias + x

    def compute_output_shape(self, x0_shape: Shape, x_shape: Shape) -> Shape:  # noqa: ARG002
        return x0_shape
