"""The mean embedding of a bag of values."""

from typing import Any

from training.backend import Shape, keras


@keras.saving.register_keras_serializable(package="marquee")
class MultiValuedEmbedding(keras.layers.Layer):  # type: ignore[misc]
    """Embeds a padded bag of ids as the mean of its members' embeddings.

    For ids i₁ … i_L, of which those equal to 0 are padding,

        e = Σₗ [iₗ ≠ 0] V[iₗ] / max(1, Σₗ [iₗ ≠ 0])

    so an empty bag gives the zero vector.

    Args:
        size: rows of the table V: values, unseen and padding.
        dim: width of an embedding.
        embeddings_initializer: of V. Default "normal of deviation 0.05".
        embeddings_regularizer: of V. Default None.

    Input shape: integers `(batch, …, L)` within `[0, size)`.
    Output shape: `(batch, …, dim)`.

    Raises:
        ValueError: `size` or `dim` is below 1, or the input has no axis to take the mean over.

    Example:
        ```python
        topics = MultiValuedEmbedding(size=22, dim=8)
        topics(np.array([[3, 7, 0]])).shape  # (1, 8): an item's topics
        topics(np.array([[[3, 0], [0, 0]]])).shape  # (1, 2, 8): those of a history of two
        ```

    Reference: multi-valued fields in IARM ("the mean of its embeddings") and in W. Song et al., AutoInt, CIKM
    2019, eq. 3.
    """

    def __init__(
        self,
        size: int,
        dim: int,
        embeddings_initializer: Any = None,
        embeddings_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if size < 1 or dim < 1:
            raise ValueError(f"`size` and `dim` should be at least 1. Received: {size}, {dim}")
        self.size = size
        self.dim = dim
        self.embeddings_initializer = keras.initializers.get(
            embeddings_initializer or keras.initializers.RandomNormal(stddev=0.05)
        )
        self.embeddings_regularizer = keras.regularizers.get(embeddings_regularizer)

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) < 2:
            raise ValueError(f"The input should have shape (batch, …, L). Received: {input_shape}")
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.size, self.dim),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
        )

    def call(self, inputs: Any) -> Any:
        ids = keras.ops.cast(inputs, "int32")
        present = keras.ops.cast(ids != 0, self.compute_dtype)[..., None]
        members = keras.ops.take(keras.ops.convert_to_tensor(self.embeddings), ids, axis=0)
        total = keras.ops.sum(members * present, axis=-2)
        return total / keras.ops.maximum(keras.ops.sum(present, axis=-2), 1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "size": self.size,
            "dim": self.dim,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
            "embeddings_regularizer": keras.regularizers.serialize(self.embeddings_regularizer),
        }
