"""Trained models, as `evaluate FOLDER` and `train --like FOLDER` read them."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa

from tests.folders import until_exit
from tests.fuzzing.damage import damaged
from tests.toy_features import toy_table
from tests.training_runs import prepared, recipe
from training.fit import artefact as artefacts
from training.fit.train import train_on

SERVICE = "gbt_v1"
MODELS: dict[str, dict[str, Any]] = {
    "gbt": {"iterations": 8, "leaves": 4, "min_leaf": 5},
    "logistic": {},
    "neuralcf": {"training.epochs": 1},
}
ODD = (
    *(
        None,
        True,
        "",
        "x",
        "\ud800",
        "../../etc/passwd",
        "os.system",
        [],
        [[]],
        {},
        {"a": 1},
        [1, "x"],
        [None],
    ),
    *(
        0,
        1,
        -1,
        2,
        7,
        1_000,
        2**31,
        2**63,
        -(2**63),
        10**400,
        0.5,
        1e308,
        float("nan"),
        float("inf"),
        "1",
        "nan",
    ),
)
TYPES = (
    *(
        "builtins.eval",
        "builtins.exec",
        "os.system",
        "subprocess.Popen",
        "posix.system",
        "builtins.list",
        "numpy.ndarray",
    ),
    *(
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    ),
    *(
        "functools.partial",
        "operator.methodcaller",
        "builtins.str",
        "scipy.sparse._csr.csr_matrix",
        "builtins.dict",
    ),
)


def artefact(random: Random, folder: Path) -> str:
    """One model; where it is loaded it predicts, and the very same where digests were left as they are."""
    model = random.choice(sorted(MODELS))
    run = Path(shutil.copytree(_trained() / model, folder / "run"))
    name = random.choice(sorted(path.name for path in run.iterdir()))
    file = run / name
    if random.random() < 0.5:
        file.write_bytes(damaged(random, file.read_bytes()))
    else:
        CHANGES[file.suffix if file.suffix in CHANGES else "gone"](random, file)
    is_whole = random.random() < 0.1
    if not is_whole:
        _put_digests_right(run)
    loaded = artefacts.load(run)
    artefacts.read_manifest(run).recipe.digest()
    with np.errstate(all="ignore"):
        predicted = loaded.predict(_table())
    assert predicted.shape == _scores(model).shape and predicted.dtype == np.float64
    if is_whole:
        assert np.array_equal(predicted, _scores(model)), "other predictions"
    return "the same" if is_whole else "loaded"


def _put_digests_right(run: Path) -> None:
    """Let a manifest that can still be read say that all is as it was saved."""
    with suppress(ValueError, RecursionError, OSError, TypeError, AttributeError):
        manifest = json.loads((run / artefacts.MANIFEST).read_text())
        for name in manifest.get("files", ()):
            manifest["files"][name] = hashlib.sha256((run / name).read_bytes()).hexdigest()
        manifest.pop("digest", None)
        (run / artefacts.MANIFEST).write_text(json.dumps(manifest))


# --- JSON --------------------------------------------------------------------------------------------------


def _json(random: Random, file: Path) -> None:
    values = json.loads(file.read_text())
    for _ in range(random.choice((1, 1, 2))):
        values = _changed(random, values)
    text = json.dumps(values)
    if random.random() < 0.1:
        text = random.choice(
            ("[" * 100_000, '{"a":' * 5_000 + "1" + "}" * 5_000, text * 2, "9" * 5_000, f"[{text}]", "")
        )
    file.write_text(text)


def _changed(random: Random, values: Any) -> Any:
    """JSON with one value changed, gone, or come."""
    path = random.choice(_paths(values))
    if not path:
        return random.choice(ODD)
    holder = values
    for key in path[:-1]:
        holder = holder[key]
    how = random.random()
    if how < 0.6:
        holder[path[-1]] = random.choice((random.choice(ODD), _near(random, holder[path[-1]])))
    elif how < 0.8:
        del holder[path[-1]]
    elif isinstance(holder, dict):
        holder[random.choice(("unheard_of", "", "kind", "files", "__class__"))] = random.choice(ODD)
    else:
        holder.append(random.choice(ODD))
    return values


def _near(random: Random, value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float) and abs(value) < 1e300:
        return value * random.choice((-1, 2, 0.5)) + random.choice((0, 1, -1))
    return [*value, *value[:1]] if isinstance(value, list) else value


def _paths(values: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = (
        values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    )
    return [path, *(below for key, value in inner for below in _paths(value, (*path, key)))]


# --- skops: a zip of JSON and of arrays --------------------------------------------------------------------


def _skops(random: Random, file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = "schema.json" if random.random() < 0.6 else random.choice(sorted(members))
    if name == "schema.json":
        values = json.loads(members[name])
        if random.random() < 0.5:
            values = _changed(random, values)
        else:
            _other_type(random, values)
        members[name] = json.dumps(values).encode()
    else:
        members[name] = random.choice((damaged(random, members[name]), _pickled(), bytes(1 << 20), b""))
    if random.random() < 0.1:
        members[random.choice(("../../x", "/tmp/x", "x.pkl"))] = _pickled()
    with zipfile.ZipFile(file, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for member, body in members.items():
            archive.writestr(member, body)


def _other_type(random: Random, values: Any) -> None:
    """A node of the schema that names another class, function or loader."""
    nodes = [path for path in _paths(values) if path and path[-1] == "__class__"]
    holder = values
    for key in random.choice(nodes)[:-1]:
        holder = holder[key]
    module, _, name = random.choice(TYPES).rpartition(".")
    holder |= {"__class__": name, "__module__": module}
    if random.random() < 0.5:
        holder["__loader__"] = random.choice(
            ("ObjectNode", "FunctionNode", "TypeNode", "PartialNode", "MethodNode", "ReduceNode",
             "OperatorFuncNode", "RandomStateNode", "NdArrayNode", "JsonNode", "x")
        )  # fmt: skip


def _pickled() -> bytes:
    """An array of objects, as numpy pickles one that would call a function."""
    return (
        b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(127)
        + b"\ncos\nsystem\n(S'true'\ntR."
    )


# --- HDF5 --------------------------------------------------------------------------------------------------


def _weights(random: Random, file: Path) -> None:
    import h5py

    with h5py.File(file, "a") as opened:
        names: list[str] = []
        opened.visit(names.append)
        name = random.choice(names)
        how = random.choice((_h5_gone, _h5_shape, _h5_type, _h5_huge, _h5_link, _h5_values))
        how(random, opened, name, file)


def _h5_gone(_: Random, opened: Any, name: str, __: Path) -> None:
    del opened[name]


def _h5_shape(random: Random, opened: Any, name: str, _: Path) -> None:
    del opened[name]
    opened[name] = np.zeros(random.choice(((), (1,), (3, 3), (0,), (2, 2, 2))), np.float32)


def _h5_type(random: Random, opened: Any, name: str, _: Path) -> None:
    shape = getattr(opened[name], "shape", (1,))
    del opened[name]
    kind = random.choice(("S5", "i8", "f2", "f8", "c16", "?", "O"))
    if kind == "O":
        opened[name] = ["text"]
    else:
        opened[name] = np.zeros(shape, kind)


def _h5_huge(random: Random, opened: Any, name: str, _: Path) -> None:
    del opened[name]
    opened.create_dataset(
        name, random.choice(((1 << 40,), (1 << 20, 1 << 20), (1 << 33,))), "f4", chunks=True
    )


def _h5_link(random: Random, opened: Any, name: str, file: Path) -> None:
    import h5py

    del opened[name]
    links = (
        h5py.SoftLink("/"),
        h5py.SoftLink("/nowhere"),
        h5py.ExternalLink("/etc/passwd", "/"),
        h5py.ExternalLink(file.name, "/"),
    )
    opened[name] = random.choice(links)


def _h5_values(random: Random, opened: Any, name: str, _: Path) -> None:
    if hasattr(opened[name], "shape"):
        opened[name][...] = random.choice((float("nan"), float("inf"), 1e38, 0))


def _gone(random: Random, file: Path) -> None:
    if random.random() < 0.5:
        file.unlink()
    else:
        file.write_bytes(b"")


CHANGES: dict[str, Callable[[Random, Path], None]] = {
    ".json": _json,
    ".skops": _skops,
    ".h5": _weights,
    "gone": _gone,
}


# --- models that are as they should be ---------------------------------------------------------------------


@cache
def _trained() -> Path:
    folder = until_exit("fuzzing-models")
    for model, config in MODELS.items():
        made = recipe(model, config=config, service=SERVICE)
        train_on(prepared(SERVICE, 120), made, folder / model)
    return folder


@cache
def _table() -> pa.Table:
    return toy_table(25, SERVICE, seed=1)


@cache
def _scores(model: str) -> np.ndarray:
    return artefacts.load(_trained() / model).predict(_table())
