"""Fields that attend to one another."""

from typing import Any

from training.backend import Shape, keras
from training.layers.bi_interaction import check_fields, check_present, projected

FEW_FIELDS = 8
"""Up to so many, sums of products cost processors less than a small matrix product for each row and head."""


@keras.saving.register_keras_serializable(package="marquee")
class FieldAttention(keras.layers.Layer):  # type: ignore[misc]
    """One interaction layer: each field gathers from all fields, by several heads, beside itself.

        α⁽ʰ⁾ₘₖ = softmax over k of ⟨W_Q⁽ʰ⁾ eₘ, W_K⁽ʰ⁾ eₖ⟩
        ẽₘ = [Σₖ α⁽¹⁾ₘₖ W_V⁽¹⁾ eₖ, …, Σₖ α⁽ᴴ⁾ₘₖ W_V⁽ᴴ⁾ eₖ]
        out = relu(ẽₘ + W_res eₘ)

    A field that is not there is attended to by none. Normalised, as in the code of AutoInt's authors, though
    not in their paper, scores are ⟨W_Q eₘ, W_K eₖ⟩ / √width, and out has mean 0 and deviation 1 over a
    field's values, times γ plus β (layer normalisation).

    Args:
        width: of what one head gathers. Default 16.
        heads: H. Default 2.
        attention: weigh by α; else all fields that are there weigh the same, and W_Q and W_K are missing.
            Default True.
        residual: have W_res. Default True.
        normalise: scores, and what comes out. Default False.

    Input: `layer(fields, present)`
        fields: `(batch, fields, dim)`
        present: bool `(batch, fields)`
    Output shape: `(batch, fields, heads · width)`.

    Raises:
        ValueError: a size below 1, or another shape.

    Example:
        ```python
        fields = FieldAttention(width=16, heads=2)(fields, present)
        ```

    Reference: W. Song et al., AutoInt, CIKM 2019, eq. 5 to 8; IARM's interaction layer is the same.
    """

    def __init__(
        self,
        width: int = 16,
        heads: int = 2,
        attention: bool = True,
        residual: bool = True,
        normalise: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if min(width, heads) < 1:
            raise ValueError(f"`width` and `heads` should be at least 1. Received: {width}, {heads}")
        self.width, self.heads = width, heads
        self.attention, self.residual, self.normalise = attention, residual, normalise
        self._normalised = keras.layers.LayerNormalization(name="normalised") if normalise else None

    def build(self, fields_shape: Shape, present_shape: Shape) -> None:
        check_fields(fields_shape)
        check_present(fields_shape, present_shape)
        names = [*(("query", "key") if self.attention else ()), "value"]
        self.query, self.key, self.value = (
            self._kernel(name, fields_shape[2]) if name in names else None
            for name in ("query", "key", "value")
        )
        self.shortcut = self._kernel("residual", fields_shape[2]) if self.residual else None
        if self._normalised is not None:
            self._normalised.build(self.compute_output_shape(fields_shape, present_shape))

    def _kernel(self, name: str, dim: int) -> Any:
        return self.add_weight(
            name=f"{name}_kernel", shape=(dim, self.heads * self.width), initializer="glorot_uniform"
        )

    def _by_head(self, fields: Any, kernel: Any) -> Any:
        """Fields under a kernel, (batch, fields, heads, width)."""
        found = projected(fields, kernel)
        return keras.ops.reshape(found, (-1, fields.shape[1], self.heads, self.width))

    def weights_of(self, fields: Any, present: Any) -> Any:
        """How much each field attends to each, (batch, heads, fields, fields): rows add up to 1, or are 0
        where no field is there."""
        weights = self._weights(fields, present)
        return keras.ops.transpose(weights, (0, 3, 1, 2)) if _are_few(fields) else weights

    def _weights(self, fields: Any, present: Any) -> Any:
        """As `weights_of`, but (batch, fields, fields, heads) of few fields."""
        ops = keras.ops
        few, there = _are_few(fields), ops.cast(present, "float32")
        there, axis = (there[:, None, :, None], 2) if few else (there[:, None, None, :], 3)
        if self.attention:
            query, key = self._by_head(fields, self.query), self._by_head(fields, self.key)
            query = query / self.width**0.5 if self.normalise else query
            if few:
                scores = ops.sum(query[:, :, None] * key[:, None], axis=-1)
            else:
                scores = ops.matmul(ops.transpose(query, (0, 2, 1, 3)), ops.transpose(key, (0, 2, 3, 1)))
            return ops.softmax(scores - 1e9 * (1 - there), axis=axis) * there
        even = there / ops.maximum(ops.sum(there, axis=axis, keepdims=True), 1)
        batch, count = ops.shape(fields)[0], fields.shape[1]
        shape = (batch, count, count, self.heads) if few else (batch, self.heads, count, count)
        return ops.broadcast_to(even, shape)

    def call(self, fields: Any, present: Any) -> Any:
        ops = keras.ops
        weights, values = self._weights(fields, present), self._by_head(fields, self.value)
        if _are_few(fields):
            gathered = ops.sum(weights[..., None] * values[:, None], axis=2)
        else:
            gathered = ops.matmul(weights, ops.transpose(values, (0, 2, 1, 3)))
            gathered = ops.transpose(gathered, (0, 2, 1, 3))
        gathered = ops.reshape(gathered, (-1, fields.shape[1], self.heads * self.width))
        if self.shortcut is not None:
            gathered = gathered + projected(fields, self.shortcut)
        out = ops.relu(gathered)
        return out if self._normalised is None else self._normalised(out)

    def compute_output_shape(self, fields_shape: Shape, present_shape: Shape) -> Shape:  # noqa: ARG002
        return (*fields_shape[:2], self.heads * self.width)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "width": self.width,
            "heads": self.heads,
            "attention": self.attention,
            "residual": self.residual,
            "normalise": self.normalise,
        }


def _are_few(fields: Any) -> bool:
    return bool(fields.shape[1] <= FEW_FIELDS)
