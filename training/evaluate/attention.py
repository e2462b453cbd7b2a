"""How much fields attend to one another in a trained network."""

from typing import Any

import numpy as np

from common.errors import MarqueeError
from training.backend import keras
from training.inputs.spec import Arrays
from training.layers import FieldAttention

ROWS = 4096
"""Rows that are computed at a time."""


def mean_attention(network: Any, arrays: Arrays) -> np.ndarray:
    """The weights of a network's first attention layer, on average over its heads and some rows.

    Args:
        network: with a `FieldAttention`.
        arrays: its inputs.

    Returns:
        float64 (fields, fields): row m has how much field m attends to each.

    Raises:
        MarqueeError: it has no such layer.
    """
    layers = [layer for layer in network.layers if isinstance(layer, FieldAttention)]
    if not layers:
        raise MarqueeError(f"{network.name} has no attention between fields.")
    first = layers[0]
    read = keras.Model(network.input, first.input)
    rows = len(next(iter(arrays.values())))
    total = 0.0
    for start in range(0, rows, ROWS):
        fields, present = read({name: array[start : start + ROWS] for name, array in arrays.items()})
        weights = keras.ops.convert_to_numpy(first.weights_of(fields, present)).astype(np.float64)
        total = total + weights.mean(axis=1).sum(axis=0)
    mean: np.ndarray = np.asarray(total) / rows
    return mean
