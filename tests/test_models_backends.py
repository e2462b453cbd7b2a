"""One model on both backends: the same weights give the same outputs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.test_models import NETWORKS, built, logits
from tests.training_runs import LIKED, recipe
from training.backend import keras
from training.estimators import Blueprint
from training.estimators.network import Network
from training.fit import artefact as artefacts
from training.fit.artefact import Artefact, Manifest
from training.fit.curve import Curve
from training.models import model
from training.tasks import objective_of

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
    pytest.importorskip("jax")
    expected = {}
    for key in NETWORKS:
        network, spec, table = built(key)
        entry = model(key)
        asked = recipe(key)
        found = Network(Blueprint(entry, asked.settings, spec, objective_of(LIKED)), network)
        manifest = Manifest(asked, {}, {}, keras.backend.backend(), "")
        artefact = Artefact(manifest, found, {}, Curve(), table.select(["user_id"]))
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
