"""Keras' backends: which one is taken, that each repeats itself, and that they agree."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.test_models import NETWORKS, built, logits
from tests.training_runs import LIKED, recipe
from training.backend import default_backend, keras
from training.estimators import Blueprint
from training.estimators.network import Network
from training.fit import artefact as artefacts
from training.fit.artefact import Artefact, Manifest
from training.fit.curve import Curve
from training.models import model
from training.tasks import objective_of

pytestmark = pytest.mark.process

TRAIN = """
import sys
{before}
import numpy
from tests.toy_features import toy_spec, toy_table
from tests.training_runs import LIKED
from training.backend import keras
from training.estimators import Blueprint, Examples
from training.estimators.network import Network
from training.models import model
from training.tasks import objective_of
settings = {{"training.epochs": 3, "training.batch_size": 64, "training.averaging": 0.9}}
table, config = toy_table(500, "din_v1"), model("din").config_class.of(settings)
spec, objective = toy_spec(table, "din_v1", config.inputs), objective_of(LIKED)
network = Network(Blueprint(model("din"), config, spec, objective))
rows = Examples(spec.apply(table), objective.targets(table))
curve = network.fit(rows, rows, seed=5)
numpy.savez(sys.argv[1], scores=network.predict(rows.arrays), losses=[epoch.loss for epoch in curve.epochs])
print(keras.backend.backend(), "tensorflow" in sys.modules)
"""


def trained(out: Path, before: str = "", **environment: str) -> tuple[str, dict[str, np.ndarray]]:
    """What a process of its own says of its backend, and the scores and losses of what it trains."""
    given = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", TRAIN.format(before=before), str(out)],
        env=given | environment,
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    with np.load(out) as file:
        return done.stdout.strip(), dict(file)


@pytest.mark.parametrize(
    ("jax", "gpu", "plugin", "backend"),
    [
        (True, False, False, "jax"),
        (True, False, True, "jax"),
        (True, True, True, "jax"),
        (True, True, False, "tensorflow"),
        (False, False, False, "tensorflow"),
        (False, True, True, "tensorflow"),
    ],
)
def test_jax_is_the_default_unless_it_would_leave_a_gpu_idle(
    jax: bool, gpu: bool, plugin: bool, backend: str
) -> None:
    assert default_backend(jax=jax, gpu=gpu, plugin=plugin) == backend


@pytest.mark.skipif(any(Path("/dev").glob("nvidia[0-9]*")), reason="a GPU has a say in the default")
@pytest.mark.parametrize(
    ("backend", "before", "said"),
    [("jax", "", "jax False"), ("tensorflow", "sys.modules['jax'] = None", "tensorflow True")],
    ids=["jax", "without jax"],
)
def test_the_default_trains_and_a_seed_gives_the_same_bytes_in_another_process(
    tmp_path: Path, backend: str, before: str, said: str
) -> None:
    """JAX is the default, and does not load TensorFlow, which trains where JAX is missing. The other process
    is told its backend; with JAX, it takes what the first compiled."""
    compiled = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled")}
    by_default, held = trained(tmp_path / "1.npz", before, **compiled)
    assert by_default == said
    assert held["losses"][-1] < held["losses"][0]
    asked, again = trained(tmp_path / "2.npz", KERAS_BACKEND=backend, **compiled)
    assert asked.split()[0] == backend
    for name, values in held.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)


OTHER_BACKEND = """
import sys, numpy, pyarrow.parquet as pq
from pathlib import Path
from training.fit import artefact, trainer
from training.backend import keras

for folder in Path(sys.argv[1]).iterdir():
    found = artefact.load(folder / "artefact")
    rows = found.spec.apply(pq.read_table(folder / "rows.parquet"))
    numpy.save(folder / "logits.npy", trainer.outputs(found.estimator.fitted, rows)[:, 0])
print(keras.backend.backend())
"""


def test_another_backend_gives_the_same_outputs_from_the_same_weights(tmp_path: Path) -> None:
    expected = {}
    for key in NETWORKS:
        network, spec, table = built(key)
        entry = model(key)
        asked = recipe(key)
        found = Network(Blueprint(entry, asked.settings, spec, objective_of(LIKED)), network)
        manifest = Manifest(asked, {}, {}, keras.backend.backend(), "")
        artefact = Artefact(manifest, found, {"test": {}}, Curve(), table.select(["user_id"]))
        artefacts.save(artefact, tmp_path / key / "artefact")
        pq.write_table(table, tmp_path / key / "rows.parquet")
        expected[key] = logits(network, spec.apply(table))
    other = "jax" if keras.backend.backend() != "jax" else "tensorflow"
    done = subprocess.run(
        [sys.executable, "-c", OTHER_BACKEND, str(tmp_path)],
        env=os.environ | {"KERAS_BACKEND": other, "JAX_PLATFORMS": "cpu"},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == other
    for key, mine in expected.items():
        theirs = np.load(tmp_path / key / "logits.npy")
        np.testing.assert_allclose(theirs, mine, rtol=1e-5, atol=1e-5, err_msg=key)
