"""What training click models costs on processors: samples per CPU-second, beside DeepCTR and FuxiCTR.

    python benchmarks/train_clicks.py [--deepctr PYTHON] [--fuxictr PYTHON] [--rounds N] [--json FILE]

All train on the same rows of the seven fields that IARM reads of MovieLens-100K (user, movie, gender, age,
occupation, zip code, up to six genres, as many values each), in batches of 4096, with embeddings of 16 and
layers of 64 and 64 where a model has some, three cross layers (DCN) and three layers of two heads of 16
(AutoInt), Adam, no dropout and no regularisation. The rows are drawn at random, since speed does not hang on
what they say. Of each, the epochs after the first count, which compiles; CPU time is that of the whole
process. A contender runs once a round, in turn with the others, and its median counts.

The peers need packages that do not go with ours: each runs in an environment of its own, whose Python is
named, and is left out where none is (`deepctr==0.9.4 tensorflow==2.21.0 tf-keras==2.21.0 setuptools<80`;
`fuxictr==2.3.7 torch==2.2.2 numpy<2 polars<1 pyarrow<18`). FuxiCTR's package lacks its models: `--zoo` names
the folder `model_zoo` of its sources.
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

BATCH, WIDTH, UNITS, LAYERS, HEADS = 4096, 16, (64, 64), 3, 2
FIELDS = {"user_id": 943, "movie_id": 1682, "gender": 2, "age": 61, "occupation": 21, "zip_code": 795}
"""Fields of one value, with how many values each has in MovieLens-100K."""
GENRES, GENRES_A_MOVIE = 19, 6
BOTH = ("fm", "afm", "nfm", "wide_deep", "dcn", "pnn", "autoint", "deepfm")
OF_FUXICTR = (*BOTH, "deep_crossing")
OURS = (*OF_FUXICTR, "iarm")
DEEPCTR, FUXICTR = "deepctr", "fuxictr"
PEERS = {DEEPCTR: BOTH, FUXICTR: OF_FUXICTR}
CONTENDERS = [*OURS, *(f"{peer}:{name}" for peer, names in PEERS.items() for name in names)]


def settings_of(model: str, epochs: int) -> dict[str, Any]:
    """A configuration of ours of the sizes that all have."""
    sizes: dict[str, dict[str, Any]] = {
        "fm": {},
        "afm": {"attention_units": WIDTH, "dropout": 0.0},
        "dcn": {"layers": LAYERS, "units": UNITS, "dropout": 0.0},
        "autoint": {"layers": LAYERS, "heads": HEADS, "dropout": 0.0},
        "iarm": {"layers": LAYERS, "heads": HEADS, "units": UNITS, "dropout": 0.0},
    }
    chosen = sizes.get(model, {"units": UNITS, "dropout": 0.0})
    fields = {"embedding.dim": WIDTH, "embedding.id_dropout": 0.0}
    return {**chosen, **fields, "training.batch_size": BATCH, "training.epochs": epochs}


def train_ours(model: str, folder: Path, epochs: int) -> None:
    """Train one of ours; prints what it cost."""
    os.environ["KERAS_BACKEND"] = "jax"
    import numpy as np
    from train_rows import click_spec

    from training.backend import keras, seed_everything
    from training.fit.batches import Batches
    from training.fit.trainer import compile_model
    from training.models import model as entry_of

    spec = click_spec(FIELDS, GENRES, GENRES_A_MOVIE)
    with np.load(folder / "rows.npz") as file:
        arrays = {item.name: file[item.name] for item in spec.inputs}
        clicked = file["clicked"]
    config = entry_of(model).config_class.of(settings_of(model, epochs))
    seed_everything(0)
    network = entry_of(model).build(config, spec)
    batches = Batches(arrays, clicked, BATCH, seed=0)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    compile_model(network, config.training, loss, len(batches))  # type: ignore[attr-defined]

    report_training(lambda n: network.fit(batches, epochs=n, verbose=0, shuffle=False), epochs, len(clicked))


DEEPCTR_PROGRAM = """
import json, os, sys, time
os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
from deepctr import models
from deepctr.feature_column import SparseFeat, VarLenSparseFeat
model, folder, epochs, s = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
file = np.load(folder + "/rows.npz")
width, units = s["width"], tuple(s["units"])
columns = [SparseFeat(name, size + 2, embedding_dim=width) for name, size in s["fields"].items()]
genres = SparseFeat("genres", s["genres"] + 2, embedding_dim=width)
columns.append(VarLenSparseFeat(genres, maxlen=s["most"], combiner="mean"))
x = {name: file[name].astype("int32") for name in [*s["fields"], "genres"]}
y = file["clicked"].astype("float32")
plain = dict(l2_reg_linear=0, l2_reg_embedding=0, seed=0)
deep = dict(dnn_hidden_units=units, dnn_dropout=0, l2_reg_dnn=0)
made = {
    "fm": lambda: models.DeepFM(columns, columns, dnn_hidden_units=(), **plain),
    "deepfm": lambda: models.DeepFM(columns, columns, **deep, **plain),
    "afm": lambda: models.AFM(columns, columns, attention_factor=width, l2_reg_att=0, afm_dropout=0, **plain),
    "nfm": lambda: models.NFM(columns, columns, bi_dropout=0, **deep, **plain),
    "wide_deep": lambda: models.WDL(columns, columns, **deep, **plain),
    "dcn": lambda: models.DCN(columns, columns, cross_num=s["layers"], l2_reg_cross=0, **deep, **plain),
    "pnn": lambda: models.PNN(columns, l2_reg_embedding=0, seed=0, **deep),
    "autoint": lambda: models.AutoInt(
        columns, columns, att_layer_num=s["layers"], att_embedding_size=width, att_head_num=s["heads"],
        dnn_hidden_units=(), dnn_dropout=0, l2_reg_dnn=0, **plain,
    ),
}[model]()
made.compile("adam", "binary_crossentropy")
fit = lambda n: made.fit(x, y, batch_size=s["batch"], epochs=n, verbose=0, shuffle=True)
fit(1)
cpu, wall = time.process_time(), time.perf_counter()
fit(epochs)
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
print(json.dumps({"rows": len(y) * epochs, "cpu": cpu, "wall": wall}))
"""
FUXICTR_PROGRAM = """
import importlib.util, json, sys, tempfile, time
import numpy as np
import torch
from fuxictr.features import FeatureMap
name, folder, epochs, s = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
file = np.load(folder + "/rows.npz")
features = FeatureMap("rows", folder)
for field, size in s["fields"].items():
    features.features[field] = {"source": "", "type": "categorical", "vocab_size": size + 2}
features.features["genres"] = {
    "source": "", "type": "sequence", "vocab_size": s["genres"] + 2, "padding_idx": 0, "max_len": s["most"],
    "feature_encoder": "layers.MaskedAveragePooling()",
}
features.labels, features.num_fields = ["clicked"], len(features.features)
features.default_emb_dim = s["width"]
units, width = list(s["units"]), s["width"]
deep = dict(net_dropout=0, batch_norm=False)
free = {} if name == "fm" else dict(embedding_regularizer=None, net_regularizer=None)
title, options = {
    "fm": ("FM", {}),
    "deepfm": ("DeepFM", dict(hidden_units=units, **deep)),
    "afm": ("AFM", dict(attention_dim=width, attention_dropout=[0, 0])),
    "nfm": ("NFM", dict(hidden_units=units, embedding_dropout=0, **deep)),
    "wide_deep": ("WideDeep", dict(hidden_units=units, **deep)),
    "deep_crossing": ("DeepCrossing", dict(residual_blocks=units, use_residual=True, **deep)),
    "dcn": ("DCN", dict(dnn_hidden_units=units, num_cross_layers=s["layers"], **deep)),
    "pnn": ("PNN", dict(hidden_units=units, product_type="inner", **deep)),
    "autoint": ("AutoInt", dict(
        dnn_hidden_units=[], attention_layers=s["layers"], num_heads=s["heads"],
        attention_dim=width * s["heads"], use_residual=True, use_wide=False, **deep)),
}[name]
(path,) = [found for found in s["zoo"] if found.endswith("/" + title + ".py")]
spec = importlib.util.spec_from_file_location(title, path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
made = getattr(module, title)(
    features, model_id=title, gpu=-1, task="binary_classification", learning_rate=1e-3, optimizer="adam",
    loss="binary_crossentropy", metrics=["AUC"], embedding_dim=width, model_root=tempfile.mkdtemp(),
    verbose=0, **free, **options,
)
made._max_gradient_norm = 10.0
rows = {field: torch.from_numpy(file[field].astype("int64")) for field in features.features}
rows["clicked"] = torch.from_numpy(file["clicked"].astype("float32"))
def fit(times):
    made.train()
    for _ in range(times):
        order = torch.randperm(len(rows["clicked"]))
        for at in range(0, len(order), s["batch"]):
            taken = order[at : at + s["batch"]]
            made.train_step({field: values[taken] for field, values in rows.items()})
fit(1)
cpu, wall = time.process_time(), time.perf_counter()
fit(epochs)
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
print(json.dumps({"rows": len(rows["clicked"]) * epochs, "cpu": cpu, "wall": wall}))
"""
PROGRAMS = {DEEPCTR: DEEPCTR_PROGRAM, FUXICTR: FUXICTR_PROGRAM}


def train_peer(peer: str, model: str, folder: Path, python: str, epochs: int, zoo: Path | None) -> None:
    """Train a peer's model by its own Python; passes on what it prints."""
    models = [] if zoo is None else [str(file) for file in zoo.rglob("src/*.py") if "_tf" not in str(file)]
    sizes = {
        "fields": FIELDS,
        "genres": GENRES,
        "most": GENRES_A_MOVIE,
        "width": WIDTH,
        "units": UNITS,
        "layers": LAYERS,
        "heads": HEADS,
        "batch": BATCH,
        "zoo": models,
    }
    arguments = [python, "-c", PROGRAMS[peer], model, str(folder), str(epochs), json.dumps(sizes)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit((done.stderr.strip().splitlines() or [f"{peer} failed"])[-1])
    print(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--deepctr", help="Python of an environment with DeepCTR and tf_keras")
    parser.add_argument("--fuxictr", help="Python of an environment with FuxiCTR and torch")
    parser.add_argument("--zoo", type=Path, help="folder of FuxiCTR's models, in its sources")
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--epochs", type=int, default=3, help="measured, after one that is not")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contenders", type=names_of(CONTENDERS), default=CONTENDERS, help="by comma")
    parser.add_argument("--quick", action="store_true", help="fewer rows, one round")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        contender, folder, python, epochs = asked.child
        peer, _, model = contender.rpartition(":")
        if peer:
            train_peer(peer, model, Path(folder), python, int(epochs), asked.zoo)
        else:
            train_ours(model, Path(folder), int(epochs))
        return
    rows, rounds, epochs = (40_000, 1, 1) if asked.quick else (asked.rows, asked.rounds, asked.epochs)
    pythons = {"": "", DEEPCTR: asked.deepctr, FUXICTR: asked.fuxictr}
    contenders = [name for name in asked.contenders if pythons[name.rpartition(":")[0]] is not None]
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    warn_if_busy()
    with tempfile.TemporaryDirectory() as temporary:
        write_rows(Path(temporary), rows)
        found = measured(contenders, Path(temporary), pythons, asked.zoo, epochs, rounds)
    results = judged(found)
    if asked.json:
        content = {"machine": about, "rows": rows, "epochs": epochs, "rounds": rounds, "results": results}
        asked.json.write_text(json.dumps(content, indent=2) + "\n")


def write_rows(folder: Path, rows: int) -> None:
    """The rows that all train on."""
    import numpy as np
    from train_rows import click_spec, draw

    arrays, clicked = draw(click_spec(FIELDS, GENRES, GENRES_A_MOVIE), rows)
    np.savez(folder / "rows.npz", clicked=clicked, **arrays)  # type: ignore[arg-type]


def measured(
    contenders: list[str],
    folder: Path,
    pythons: dict[str, str],
    zoo: Path | None,
    epochs: int,
    rounds: int,
) -> dict[str, list[dict[str, Any]]]:
    """What each contender cost, round by round."""
    models = ["--zoo", str(zoo)] if zoo else []

    def arguments(name: str) -> list[str]:
        python = pythons[name.rpartition(":")[0]]
        return [__file__, "--child", name, str(folder), python, str(epochs), *models]

    return in_turn(contenders, rounds, arguments)


def judged(found: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """A row for each contender, printed as well: its speed, and that as a share of the faster peer's."""

    def rate(name: str, by: str) -> float:
        return statistics.median(run["rows"] / run[by] for run in found[name])

    print(f"\n{'':24}{'samples/CPU-s':>14}{'samples/s':>12}{'of the faster peer':>20}{'GB':>6}")
    results = []
    for name, runs in found.items():
        if not runs:
            continue
        peers = [f"{peer}:{name}" for peer in PEERS if found.get(f"{peer}:{name}")]
        of_peer = rate(name, "cpu") / max(rate(peer, "cpu") for peer in peers) if peers else None
        result = {
            "contender": name,
            "samples_per_cpu_second": rate(name, "cpu"),
            "samples_per_second": rate(name, "wall"),
            "of_faster_peer": of_peer,
            "peak_gb": max(run["peak_gb"] for run in runs),
            "runs": runs,
        }
        results.append(result)
        print(
            f"{name:24}{result['samples_per_cpu_second']:>14,.0f}{result['samples_per_second']:>12,.0f}"
            f"{'' if of_peer is None else f'{of_peer:.2f}':>20}{result['peak_gb']:>6.1f}"
        )
    return results


if __name__ == "__main__":
    main()
