"""Products of all pairs of fields, pooled."""

from typing import Any

from training.backend import Shape, keras


def pooled_products(fields: Any) -> Any:
    """Σ_{i<j} eᵢ ⊙ eⱼ of fields (batch, fields, dim), as (batch, dim), in time linear in the fields."""
    ops = keras.ops
    return 0.5 * (ops.square(ops.sum(fields, axis=1)) - ops.sum(ops.square(fields), axis=1))


def check_fields(shape: Shape) -> None:
    """Refuse an input that is not `(batch, fields, dim)`.

    Raises:
        ValueError: says its shape.
    """
    if len(shape) != 3:
        raise ValueError(f"The input should have shape (batch, fields, dim). Received: {shape}")


def check_present(fields: Shape, present: Shape) -> None:
    """Refuse a mask that is not `(batch, fields)`.

    Raises:
        ValueError: says its shape.
    """
    if tuple(present[1:]) != (fields[1],):
        raise ValueError(
            f"`present` should have shape (batch, {fields[1]}), one value for each field. Received: {present}"
        )


@keras.saving.register_keras_serializable(package="marquee")
class BiInteraction(keras.layers.Layer):  # type: ignore[misc]
    """The sum of the element-wise products of all pairs of field embeddings.

        out = Σ_{i<j} eᵢ ⊙ eⱼ = ½ ((Σᵢ eᵢ)² - Σᵢ eᵢ²)

    computed by the right-hand side.

    Input shape: `(batch, fields, dim)`. Output shape: `(batch, dim)`.

    Raises:
        ValueError: the input is not `(batch, fields, dim)`.

    Example:
        ```python
        BiInteraction()(np.array([[[1.0, 2.0], [3.0, 4.0]]]))  # [[3.0, 8.0]] = [1·3, 2·4]
        ```

    Reference: X. He and T.-S. Chua, Neural Factorization Machines, SIGIR 2017, eq. 3 and 4.
    """

    def build(self, input_shape: Shape) -> None:
        check_fields(input_shape)

    def call(self, inputs: Any) -> Any:
        return pooled_products(inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], input_shape[2])


def projected(fields: Any, kernel: Any) -> Any:
    """Fields (batch, fields, dim) times a matrix (dim, width), as (batch, fields, width).

    All rows stand in one matrix meanwhile: XLA's product of three dimensions, and its gradient, take half as
    long again on processors.
    """
    ops = keras.ops
    rows = ops.reshape(fields, (-1, fields.shape[-1]))
    return ops.reshape(ops.matmul(rows, kernel), (-1, fields.shape[1], kernel.shape[-1]))
