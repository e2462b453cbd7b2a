"""How well two descriptions go together."""

from typing import Any

from training.backend import Shape, keras


@keras.saving.register_keras_serializable(package="marquee")
class BilinearMatch(keras.layers.Layer):  # type: ignore[misc]
    """Low-rank bilinear pooling of two vectors.

        out = (x U) ⊙ (y V)

    Each of the `rank` outputs is a product of one direction of x and one of y. Layers that only add have to
    approximate such a product piece by piece; here a user's taste and an item's looks meet at once.

    Args:
        rank: number of products. Default 8.
        kernel_regularizer: of U and V. Default None.

    Input: `layer(x, y)` with x `(batch, n)` and y `(batch, m)`. Output shape: `(batch, rank)`.

    Raises:
        ValueError: `rank` is below 1, or an input is not `(batch, …)` of one vector a row.

    Example:
        ```python
        match = BilinearMatch(rank=8)(taste, looks)  # (batch, 27) and (batch, 13) to (batch, 8)
        ```

    Reference: J.-H. Kim et al., Hadamard Product for Low-rank Bilinear Pooling, ICLR 2017, eq. 5 without
    projection and activation.
    """

    def __init__(self, rank: int = 8, kernel_regularizer: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if rank < 1:
            raise ValueError(f"`rank` should be at least 1. Received: {rank}")
        self.rank = rank
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, x_shape: Shape, y_shape: Shape) -> None:
        if len(x_shape) != 2 or len(y_shape) != 2:
            raise ValueError(f"The inputs should have shape (batch, n). Received: {x_shape} and {y_shape}")
        self.x_kernel, self.y_kernel = (
            self.add_weight(
                name=name,
                shape=(shape[1], self.rank),
                initializer="glorot_uniform",
                regularizer=self.kernel_regularizer,
            )
            for name, shape in (("x_kernel", x_shape), ("y_kernel", y_shape))
        )

    def call(self, x: Any, y: Any) -> Any:
        return keras.ops.matmul(x, self.x_kernel) * keras.ops.matmul(y, self.y_kernel)

    def compute_output_shape(self, x_shape: Shape, y_shape: Shape) -> Shape:  # noqa: ARG002
        return (x_shape[0], self.rank)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rank": self.rank,
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
