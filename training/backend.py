"""Keras, imported quietly and only when it is needed.

Import this before anything that imports Keras: `from training.backend import keras`. The backend is Keras'
own setting `KERAS_BACKEND`; TensorFlow by default.
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from common.errors import MarqueeError

BACKENDS = ("tensorflow", "jax")

if os.environ.setdefault("KERAS_BACKEND", BACKENDS[0]) not in BACKENDS:
    raise MarqueeError(
        f"KERAS_BACKEND is {os.environ['KERAS_BACKEND']!r}: networks are trained on {' or '.join(BACKENDS)}."
    )
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("ABSL_MIN_LOG_LEVEL", "3")


@contextmanager
def _quiet_import() -> Iterator[None]:
    """Keep what TensorFlow's C++ side says while it loads off the terminal."""
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, ValueError, AttributeError):
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(null)
        os.close(kept)


with _quiet_import(), warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow

        # The C++ side speaks once more when its devices are first listed.
        tensorflow.config.list_physical_devices()


# Keras' NumPy bridge trips over NumPy 2's `copy` argument at each array: harmless.
warnings.filterwarnings("ignore", message="__array__ implementation", category=DeprecationWarning)


# Several models in one process make TensorFlow warn of retracing, which is what several models are.
logging.getLogger("tensorflow").setLevel(logging.ERROR)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and the backend, and ask the backend for repeatable operations."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        tensorflow.config.experimental.enable_op_determinism()


Shape = tuple[Any, ...]
"""Of a tensor, as Keras tells it: None where a size is not known yet."""

__all__ = ["Shape", "keras", "seed_everything"]
