"""Ids that are forgotten at random while training."""

from typing import Any

from training.backend import keras


@keras.saving.register_keras_serializable(package="marquee")
class IdDropout(keras.layers.Layer):  # type: ignore[misc]
    """Replaces ids by the "unseen" id at random while training.

    Most users of tomorrow are not among those of today. Without this, the embedding of "unseen" is never
    trained, and a model leans on ids that it will not meet again.

        out = unseen where id ≠ 0 and u < rate, else id,   u ~ U(0, 1) for each id

    Padding (0) stays padding. Outside of training ids pass unchanged.

    Args:
        rate: the share of ids to replace, in [0, 1).
        unseen: what they become. Default 1.
        seed: of the random numbers. Default None: Keras' global seed.

    Input shape: integers of any shape. Output shape: that of the input.

    Raises:
        ValueError: `rate` is outside [0, 1).

    Example:
        ```python
        IdDropout(0.3)(np.array([5, 9, 0]), training=True)  # e.g. [1, 9, 0]
        ```

    Reference: after M. Volkovs et al., DropoutNet: Addressing Cold Start in Recommender Systems, NIPS 2017,
    which forgets the whole of a user or item.
    """

    def __init__(self, rate: float, unseen: int = 1, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` should be in [0, 1). Received: {rate}")
        self.rate = rate
        self.unseen = unseen
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        ids = keras.ops.cast(inputs, "int32")
        if not training or self.rate == 0:
            return ids
        forget = keras.random.uniform(keras.ops.shape(ids), seed=self.seed_generator) < self.rate
        return keras.ops.where(keras.ops.logical_and(forget, ids != 0), self.unseen, ids)

    def compute_output_spec(self, inputs: Any, training: bool = False) -> Any:  # noqa: ARG002
        return keras.KerasTensor(inputs.shape, dtype="int32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "unseen": self.unseen, "seed": self.seed}
