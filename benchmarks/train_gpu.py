"""What training costs on an accelerator: samples per second, and for how much of the time it is busy.

    python benchmarks/train_gpu.py [--models din,mmdin] [--rows N] [--batch N] [--json FILE] [--quick]

Runs on JAX and Keras alone, without TensorFlow. The rows are drawn in the shapes of the models' services,
laid down on the device once, shuffled there, and gathered there batch by batch; an epoch is one call. Where
there is no accelerator it runs on processors, and says so. The first epoch compiles and is not measured. Busy
is what `nvidia-smi` samples five times a second; of processors, CPU time over wall time and cores.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measure import machine, names_of, run_child, warn_if_busy

USERS, MOVIES = 200_000, 20_000
SAMPLE_MS = 200


def make_epoch(network: Any, rows: int, size: int) -> Callable[..., Any]:
    """One epoch as one compiled function: (key, state, arrays, liked) to (state, mean loss of a row).

    Args:
        network: a compiled Keras model of logits; its state goes in and comes out.
        rows: of the arrays.
        size: rows of a batch; those left over make a smaller one.
    """
    import jax
    import jax.numpy as jnp

    whole = rows // size * size

    def loss_of(trained: Any, rest: Any, batch: Any, labels: Any) -> Any:
        logits, rest, losses = network.stateless_call(trained, rest, batch, training=True, return_losses=True)
        z = logits[:, 0]
        # -y log p - (1 - y) log(1 - p), without overflow
        each = jnp.maximum(z, 0) - z * labels + jnp.log1p(jnp.exp(-jnp.abs(z)))
        return each.mean() + sum(losses), rest

    def step(state: Any, chosen: Any, arrays: Any, liked: Any) -> Any:
        trained, rest, optimizer = state
        batch = {name: array[chosen] for name, array in arrays.items()}
        grad = jax.value_and_grad(loss_of, has_aux=True)
        (loss, rest), gradients = grad(trained, rest, batch, liked[chosen])
        trained, optimizer = network.optimizer.stateless_apply(optimizer, gradients, trained)
        return (trained, rest, optimizer), loss * len(chosen)

    def epoch(key: Any, state: Any, arrays: Any, liked: Any) -> Any:
        order = jax.random.permutation(key, rows)
        batches = order[:whole].reshape(-1, size)
        state, losses = jax.lax.scan(lambda s, chosen: step(s, chosen, arrays, liked), state, batches)
        total = losses.sum()
        if whole < rows:
            state, last = step(state, order[whole:], arrays, liked)
            total += last
        return state, total / rows

    return jax.jit(epoch, donate_argnums=1)


def train(key: str, rows: int, size: int, epochs: int) -> None:
    """Train one model; prints what was measured."""
    import jax
    import numpy as np
    from train_rows import draw, service_spec

    from training.backend import keras, seed_everything
    from training.fit.trainer import compile_model
    from training.models import model as entry_of

    keras.utils.set_random_seed(0)
    seed_everything(0)
    spec = service_spec(USERS, MOVIES, posters=key == "mmdin")
    drawn, flags = draw(spec, rows)
    config = entry_of(key).config_class.of({"training.batch_size": size, "training.epochs": epochs + 1})
    network = entry_of(key).build(config, spec)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    compile_model(network, config.training, loss, -(-rows // size))  # type: ignore[attr-defined]
    network.optimizer.build(network.trainable_variables)
    arrays = jax.device_put(drawn)
    liked = jax.device_put(flags.astype(np.float32))
    state: Any = tuple(
        [variable.value for variable in held]
        for held in (
            network.trainable_variables,
            network.non_trainable_variables,
            network.optimizer.variables,
        )
    )
    run = make_epoch(network, rows, size)
    losses, seconds = [], []
    device = jax.devices()[0]
    state, loss = run(jax.random.key(0), state, arrays, liked)
    losses.append(float(loss))
    with _busy(device.platform) as busy:
        for number in range(1, epochs + 1):
            started = time.perf_counter()
            state, loss = run(jax.random.key(number), state, arrays, liked)
            losses.append(float(loss))  # waits for the device
            seconds.append(time.perf_counter() - started)
    resident = sum(array.nbytes for array in (*arrays.values(), liked))
    report = {
        "device": f"{device.platform}: {device.device_kind}",
        "samples_per_second": rows / statistics.median(seconds),
        "seconds": seconds,
        "busy": busy(),
        "resident_gb": resident / 1e9,
        "losses": losses,
    }
    print(json.dumps(report))


@contextmanager
def _busy(platform: str) -> Iterator[Callable[[], float | None]]:
    """Share of the time within that the device was busy; None where nothing can tell."""
    if platform == "cpu":
        cpu, wall = time.process_time(), time.perf_counter()
        found: list[float] = []
        yield lambda: found[0]
        cores = len(os.sched_getaffinity(0))
        found.append((time.process_time() - cpu) / ((time.perf_counter() - wall) * cores))
        return
    if shutil.which("nvidia-smi") is None:
        yield lambda: None
        return
    query = [
        "nvidia-smi",
        "--query-gpu=utilization.gpu",
        "--format=csv,noheader,nounits",
        f"-lms={SAMPLE_MS}",
    ]
    with subprocess.Popen(query, stdout=subprocess.PIPE, text=True) as sampler:
        samples: list[float] = []
        try:
            yield lambda: statistics.mean(samples) / 100 if samples else None
        finally:
            sampler.terminate()
            out, _ = sampler.communicate()
            samples += [float(line) for line in out.split() if line.strip().isdigit()]


def main() -> None:
    from training.models import MODELS

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    networks = [key for key, entry in MODELS.items() if entry.kind == "keras"]
    parser.add_argument("--models", type=names_of(networks), default=["din", "mmdin"], help="by comma")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--batch", type=int, default=4500)
    parser.add_argument("--epochs", type=int, default=5, help="measured, after one that is not")
    parser.add_argument("--quick", action="store_true", help="100,000 rows, two epochs")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ["KERAS_BACKEND"] = "jax"
    rows, epochs = (100_000, 2) if arguments.quick else (arguments.rows, arguments.epochs)
    if arguments.child:
        train(arguments.child, rows, arguments.batch, epochs)
        return
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    warn_if_busy()
    print(f"{'':10}{'samples/s':>12}{'busy':>8}{'GB resident':>13}{'GB':>7}  device")
    results = []
    for key in arguments.models:
        child = [__file__, "--child", key, "--rows", str(rows), "--batch", str(arguments.batch)]
        child += ["--epochs", str(epochs)]
        measured = run_child(child, timeout=3600, memory_gb=64)
        if measured.failure:
            print(f"{key:10}{measured.failure}")
            continue
        report = measured.report
        busy = "" if report["busy"] is None else f"{report['busy']:.0%}"
        print(
            f"{key:10}{report['samples_per_second']:>12,.0f}{busy:>8}{report['resident_gb']:>13.2f}"
            f"{measured.peak_gb:>7.1f}  {report['device']}",
            flush=True,
        )
        results.append({"model": key, "rows": rows, "peak_gb": measured.peak_gb, **report})
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": about, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
