"""A gate before a modality that may or may not help."""

from typing import Any

from training.backend import Shape, keras


@keras.saving.register_keras_serializable(package="marquee")
class ModalityGate(keras.layers.Layer):  # type: ignore[misc]
    """Lets a modality in only as far as it proves useful.

        out = σ(g) ⊙ x                       as a rule
        out = σ(g) ⊙ x · r / (1 - rate)      while training; r ~ Bernoulli(1 - rate), one for each row

    g is one learned number for each feature, and starts well below 0: the gate is nearly closed, the model
    starts as the one without the modality, and noise in it costs little. Dropping the modality of whole rows
    keeps the rest of the model able to do without.

    Args:
        initial: where g starts. Default -2 (σ = 0.12).
        rate: share of rows that lose the modality while training, in [0, 1). Default 0.
        seed: of the random numbers. Default None: Keras' global seed.

    Input shape: `(batch, d)`. Output shape: `(batch, d)`.

    Raises:
        ValueError: `rate` is outside [0, 1), or the input is not `(batch, d)`.

    Example:
        ```python
        gated = ModalityGate(initial=-2.0, rate=0.2)(looks)  # (batch, 13) to (batch, 13)
        ```

    Reference: gates as in J. Arevalo et al., Gated Multimodal Units for Information Fusion, 2017, without the
    input's say; dropping a modality as in N. Neverova et al., ModDrop, TPAMI 2016.
    """

    def __init__(
        self, initial: float = -2.0, rate: float = 0.0, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` should be in [0, 1). Received: {rate}")
        self.initial = initial
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) != 2:
            raise ValueError(f"The input should have shape (batch, d). Received: {input_shape}")
        self.gate = self.add_weight(
            name="gate", shape=(input_shape[-1],), initializer=keras.initializers.Constant(self.initial)
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        outputs = inputs * keras.ops.sigmoid(self.gate)
        if not training or self.rate == 0:
            return outputs
        rows = (keras.ops.shape(inputs)[0], 1)
        kept = keras.random.uniform(rows, seed=self.seed_generator) >= self.rate
        return outputs * keras.ops.cast(kept, outputs.dtype) / (1 - self.rate)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initial": self.initial, "rate": self.rate, "seed": self.seed}
