"""Embeddings of numbers as they are."""

from typing import Any

from training.backend import Shape, keras


@keras.saving.register_keras_serializable(package="marquee")
class NumericEmbedding(keras.layers.Layer):  # type: ignore[misc]
    """Gives each of K numbers an embedding that grows with it: eₖ = xₖ vₖ.

    Args:
        dim: width of an embedding.
        embeddings_initializer: of the vectors v. Default "normal of deviation 0.05".

    Input shape: `(batch, K)`. Output shape: `(batch, K, dim)`.

    Raises:
        ValueError: `dim` is below 1, or the input is not `(batch, K)`.

    Example:
        ```python
        NumericEmbedding(dim=8)(np.array([[0.5, -1.0]], dtype="float32")).shape  # (1, 2, 8)
        ```

    Reference: numeric fields in IARM (e = v·x) and in AutoInt, W. Song et al., CIKM 2019, eq. 4.
    """

    def __init__(self, dim: int, embeddings_initializer: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if dim < 1:
            raise ValueError(f"`dim` should be at least 1. Received: {dim}")
        self.dim = dim
        self.embeddings_initializer = keras.initializers.get(
            embeddings_initializer or keras.initializers.RandomNormal(stddev=0.05)
        )

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) != 2:
            raise ValueError(f"The input should have shape (batch, K). Received: {input_shape}")
        self.embeddings = self.add_weight(
            name="embeddings", shape=(input_shape[1], self.dim), initializer=self.embeddings_initializer
        )

    def call(self, inputs: Any) -> Any:
        return inputs[:, :, None] * self.embeddings

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape, self.dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dim": self.dim,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }
