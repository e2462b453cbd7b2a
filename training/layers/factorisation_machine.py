"""Second-order interactions of fields."""

from typing import Any

from training.backend import Shape, keras
from training.layers.bi_interaction import check_fields, pooled_products


@keras.saving.register_keras_serializable(package="marquee")
class FactorisationMachine(keras.layers.Layer):  # type: ignore[misc]
    """The sum of the inner products of all pairs of field embeddings.

        out = w₀ + Σ_{i<j} ⟨eᵢ, eⱼ⟩ = w₀ + ½ Σ_d ((Σᵢ e_{i,d})² - Σᵢ e_{i,d}²)

    computed by the right-hand side, in time linear in the number of fields.

    Args:
        use_bias: have w₀, a trained number. Default False: it is 0.

    Input shape: `(batch, fields, dim)`. Output shape: `(batch, 1)`.

    Raises:
        ValueError: the input is not `(batch, fields, dim)`.

    Example:
        ```python
        FactorisationMachine()(np.array([[[1.0, 2.0], [3.0, 4.0]]]))  # [[11.0]] = 1·3 + 2·4
        ```

    Reference: S. Rendle, Factorization Machines, ICDM 2010, eq. 1 and lemma 3.1.
    """

    def __init__(self, use_bias: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.use_bias = use_bias

    def build(self, input_shape: Shape) -> None:
        check_fields(input_shape)
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(1,), initializer="zeros")

    def call(self, inputs: Any) -> Any:
        pairs = keras.ops.sum(pooled_products(inputs), axis=-1, keepdims=True)
        return pairs + self.bias if self.use_bias else pairs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "use_bias": self.use_bias}
