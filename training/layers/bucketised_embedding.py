"""Embeddings of several bucketised numbers at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from training.backend import Shape, keras


@keras.saving.register_keras_serializable(package="marquee")
class BucketisedEmbedding(keras.layers.Layer):  # type: ignore[misc]
    """Looks up one embedding for each of K bucketised columns.

    Column k has a table E⁽ᵏ⁾ of its own, of `sizes[k]` rows; for buckets b₁ … b_K the output is

        [E⁽¹⁾[b₁], …, E⁽ᴷ⁾[b_K]]

    The K tables are kept as one, so that one lookup serves all columns. Bucket 0 (missing) has an embedding
    like any other: that a number is missing says something.

    Args:
        sizes: number of buckets of each column, the one for missing values included.
        dim: width of an embedding.
        embeddings_initializer: of the tables. Default "normal of deviation 0.05".
        embeddings_regularizer: of the tables. Default None.

    Input shape: integers `(batch, K)`, column k within `[0, sizes[k])`.
    Output shape: `(batch, K, dim)`.

    Raises:
        ValueError: `sizes` is empty or holds a size below 1, `dim` is below 1, or the input does not have K
            columns.

    Example:
        ```python
        layer = BucketisedEmbedding(sizes=(4, 3), dim=8)
        layer(np.array([[0, 2], [3, 1]])).shape  # (2, 2, 8)
        ```

    Reference: one-hot by bucket, then embedded, as in MultiHead MultiModal Deep Interest Network (Yang, Li,
    Zhou, Zhang, Zhang).
    """

    def __init__(
        self,
        sizes: Sequence[int],
        dim: int,
        embeddings_initializer: Any = None,
        embeddings_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not sizes or min(sizes) < 1:
            raise ValueError(f"`sizes` should hold sizes of at least 1. Received: {sizes}")
        if dim < 1:
            raise ValueError(f"`dim` should be at least 1. Received: {dim}")
        self.sizes = tuple(int(size) for size in sizes)
        self.dim = dim
        self.embeddings_initializer = keras.initializers.get(
            embeddings_initializer or keras.initializers.RandomNormal(stddev=0.05)
        )
        self.embeddings_regularizer = keras.regularizers.get(embeddings_regularizer)

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) != 2 or input_shape[1] != len(self.sizes):
            raise ValueError(
                f"The input should have shape (batch, {len(self.sizes)}), one column for each size. "
                f"Received: {input_shape}"
            )
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(sum(self.sizes), self.dim),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
        )
        self.offsets = np.cumsum((0, *self.sizes[:-1])).astype("int32")

    def call(self, inputs: Any) -> Any:
        rows = keras.ops.cast(inputs, "int32") + self.offsets
        return keras.ops.take(keras.ops.convert_to_tensor(self.embeddings), rows, axis=0)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], len(self.sizes), self.dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sizes": self.sizes,
            "dim": self.dim,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
            "embeddings_regularizer": keras.regularizers.serialize(self.embeddings_regularizer),
        }
