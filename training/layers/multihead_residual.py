"""MMDIN's Multi-Head ResNet."""

from typing import Any

from training.backend import Shape, keras


@keras.saving.register_keras_serializable(package="marquee")
class MultiHeadResidual(keras.layers.Layer):  # type: ignore[misc]
    """Compresses its input, then sums parallel heads of residual blocks.

        x₀ = PReLU(x W_c + b_c)                                     to `width`
        x⁽ʰ⁾ᵢ₊₁ = x⁽ʰ⁾ᵢ + relu(x⁽ʰ⁾ᵢ W₁⁽ʰⁱ⁾ + b₁⁽ʰⁱ⁾) W₂⁽ʰⁱ⁾ + b₂⁽ʰⁱ⁾     x⁽ʰ⁾₀ = x₀, i < blocks
        out = Σₕ x⁽ʰ⁾

    The heads have the same shape, so each layer of all heads is one batched product.

    Args:
        width: of the compressed input and of the output. Default 64.
        heads: number of heads. Default 4.
        blocks: residual blocks of each head. Default 2.
        units: width of a block's hidden layer. Default None: `width`.
        dropout: of the hidden layers. Default 0.
        kernel_regularizer: of all kernels. Default None.

    Input shape: `(batch, n)`. Output shape: `(batch, width)`.

    Raises:
        ValueError: a size below 1, or an input that is not `(batch, n)`.

    Example:
        ```python
        hidden = MultiHeadResidual(width=64, heads=4, blocks=2)(features)
        logit = keras.layers.Dense(1)(hidden)
        ```

    Reference: MultiHead MultiModal Deep Interest Network (Yang, Li, Zhou, Zhang, Zhang); residual blocks:
    K. He et al., Deep Residual Learning, CVPR 2016, eq. 1.
    """

    def __init__(
        self,
        width: int = 64,
        heads: int = 4,
        blocks: int = 2,
        units: int | None = None,
        dropout: float = 0.0,
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        sizes = {"width": width, "heads": heads, "blocks": blocks, "units": width if units is None else units}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"`{name}` should be at least 1. Received: {size}")
        self.width = width
        self.heads = heads
        self.blocks = blocks
        self.units = sizes["units"]
        self.dropout = dropout
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) != 2:
            raise ValueError(f"The input should have shape (batch, n). Received: {input_shape}")
        self.compress = keras.layers.Dense(
            self.width, kernel_regularizer=self.kernel_regularizer, name="compress"
        )
        self.compress.build(input_shape)
        self.activation = keras.layers.PReLU(name="activation")
        self.activation.build((input_shape[0], self.width))
        self.drop = keras.layers.Dropout(self.dropout, name="drop")
        self.inner, self.inner_bias, self.outer, self.outer_bias = [], [], [], []
        for block in range(self.blocks):
            self.inner.append(self._kernel(f"inner_{block}", self.width, self.units))
            self.inner_bias.append(self._bias(f"inner_bias_{block}", self.units))
            self.outer.append(self._kernel(f"outer_{block}", self.units, self.width))
            self.outer_bias.append(self._bias(f"outer_bias_{block}", self.width))

    def _kernel(self, name: str, rows: int, columns: int) -> Any:
        limit = (6 / (rows + columns)) ** 0.5  # Glorot, for each head by itself
        return self.add_weight(
            name=name,
            shape=(self.heads, rows, columns),
            initializer=keras.initializers.RandomUniform(-limit, limit),
            regularizer=self.kernel_regularizer,
        )

    def _bias(self, name: str, columns: int) -> Any:
        return self.add_weight(name=name, shape=(self.heads, 1, columns), initializer="zeros")

    def call(self, inputs: Any, training: bool = False) -> Any:
        ops = keras.ops
        compressed = self.activation(self.compress(inputs))
        x = ops.repeat(compressed[None], self.heads, axis=0)  # (heads, batch, width)
        for block in range(self.blocks):
            hidden = ops.relu(ops.matmul(x, self.inner[block]) + self.inner_bias[block])
            hidden = self.drop(hidden, training=training)
            x = x + ops.matmul(hidden, self.outer[block]) + self.outer_bias[block]
        return ops.sum(x, axis=0)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.width)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "width": self.width,
            "heads": self.heads,
            "blocks": self.blocks,
            "units": self.units,
            "dropout": self.dropout,
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
