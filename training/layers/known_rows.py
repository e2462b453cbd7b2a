"""Initial embeddings of values that are known."""

from typing import Any

import numpy as np

from training.backend import keras


@keras.saving.register_keras_serializable(package="marquee")
class KnownRows(keras.initializers.RandomNormal):  # type: ignore[misc]
    """Normal values for a table of embeddings, but zeros for its first rows: padding and "unseen".

    Where no id is forgotten while training, no row of the training looks "unseen" up: what it starts as is
    what every id that is met later gets. The values are NumPy's, the same on each backend: JAX would compile
    a program for each size of table, and a click log has dozens.

    Args:
        stddev: deviation of the normal values. Default 0.05.
        zeros: how many rows are zero. Default 2.
        seed: of the random numbers, a whole number. Default None: one that Keras' global seed gives.

    Example:
        ```python
        keras.layers.Embedding(10, 4, embeddings_initializer=KnownRows())
        ```
    """

    def __init__(self, stddev: float = 0.05, zeros: int = 2, seed: int | None = None) -> None:
        super().__init__(stddev=stddev, seed=seed)
        self.zeros = zeros

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        values = np.random.default_rng(self.seed).standard_normal(shape, np.float32) * self.stddev
        values[: self.zeros] = 0
        return keras.ops.convert_to_tensor(values, dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {"stddev": config["stddev"], "zeros": self.zeros, "seed": config["seed"]}
