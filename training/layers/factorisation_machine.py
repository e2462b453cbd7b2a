"""Second-order interactions of fields."""

from typing import Any

from training.backend import Shape, keras


@keras.saving.register_keras_serializable(package="marquee")
class FactorisationMachine(keras.layers.Layer):  # type: ignore[misc]
    """The sum of the inner products of all pairs of field embeddings.

        out = Σ_{i<j} ⟨eᵢ, eⱼ⟩ = ½ Σ_d ((Σᵢ e_{i,d})² - Σᵢ e_{i,d}²)

    computed by the right-hand side, in time linear in the number of fields.

    Input shape: `(batch, fields, dim)`. Output shape: `(batch, 1)`.

    Raises:
        ValueError: the input is not `(batch, fields, dim)`.

    Example:
        ```python
        FactorisationMachine()(np.array([[[1.0, 2.0], [3.0, 4.0]]]))  # [[11.0]] = 1·3 + 2·4
        ```

    Reference: S. Rendle, Factorization Machines, ICDM 2010, lemma 3.1.
    """

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) != 3:
            raise ValueError(f"The input should have shape (batch, fields, dim). Received: {input_shape}")

    def call(self, inputs: Any) -> Any:
        ops = keras.ops
        squared_sum = ops.square(ops.sum(inputs, axis=1))
        sum_of_squares = ops.sum(ops.square(inputs), axis=1)
        return 0.5 * ops.sum(squared_sum - sum_of_squares, axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], 1)
