"""What tests of layers look at."""

from typing import Any

import numpy as np

from training.backend import keras


def values(tensor: Any) -> np.ndarray:
    array: np.ndarray = keras.ops.convert_to_numpy(tensor)
    return array


def floats(*rows: Any) -> np.ndarray:
    return np.array(rows, dtype="float32")


def shapes(layer: Any) -> dict[str, tuple[int, ...]]:
    return {weight.name: tuple(weight.shape) for weight in layer.trainable_weights}
