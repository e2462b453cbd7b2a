"""Keras, imported quietly and only when it is needed.

Import this before anything that imports Keras: `from training.backend import keras`, and `keras_rs` for the
layers of Keras Recommenders. The backend is Keras' own setting `KERAS_BACKEND`; without it what
`default_backend` says.
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from common.errors import MarqueeError

BACKENDS = ("tensorflow", "jax")


def default_backend(jax: bool, gpu: bool, plugin: bool) -> str:
    """Choose the backend where `KERAS_BACKEND` does not.

    That is JAX, which takes less processor time; TensorFlow where JAX is missing, or where it would leave a
    GPU idle. To ask either library for its devices would load it, which is what this is to spare.

    Args:
        jax: JAX is installed.
        gpu: an NVIDIA GPU is there.
        plugin: JAX has a plugin for GPUs. Without one, which comes by `jax[cuda12]`, it sees none.
    """
    return "jax" if jax and (plugin or not gpu) else "tensorflow"


_DEFAULT = default_backend(
    jax=find_spec("jax") is not None,
    gpu=any(Path("/dev").glob("nvidia[0-9]*")),
    plugin=find_spec("jax_plugins") is not None,  # the namespace that JAX itself looks for them in
)
if os.environ.setdefault("KERAS_BACKEND", _DEFAULT) not in BACKENDS:
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
    import keras_rs

    if keras.backend.backend() == "tensorflow":
        import tensorflow

        # The C++ side speaks once more when its devices are first listed.
        tensorflow.config.list_physical_devices()
    else:
        import jax

        jax_config: Any = jax.config
        # JAX forgets what it compiled together with the network that it was for. Tuning, tables and their
        # seeds train networks of one shape again and again, and to compile one costs as much as five epochs;
        # a part of that is drawing its weights, each kind of which is a small program of its own.
        if not jax_config.jax_compilation_cache_dir:
            _COMPILED = TemporaryDirectory(prefix="marquee-compiled-", ignore_cleanup_errors=True)
            jax_config.update("jax_compilation_cache_dir", _COMPILED.name)
        jax_config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax_config.update("jax_persistent_cache_min_entry_size_bytes", -1)


# Keras' NumPy bridge trips over NumPy 2's `copy` argument at each array: harmless.
warnings.filterwarnings("ignore", message="__array__ implementation", category=DeprecationWarning)


# Several models in one process make TensorFlow warn of retracing, which is what several models are.
logging.getLogger("tensorflow").setLevel(logging.ERROR)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and the backend, and ask the backend for repeatable operations."""
    if keras.backend.backend() == "tensorflow":
        keras.utils.set_random_seed(seed)
        tensorflow.config.experimental.enable_op_determinism()
    else:
        with _hidden("tensorflow"):
            keras.utils.set_random_seed(seed)


@contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Make a module look as if it were not installed, unless it is loaded already.

    Keras seeds TensorFlow on any backend and loads it for that alone, which takes two seconds and 500 MB.
    """
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # this is how Python is told that there is none
    try:
        yield
    finally:
        del sys.modules[module]


Shape = tuple[Any, ...]
"""Of a tensor, as Keras tells it: None where a size is not known yet."""

__all__ = ["BACKENDS", "Shape", "default_backend", "keras", "keras_rs", "seed_everything"]
