"""A trained model as one folder.

| file | holds |
|---|---|
| `manifest.json` | what made it: the recipe with the whole configuration, Delta versions, rows, packages |
| `inputs.json` | the input specification with its vocabularies |
| `model.weights.h5` or `model.skops` | the weights |
| `metrics.json` | of test rows, and of the validation rows that chose epoch and threshold; the label's rule |
| `history.json` | the training curve |
| `predictions.parquet` | the test rows: keys, `event_timestamp`, label, `score`; `probabilities` of classes |

The folder is whole or absent.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from common.errors import MarqueeError, in_words
from common.files import digest_of, folder_atomically, folder_to_write, is_whole, json_in
from training.config import checked, first_fault
from training.estimators import Blueprint, Estimator, estimator_of
from training.fit.curve import Curve
from training.inputs.spec import InputSpec
from training.models.own import code_of, refuse_code_in
from training.recipe import Recipe
from training.tasks import objective_of

FORMAT = 3
MANIFEST, INPUTS = "manifest.json", "inputs.json"
METRICS, HISTORY, PREDICTIONS = "metrics.json", "history.json", "predictions.parquet"
PACKAGES = ("marquee", "keras", "tensorflow", "jax", "scikit-learn", "numpy", "pyarrow", "feast", "deltalake")
SCORE = "score"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What made an artefact, enough to make it again.

    Args:
        recipe: that was followed.
        versions: Delta version of each table read, by table; empty where a file was.
        rows: {"asked", "returned", "train", "valid", "test"}.
        backend: of Keras; "" for another library.
        created: when, UTC, ISO 8601.
        data: fingerprint of the labels with their features, all rows; "" where it was not taken.
        block: rows of a log that memory held at once; 0 where it held all.
        packages: versions of the packages that matter; of a user's own model, the digest of its file.
        format: version of this layout.
        files: SHA-256 of each other file of the artefact, by name; filled in by `save`.
        digest: SHA-256 of all the above; filled in by `save`, and "" in artefacts that are older.
    """

    recipe: Recipe
    versions: dict[str, int]
    rows: dict[str, int]
    backend: str
    created: str
    data: str = ""
    block: int = 0
    packages: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT
    files: dict[str, str] = field(default_factory=dict)
    digest: str = ""

    def as_json(self) -> dict[str, Any]:
        """The manifest as plain data."""
        return {**asdict(self), "recipe": self.recipe.as_json()}


@dataclass(frozen=True, slots=True)
class Artefact:
    """A trained model, ready to score.

    Args:
        manifest: what made it.
        estimator: the trained model, with its configuration and the specification of its inputs.
        metrics: as in `metrics.json`.
        history: the training curve.
        predictions: the scored test rows.
    """

    manifest: Manifest
    estimator: Estimator
    metrics: dict[str, Any]
    history: Curve
    predictions: pa.Table

    @property
    def spec(self) -> InputSpec:
        """The specification of the inputs."""
        return self.estimator.blueprint.spec

    def predict(self, table: pa.Table) -> np.ndarray:
        """Predictions for each row, float64: (rows,), or probabilities of classes (rows, classes).

        Args:
            table: the features of its service, with keys and `event_timestamp` of the request.

        Raises:
            MarqueeError: a column is missing or of another shape than in training.
        """
        return self.estimator.predict(self.spec.apply(table))

    def score(self, table: pa.Table) -> np.ndarray:
        """One number for each row, by which rows are ranked, float64 (rows,); as `predict` otherwise."""
        return self.estimator.blueprint.objective.score(self.predict(table))


def code_versions(recipe: Recipe) -> dict[str, str]:
    """Versions of those of `PACKAGES` that are installed, and the digest of an own model's file."""
    found = code_of(recipe.entry)
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def check_replaceable(folder: Path) -> None:
    """Refuse to put an artefact where something else is.

    Raises:
        MarqueeError: `folder` is a file or below one, or a folder that holds something but no artefact.
    """
    if folder.is_dir():
        held = list(folder.iterdir())
        if not held or (all(map(_is_ours, held)) and folder / MANIFEST in held):
            return
    elif not folder.exists():
        folder_to_write(folder)
        return
    raise MarqueeError(
        f"{folder} is not empty and no artefact: it is not replaced. Name another folder with --out."
    )


def _is_ours(path: Path) -> bool:
    """Whether a path is of the name of a file of an artefact, of this version of Marquee or another."""
    known = (MANIFEST, INPUTS, METRICS, HISTORY, PREDICTIONS)
    return path.is_file() and (path.name in known or path.name.startswith("model."))


def save(artefact: Artefact, folder: Path) -> None:
    """Write an artefact as `folder`, replacing the artefact that was there.

    Raises:
        MarqueeError: something else is there, or the folder cannot be written.
    """
    check_replaceable(folder)
    with folder_atomically(folder) as temporary:
        (temporary / INPUTS).write_text(artefact.spec.model_dump_json() + "\n")
        _write_json(temporary / METRICS, artefact.metrics)
        _write_json(temporary / HISTORY, artefact.history.as_json())
        pq.write_table(artefact.predictions, temporary / PREDICTIONS, compression="zstd")
        artefact.estimator.save(temporary)
        files = {path.name: _digest(path) for path in sorted(temporary.iterdir())}
        manifest = replace(artefact.manifest, files=files).as_json()
        _write_json(temporary / MANIFEST, {**manifest, "digest": digest_of(manifest)})


def load(folder: Path) -> Artefact:
    """Read an artefact. Its predictions equal those from before it was saved.

    No file of an artefact can run code. One that is not as it was saved is refused by its digest.

    Raises:
        MarqueeError: a file is missing or damaged, or another version of Marquee wrote it.
    """
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    recipe = manifest.recipe
    try:
        spec = InputSpec.model_validate_json(_read(folder, INPUTS))
        settings = recipe.entry.config_class.model_validate(recipe.config)
    except ValidationError as error:
        raise MarqueeError(
            f"The artefact {folder} does not fit this version of Marquee: {first_fault(error)}."
        ) from error
    try:
        estimator = estimator_of(Blueprint(recipe.entry, settings, spec, objective_of(recipe.task)))
        spec.apply(spec.nothing())
        estimator.load(folder)
    except (MarqueeError, MemoryError):
        raise
    except Exception as error:  # of parts that are each right and do not belong together
        raise MarqueeError(
            f"The parts of the artefact {folder} do not fit each other ({in_words(error)}): train the model"
            " again."
        ) from error
    return Artefact(
        manifest=manifest,
        estimator=estimator,
        metrics=read_metrics(folder),
        history=read_history(folder),
        predictions=read_predictions(folder),
    )


def read_manifest(folder: Path) -> Manifest:
    """What made an artefact, without loading it."""
    values = _read_json(folder, MANIFEST)
    if values.get("format") != FORMAT:
        raise MarqueeError(
            f"The artefact {folder} has format {values.get('format')}, this version reads {FORMAT}: "
            "train the model again."
        )
    if not is_whole(values):
        raise _changed(folder / MANIFEST)
    try:
        recipe = Recipe.from_json(values["recipe"])
        refuse_code_in(folder, recipe.model)
        return checked(Manifest, {**values, "recipe": recipe})
    except (TypeError, KeyError, ValueError) as error:
        raise _damaged(folder / MANIFEST, error) from error


def check_files(folder: Path, manifest: Manifest) -> None:
    """Refuse an artefact whose files are not those that were saved.

    Raises:
        MarqueeError: one is missing or has changed.
    """
    for name, digest in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise MarqueeError(f"{folder} has no {name}: it is not a whole artefact.")
        if _digest(path) != digest:
            raise _changed(path)


def read_metrics(folder: Path) -> dict[str, Any]:
    """The metrics of an artefact, without loading it."""
    found = _read_json(folder, METRICS)
    if not isinstance(found.get("test"), dict):
        raise _damaged(folder / METRICS, "it has no metrics of the test rows")
    return found


def read_history(folder: Path) -> Curve:
    """The training curve of an artefact, without loading it."""
    try:
        return Curve.from_json(_read_json(folder, HISTORY))
    except (TypeError, ValueError) as error:
        raise _damaged(folder / HISTORY, error) from error


def read_predictions(folder: Path) -> pa.Table:
    """The scored test rows of an artefact, without loading it."""
    path = folder / PREDICTIONS
    if not path.is_file():
        raise MarqueeError(f"{folder} has no {PREDICTIONS}: it is not a whole artefact.")
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(path: Path, why: object) -> MarqueeError:
    return MarqueeError(f"{path} is damaged: {why}. Train the model again.")


def _changed(path: Path) -> MarqueeError:
    return _damaged(path, "it is not what was saved")


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")


def _read(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text()
    except OSError as error:
        raise MarqueeError(
            f"{folder} has no readable {name}: it is not the folder of a trained model."
        ) from error
    except UnicodeDecodeError as error:
        raise _damaged(folder / name, "it is no text") from error


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    try:
        value = json_in(_read(folder, name))
    except ValueError as error:  # numbers may be too long for Python, too
        raise _damaged(folder / name, error) from error
    if not isinstance(value, dict):
        raise _damaged(folder / name, "it holds no object")
    return value
