"""A trained model as one folder.

| file | holds |
|---|---|
| `manifest.json` | what made it: model, feature service, Delta versions, seed, split, rows, packages |
| `config.json` | the whole configuration |
| `inputs.json` | the input specification with its vocabularies |
| `model.weights.h5` or `model.joblib` | the weights |
| `metrics.json` | of the test rows, and of the validation rows that the threshold was chosen on |
| `history.json` | the training curve |
| `predictions.parquet` | the test rows: `user_id`, `movie_id`, `event_timestamp`, `liked`, `score` |

The folder is whole or absent.
"""

import json
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from common.errors import MarqueeError
from common.files import folder_atomically
from training.fit import predictor as predictors
from training.fit.curve import Curve
from training.fit.predictor import Predictor
from training.inputs.spec import InputSpec
from training.models import model as entry_of
from training.models.config import ModelConfig

FORMAT = 1
MANIFEST, CONFIG, INPUTS = "manifest.json", "config.json", "inputs.json"
METRICS, HISTORY, PREDICTIONS = "metrics.json", "history.json", "predictions.parquet"
PACKAGES = ("marquee", "keras", "tensorflow", "jax", "scikit-learn", "numpy", "pyarrow", "feast", "deltalake")
SCORE = "score"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What made an artefact, enough to make it again.

    Args:
        model: key in the zoo.
        service: feature service.
        seed: of everything random.
        split: {"strategy", "shares", "seed", "leaky"}.
        liked_rating: a rating from here on is a like.
        versions: Delta version of each table read, by table.
        rows: {"asked", "returned", "train", "valid", "test"}.
        backend: of Keras; "" for another library.
        created: when, UTC, ISO 8601.
        protocol: "honest", or the leaky "paper".
        data: fingerprint of the labels with their features, all rows; "" where it was not taken.
        packages: versions of the packages that matter.
        format: version of this layout.
    """

    model: str
    service: str
    seed: int
    split: dict[str, Any]
    liked_rating: float
    versions: dict[str, int]
    rows: dict[str, int]
    backend: str
    created: str
    protocol: str = "honest"
    data: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Artefact:
    """A trained model, ready to score.

    Args:
        manifest: what made it.
        config: its configuration.
        predictor: the fitted model, with the specification of its inputs.
        metrics: as in `metrics.json`.
        history: the training curve.
        predictions: the scored test rows.
    """

    manifest: Manifest
    config: ModelConfig
    predictor: Predictor
    metrics: dict[str, Any]
    history: Curve
    predictions: pa.Table

    @property
    def spec(self) -> InputSpec:
        return self.predictor.spec

    def predict(self, table: pa.Table) -> np.ndarray:
        """The probability of a like for each row, float64 (rows,).

        Args:
            table: the features of its service, with keys and `event_timestamp` of the request.

        Raises:
            MarqueeError: a column is missing or of another shape than in training.
        """
        return self.predictor.predict(self.spec.apply(table))


def package_versions() -> dict[str, str]:
    """Versions of those of `PACKAGES` that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def check_replaceable(folder: Path) -> None:
    """Refuse to put an artefact where something else is.

    Raises:
        MarqueeError: `folder` is a file, or a folder that holds something but no artefact.
    """
    if folder.is_dir():
        if (folder / MANIFEST).is_file() or not any(folder.iterdir()):
            return
    elif not folder.exists():
        return
    raise MarqueeError(
        f"{folder} is not empty and no artefact: it is not replaced. Name another folder with --out."
    )


def save(artefact: Artefact, folder: Path) -> None:
    """Write an artefact as `folder`, replacing the artefact that was there.

    Raises:
        MarqueeError: something else is there, or the folder cannot be written.
    """
    check_replaceable(folder)
    with folder_atomically(folder) as temporary:
        _write_json(temporary / MANIFEST, asdict(artefact.manifest))
        (temporary / CONFIG).write_text(artefact.config.model_dump_json(indent=2) + "\n")
        (temporary / INPUTS).write_text(artefact.spec.model_dump_json() + "\n")
        _write_json(temporary / METRICS, artefact.metrics)
        _write_json(temporary / HISTORY, artefact.history.as_json())
        pq.write_table(artefact.predictions, temporary / PREDICTIONS, compression="zstd")
        artefact.predictor.save(temporary)


def load(folder: Path) -> Artefact:
    """Read an artefact. Its predictions equal those from before it was saved.

    Weights of scikit-learn models are pickles: load artefacts that you trust only.

    Raises:
        MarqueeError: a file is missing or damaged, or another version of Marquee wrote it.
    """
    manifest = read_manifest(folder)
    entry = entry_of(manifest.model)
    try:
        config = entry.config_class.model_validate_json(_read(folder, CONFIG))
        spec = InputSpec.model_validate_json(_read(folder, INPUTS))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise MarqueeError(
            f"The artefact {folder} does not fit this version of Marquee: {place}: {first['msg'].lower()}."
        ) from error
    return Artefact(
        manifest=manifest,
        config=config,
        predictor=predictors.load(entry, config, spec, folder),
        metrics=_read_json(folder, METRICS),
        history=Curve.from_json(_read_json(folder, HISTORY)),
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
    try:
        return Manifest(**values)
    except TypeError as error:
        raise MarqueeError(f"{folder / MANIFEST} is damaged: {error}.") from error


def read_config(folder: Path) -> dict[str, Any]:
    """The whole configuration of an artefact, as plain data."""
    return _read_json(folder, CONFIG)


def read_metrics(folder: Path) -> dict[str, Any]:
    """The metrics of an artefact, without loading it."""
    return _read_json(folder, METRICS)


def read_history(folder: Path) -> Curve:
    """The training curve of an artefact, without loading it."""
    return Curve.from_json(_read_json(folder, HISTORY))


def read_predictions(folder: Path) -> pa.Table:
    """The scored test rows of an artefact, without loading it."""
    path = folder / PREDICTIONS
    if not path.is_file():
        raise MarqueeError(f"{folder} has no {PREDICTIONS}: it is not a whole artefact.")
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise MarqueeError(f"{path} is damaged: {error}.") from error


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")


def _read(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text()
    except OSError as error:
        raise MarqueeError(
            f"{folder} has no readable {name}: it is not the folder of a trained model."
        ) from error


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    try:
        value = json.loads(_read(folder, name))
    except json.JSONDecodeError as error:
        raise MarqueeError(f"{folder / name} is damaged: {error}.") from error
    if not isinstance(value, dict):
        raise MarqueeError(f"{folder / name} is damaged: it holds no object.")
    return value
