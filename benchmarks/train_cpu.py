"""What training costs on processors: samples per CPU-second, beside DeepCTR.

    python benchmarks/train_cpu.py [--peer PYTHON] [--rows N] [--rounds N] [--json FILE] [--quick]

`din_plain` and `deepctr` train a DIN of equal sizes on the same rows, in batches of 4500: two ids, a history
of five movies, nine numbers; embeddings of 8, an attention unit of 32, layers of 64 and 32, dropout, Adam.
`din` and `mmdin` are Marquee's defaults on the shapes of their services. All train on JAX, but those named
for TensorFlow or its XLA. Of each, the epochs after the first count, which compiles; CPU time is that of the
whole process. A contender runs once a round, in turn with the others, and its median counts.

DeepCTR needs packages that do not go with ours, so it runs in an environment of its own: `--peer` names its
Python; without it one is made in a temporary folder (some 2 GB, from the package registry) and removed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import in_turn, machine, names_of, report_training, warn_if_busy

BATCH, USERS, MOVIES, WIDTH, ATTENTION, UNITS, DROPOUT = 4500, 20_000, 5_000, 8, (32,), (64, 32), 0.2
PEER_PACKAGES = ("deepctr==0.9.4", "tensorflow==2.21.0", "tf-keras==2.21.0", "setuptools<80", "psutil")
OURS = ("din_plain", "din", "mmdin")
ON_TENSORFLOW = ("din_plain_tensorflow", "din_tensorflow", "mmdin_tensorflow", "din_plain_xla")
OPTIONS = ("din_plain_bfloat16", *ON_TENSORFLOW)
PEER = "deepctr"


def train_ours(contender: str, folder: Path, epochs: int) -> None:
    """Train one of ours; prints what it cost."""
    os.environ["KERAS_BACKEND"] = "tensorflow" if contender in ON_TENSORFLOW else "jax"
    import numpy as np
    from train_rows import plain_spec, service_spec

    from training.backend import keras, seed_everything
    from training.fit.batches import Batches
    from training.fit.trainer import compile_model
    from training.models import model as entry_of

    if contender.endswith("_bfloat16"):
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    plain = contender.startswith("din_plain")
    key = "mmdin" if contender.startswith("mmdin") else "din"
    spec = plain_spec(USERS, MOVIES) if plain else service_spec(USERS, MOVIES, posters=key == "mmdin")
    settings: dict[str, Any] = {"training.batch_size": BATCH, "training.epochs": epochs}
    if plain:
        settings |= {
            "embedding.id_dim": WIDTH,
            "embedding.id_dropout": 0.0,
            "attention_units": ATTENTION,
            "units": UNITS,
            "dropout": DROPOUT,
            "products": False,
        }
    with np.load(folder / f"{'plain' if plain else key}.npz") as file:
        arrays = {item.name: file[item.name] for item in spec.inputs}
        liked = file["liked"]
    config = entry_of(key).config_class.of(settings)
    seed_everything(0)
    network = entry_of(key).build(config, spec)
    batches = Batches(arrays, liked, BATCH, seed=0)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    compile_model(network, config.training, loss, len(batches))  # type: ignore[attr-defined]
    if contender.endswith("_xla"):
        network.jit_compile = True
    report_training(lambda n: network.fit(batches, epochs=n, verbose=0, shuffle=False), epochs, len(liked))


PEER_PROGRAM = """
import json, os, sys, time
os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
from deepctr.feature_column import DenseFeat, SparseFeat, VarLenSparseFeat
from deepctr.models import DIN
folder, epochs, settings = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
file = np.load(folder + "/plain.npz")
numbers = [name for name in file.files if name.endswith("_numeric")]
width = settings["width"]
columns = [
    SparseFeat("user_id", settings["users"] + 2, embedding_dim=width),
    SparseFeat("movie_id", settings["movies"] + 2, embedding_dim=width),
    *(DenseFeat(name, file[name].shape[1]) for name in numbers),
    VarLenSparseFeat(
        SparseFeat("hist_movie_id", settings["movies"] + 2, embedding_dim=width, embedding_name="movie_id"),
        maxlen=file["recent_likes"].shape[1], length_name="seq_length",
    ),
]
history = file["recent_likes"].astype("int32")
present = history != 0
order = np.argsort(~present, axis=1, kind="stable")  # DeepCTR wants the padding last
x = {
    "user_id": file["user_id"].astype("int32"),
    "movie_id": file["movie_id"].astype("int32"),
    "hist_movie_id": np.take_along_axis(history, order, axis=1),
    "seq_length": present.sum(axis=1).astype("int32"),
    **{name: file[name] for name in numbers},
}
y = file["liked"].astype("float32")
model = DIN(
    columns, ["movie_id"], dnn_hidden_units=tuple(settings["units"]),
    att_hidden_size=tuple(settings["attention"]), dnn_dropout=settings["dropout"],
    l2_reg_embedding=0, l2_reg_dnn=0, seed=0,
)
model.compile("adam", "binary_crossentropy")
fit = lambda n: model.fit(x, y, batch_size=settings["batch"], epochs=n, verbose=0, shuffle=True)
fit(1)
cpu, wall = time.process_time(), time.perf_counter()
fit(epochs)
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
print(json.dumps({"rows": len(y) * epochs, "cpu": cpu, "wall": wall}))
"""


def train_peer(folder: Path, python: Path, epochs: int) -> None:
    """Train DeepCTR by its own Python; passes on what it prints."""
    settings = {
        "users": USERS,
        "movies": MOVIES,
        "width": WIDTH,
        "units": UNITS,
        "attention": ATTENTION,
        "dropout": DROPOUT,
        "batch": BATCH,
    }
    arguments = [str(python), "-c", PEER_PROGRAM, str(folder), str(epochs), json.dumps(settings)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit((done.stderr.strip().splitlines() or ["DeepCTR failed"])[-1])
    print(done.stdout.strip().splitlines()[-1])


def make_peer(folder: Path) -> Path:
    """A fresh environment with DeepCTR; its Python."""
    print("making an environment for DeepCTR …", flush=True)
    python = folder / "peer" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", folder / "peer"], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", *PEER_PACKAGES], check=True)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", type=Path, help="Python of an environment with DeepCTR and tf_keras")
    parser.add_argument("--rows", type=int, default=450_000)
    parser.add_argument("--epochs", type=int, default=3, help="measured, after one that is not")
    parser.add_argument("--rounds", type=int, default=3)
    every = [*OURS, PEER, *OPTIONS]
    parser.add_argument("--contenders", type=names_of(every), default=every, help="by comma")
    parser.add_argument("--quick", action="store_true", help="fewer rows, one round, no options")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--child", nargs=3, metavar=("CONTENDER", "FOLDER", "EPOCHS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        contender, folder, epochs = arguments.child
        if contender == PEER:
            train_peer(Path(folder), arguments.peer, int(epochs))
        else:
            train_ours(contender, Path(folder), int(epochs))
        return
    rows, rounds, epochs = arguments.rows, arguments.rounds, arguments.epochs
    contenders = arguments.contenders
    if arguments.quick:
        rows, rounds, epochs = 45_000, 1, 2
        contenders = [name for name in contenders if name not in OPTIONS]
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    warn_if_busy()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _write_rows(folder, rows)
        python = arguments.peer
        if PEER in contenders and python is None:
            python = make_peer(folder)
        found = _measure(contenders, folder, python, epochs, rounds)
    results = _judge(found)
    if arguments.json:
        content = {"machine": about, "rows": rows, "epochs": epochs, "rounds": rounds, "results": results}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")


def _write_rows(folder: Path, rows: int) -> None:
    import numpy as np
    from train_rows import draw, plain_spec, service_spec

    for name, spec in (
        ("plain", plain_spec(USERS, MOVIES)),
        ("din", service_spec(USERS, MOVIES, posters=False)),
        ("mmdin", service_spec(USERS, MOVIES, posters=True)),
    ):
        arrays, liked = draw(spec, rows)
        np.savez(folder / f"{name}.npz", liked=liked, **arrays)  # type: ignore[arg-type]


def _measure(
    contenders: list[str], folder: Path, python: Path | None, epochs: int, rounds: int
) -> dict[str, list[dict[str, Any]]]:
    peer = [] if python is None else ["--peer", str(python)]
    return in_turn(
        contenders, rounds, lambda name: [__file__, "--child", name, str(folder), str(epochs), *peer]
    )


def _judge(found: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    print(f"\n{'':22}{'samples/CPU-s':>14}{'samples/s':>12}{'of DeepCTR':>12}{'cost of din':>13}{'GB':>6}")

    def rate(name: str, by: str) -> float:
        return statistics.median(run["rows"] / run[by] for run in found[name])

    results = []
    for name, runs in found.items():
        if not runs:
            continue
        result = {
            "contender": name,
            "samples_per_cpu_second": rate(name, "cpu"),
            "samples_per_second": rate(name, "wall"),
            "of_deepctr": rate(name, "cpu") / rate(PEER, "cpu") if found.get(PEER) else None,
            "cost_of_din": rate("din", "cpu") / rate(name, "cpu") if found.get("din") else None,
            "peak_gb": max(run["peak_gb"] for run in runs),
            "runs": runs,
        }
        results.append(result)
        ratios = [
            "" if result[key] is None else f"{result[key]:.2f}" for key in ("of_deepctr", "cost_of_din")
        ]
        print(
            f"{name:22}{result['samples_per_cpu_second']:>14,.0f}{result['samples_per_second']:>12,.0f}"
            f"{ratios[0]:>12}{ratios[1]:>13}{result['peak_gb']:>6.1f}"
        )
    return results


if __name__ == "__main__":
    main()
