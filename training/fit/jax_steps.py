"""Several training steps in one compiled call, on JAX."""

from collections.abc import Callable, Iterator
from itertools import groupby, islice
from typing import Any

import jax
import numpy as np

CPU_OPTIONS = {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT",
    "xla_backend_optimization_level": 1,
}
"""How XLA compiles for processors. Its own loops take sums in a quarter of the time of the library that it
prefers by default, and its highest level of optimisation takes longer to compile, to the same speed."""
Batch = tuple[dict[str, Any], Any]
"""Inputs by name, each (batch, …), and targets (batch, 1)."""


def train_function(model: Any, most: int) -> Callable[[Any, Iterator[Batch]], tuple[dict[str, Any], Any]]:
    """What Keras calls to train on the next `most` batches, in place of its own call for each.

    The result is that of single steps. What goes is the time between them, in which Python hands each batch
    and each variable over.

    Args:
        model: compiled with `steps_per_execution=most`.
        most: batches in one call. Fewer cost as much room, and no compilation of their own.

    Returns:
        From a state and an iterator to logs and the new state, as `keras.Model.train_function` on JAX. Keras
        takes the loss from the state, so the logs have its name only.
    """

    def run(state: Any, batches: Batch, count: int) -> Any:
        def step(index: int, state: Any) -> Any:
            return tuple(model.train_step(state, jax.tree.map(lambda array: array[index], batches))[1])

        return jax.lax.fori_loop(0, count, step, tuple(state))

    options = CPU_OPTIONS if jax.default_backend() == "cpu" else None
    compiled = jax.jit(run, donate_argnums=0, compiler_options=options)

    def train(state: Any, iterator: Iterator[Batch]) -> tuple[dict[str, Any], Any]:
        taken = list(islice(iterator, most))
        if not taken:
            raise StopIteration
        for _, group in groupby(taken, key=lambda batch: len(batch[1])):
            alike = list(group)
            stacked = jax.tree.map(_stack, *alike, *alike[-1:] * (most - len(alike)))
            state = compiled(state, stacked, len(alike))
        return {"loss": 0.0}, state

    return train


def _stack(*arrays: Any) -> Any:
    """Arrays of one shape as one, where they are: in memory or on the accelerator."""
    return np.stack(arrays) if isinstance(arrays[0], np.ndarray) else jax.numpy.stack(arrays)
