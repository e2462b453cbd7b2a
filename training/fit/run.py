"""Train a model from the tables of the lake, and score it again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.errors import MarqueeError
from feature_repo import schema
from training.data.labels import LIKED, read_labels
from training.data.rows import BLOCK, Rows, read_narrow, rows_of
from training.data.splits import SHARES, Strategy, split
from training.evaluate.attainable import KEYS, best_attainable_auc
from training.evaluate.metrics import Metrics, attainable_share, best_threshold
from training.evaluate.metrics import evaluate as measure
from training.fit import artefact as artefacts
from training.fit import predictor as predictors
from training.fit.artefact import SCORE, Artefact, Manifest
from training.fit.checkpoint import Checkpoint, digest
from training.fit.curve import Progress
from training.models import Entry
from training.models import model as entry_of
from training.models.config import ModelConfig

if TYPE_CHECKING:
    from feast import FeatureStore

Protocol = Literal["honest", "paper"]
SPLIT_OF: dict[str, Strategy] = {"honest": "time", "paper": "random"}
"""Honest: features strictly before each label, split in time. Paper: features of the whole data, and a random
split; the future, and the label itself, leak into both."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one training gave.

    Args:
        model: key in the zoo.
        folder: of the artefact.
        metrics: on the test rows.
        validation: on the validation rows, which chose the threshold and the epoch, before any refit.
        labels_asked, labels_returned: rows into and out of the point-in-time join.
        rows: of each part.
        leaky: whether the split lets the future in.
        best_auc: the ROC-AUC of the true like-probabilities on the same test rows, where they are known.
        attainable: (AUC - .5) / (best_auc - .5).
        resumed: epochs that an earlier call, which was cut off, had done.
    """

    model: str
    folder: Path
    metrics: Metrics
    validation: Metrics
    labels_asked: int
    labels_returned: int
    rows: dict[str, int] = field(default_factory=dict)
    leaky: bool = False
    best_auc: float | None = None
    attainable: float | None = None
    resumed: int = 0


def train(
    store: "FeatureStore",
    lake: Path,
    model: str,
    out: Path,
    *,
    seed: int = 0,
    config: Mapping[str, Any] | None = None,
    protocol: str = "honest",
    split_by: str | None = None,
    split_seed: int = 0,
    shares: tuple[float, float, float] = SHARES,
    liked_rating: float = schema.LIKED_RATING,
    likelihood: Path | None = None,
    versions: Mapping[str, int] | None = None,
    on_progress: Progress | None = None,
) -> Result:
    """Labels, point-in-time features, split, inputs, model, metrics; the artefact is written to `out`.

    A network keeps a checkpoint beside `out` until it is done: the same call, after one that was cut off,
    goes on from there to the result of an unbroken one.

    Args:
        store: an applied feature store over the lake.
        lake: the folder of the Delta tables.
        model: key in the zoo.
        out: folder of the artefact; replaced as a whole.
        seed: of everything random.
        config: what differs from the model's defaults; dotted keys reach into sections.
        protocol: "honest", or the leaky "paper" (see `SPLIT_OF`).
        split_by: "time", or the leaky "random"; that of the protocol where None.
        split_seed: of the random split; models are compared on the same rows.
        shares: of training, validation and test.
        liked_rating: a rating from here on is a like.
        likelihood: Parquet file or folder of true like-probabilities (`user_id`, `movie_id`,
            `event_timestamp`, `like_probability`); the best attainable AUC is then given too.
        versions: Delta versions to record as read, by table, where `store` was opened with them; the label
            table is read at its own. None: the newest.
        on_progress: called after each epoch of a network.

    Raises:
        MarqueeError: an unknown model or setting, no labels, or labels that the join lost.
    """
    entry = entry_of(model)
    entry.config_class.of(config)
    prepared = prepare(
        store, lake, entry.service, protocol=protocol, liked_rating=liked_rating, versions=versions
    )
    return train_on(
        prepared,
        model,
        out,
        seed=seed,
        config=config,
        split_by=split_by,
        split_seed=split_seed,
        shares=shares,
        likelihood=likelihood,
        on_progress=on_progress,
    )


@dataclass(frozen=True, slots=True)
class Prepared:
    """Labels with the features of a service, ready to train any of its models on.

    Args:
        table: the labels, `liked`, and the features, unless they are streamed.
        service: feature service.
        protocol: that the features were joined by.
        liked_rating: a rating from here on is a like.
        versions: Delta version of each table read.
        asked: label rows that went into the join.
        file: Parquet that the features are streamed from, with the rows of `table`; None where that has them.
        block: rows of the file that memory holds at once.
    """

    table: pa.Table
    service: str
    protocol: str
    liked_rating: float
    versions: dict[str, int]
    asked: int
    file: Path | None = None
    block: int = BLOCK


def prepare(
    store: "FeatureStore",
    lake: Path,
    service: str,
    *,
    protocol: str = "honest",
    liked_rating: float = schema.LIKED_RATING,
    versions: Mapping[str, int] | None = None,
) -> Prepared:
    """Read the labels and join the features of a service.

    Args, Raises:
        As of `train`.
    """
    check_protocol(protocol)
    version = (versions or {}).get(schema.RATINGS.name)
    labels = read_labels(lake, threshold=liked_rating, version=version)
    return Prepared(
        table=_features(store, service, labels.table, protocol),
        service=service,
        protocol=protocol,
        liked_rating=liked_rating,
        versions={**_versions(store, service), schema.RATINGS.name: labels.version},
        asked=labels.table.num_rows,
    )


def prepare_file(
    file: Path, service: str, *, liked_rating: float = schema.LIKED_RATING, block: int = BLOCK
) -> Prepared:
    """Take a data set that was joined before, of any size: its features stay in the file.

    Args:
        file: Parquet, as `marquee features dataset` makes it from labels with `liked` or `rating`.
        service: whose features it has.
        liked_rating: a rating from here on is a like, where the file has no `liked`.
        block: rows that memory holds, and that are shuffled, at once.

    Raises:
        MarqueeError: the file cannot be read, lacks a column, or has no rows.
    """
    table = read_narrow(file, liked_rating)
    return Prepared(table, service, "honest", liked_rating, {}, table.num_rows, file, block)


def train_on(
    prepared: Prepared,
    model: str,
    out: Path,
    *,
    seed: int = 0,
    config: Mapping[str, Any] | None = None,
    split_by: str | None = None,
    split_seed: int = 0,
    shares: tuple[float, float, float] = SHARES,
    likelihood: Path | None = None,
    on_progress: Progress | None = None,
) -> Result:
    """Split, inputs, model, metrics; the artefact is written to `out`.

    Args, Raises:
        As of `train`.
    """
    entry = entry_of(model)
    settings = entry.config_class.of(config)
    if entry.service != prepared.service:
        raise MarqueeError(
            f"{model} reads {entry.service}, but the features are those of {prepared.service}."
        )
    if prepared.file is not None and entry.kind != "keras":
        raise MarqueeError(f"{model} needs all rows in memory: networks only are trained on a stream.")
    with rows_of(prepared.table, prepared.file, prepared.block, out) as rows:
        return _train_on(
            prepared, rows, entry, settings, out, seed, split_by, split_seed, shares, likelihood, on_progress
        )


def _train_on(
    prepared: Prepared,
    rows: Rows,
    entry: Entry,
    settings: ModelConfig,
    out: Path,
    seed: int,
    split_by: str | None,
    split_seed: int,
    shares: tuple[float, float, float],
    likelihood: Path | None,
    on_progress: Progress | None,
) -> Result:
    model, table, protocol = entry.key, prepared.table, prepared.protocol
    parts = split(table, split_by or SPLIT_OF[protocol], shares=shares, seed=split_seed)
    leaky = parts.leaky or protocol == "paper"
    liked = flags(table)
    spec = rows.fit(parts.train, entry.service, settings.inputs)
    train, valid, test = rows.arrays(spec, parts.train, parts.valid, parts.test)
    packages, data = artefacts.package_versions(), rows.fingerprint()
    backend = _backend() if entry.kind == "keras" else ""
    made_of = [model, settings.model_dump(mode="json"), seed, data, protocol]
    made_of += [parts.strategy, split_seed, shares, prepared.block, backend, packages]
    checkpoint = Checkpoint(out.with_name(f".{out.name}.checkpoint"), digest({"made of": made_of}))
    state = checkpoint.read() if entry.kind == "keras" else None
    predictor, curve = predictors.fit(
        entry,
        settings,
        spec,
        train,
        liked[parts.train],
        valid,
        liked[parts.valid],
        seed=seed,
        on_progress=on_progress,
        checkpoint=checkpoint,
    )
    chosen_on = predictor.predict(valid)
    threshold = best_threshold(liked[parts.valid], chosen_on)
    if settings.refit:
        every = np.sort(np.concatenate([parts.train, parts.valid]))
        spec = rows.fit(every, entry.service, settings.inputs)
        both, test = rows.arrays(spec, every, parts.test)
        predictor = predictors.refit(entry, settings, spec, both, liked[every], curve, seed=seed)
    scores = predictor.predict(test)
    metrics = measure(liked[parts.test], scores, threshold)
    validation = measure(liked[parts.valid], chosen_on, threshold)
    predictions = _predictions(table.take(parts.test), scores)
    best = None if likelihood is None else best_attainable_auc(predictions, likelihood)
    share = None if best is None else attainable_share(metrics["roc_auc"], best)
    sizes = {"train": len(parts.train), "valid": len(parts.valid), "test": len(parts.test)}
    manifest = Manifest(
        model=model,
        service=prepared.service,
        seed=seed,
        split={
            "strategy": parts.strategy,
            "shares": list(shares),
            "seed": split_seed,
            "leaky": leaky,
        },
        protocol=protocol,
        liked_rating=prepared.liked_rating,
        versions=prepared.versions,
        rows={"asked": prepared.asked, "returned": table.num_rows, **sizes},
        backend=backend,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        packages=packages,
        data=data,
    )
    written = {
        "test": dict(metrics),
        "validation": dict(validation),
        "best_attainable_auc": best,
        "attainable_share": share,
    }
    artefacts.save(Artefact(manifest, settings, predictor, written, curve, predictions), out)
    checkpoint.remove()
    return Result(
        model=model,
        folder=out,
        metrics=metrics,
        validation=validation,
        labels_asked=prepared.asked,
        labels_returned=table.num_rows,
        rows=sizes,
        leaky=leaky,
        best_auc=best,
        attainable=share,
        resumed=0 if state is None else state.epoch,
    )


def evaluate(folder: Path, store: "FeatureStore", lake: Path) -> Metrics:
    """Score an artefact again on its test rows, with their features joined anew from the store.

    Args:
        folder: of the artefact.
        store: an applied feature store.
        lake: the folder of the Delta tables; the test rows must still be among its ratings.

    Raises:
        MarqueeError: test rows are gone from the ratings, or features of another shape.
    """
    artefact = artefacts.load(folder)
    rows = artefact.predictions.select([*KEYS, LIKED])
    labels = read_labels(lake, threshold=artefact.manifest.liked_rating).table.select([*KEYS, LIKED])
    found = rows.join(labels, [*KEYS, LIKED], join_type="left semi").num_rows
    if found != rows.num_rows:
        raise MarqueeError(
            f"{rows.num_rows - found} of the {rows.num_rows} test rows of {folder} are not among the ratings "
            f"of {lake}: evaluate it on the home that it was trained in."
        )
    table = _features(store, artefact.manifest.service, rows, artefact.manifest.protocol)
    return measure(flags(table), artefact.predict(table), artefact.metrics["test"]["threshold"])


def check_protocol(protocol: str) -> None:
    """Refuse an unknown protocol.

    Raises:
        MarqueeError: naming those there are.
    """
    if protocol not in SPLIT_OF:
        raise MarqueeError(f"Unknown protocol '{protocol}': choose one of {', '.join(SPLIT_OF)}.")


def _features(store: "FeatureStore", service: str, labels: pa.Table, protocol: str) -> pa.Table:
    """Labels with features: the same rows in the same order, or an error.

    Under the paper's protocol every label sees the newest feature rows, those after it and its own included.
    """
    from training.data.dataset import point_in_time

    instant = schema.EVENT_TIMESTAMP
    asked = labels
    if protocol == "paper":
        end = pa.scalar(datetime(2200, 1, 1, tzinfo=UTC), pa.timestamp("us", "UTC"))
        place = labels.column_names.index(instant)
        asked = labels.set_column(place, instant, pa.repeat(end, labels.num_rows))
    table = point_in_time(store, service, asked)
    if protocol == "paper" and table.num_rows == labels.num_rows:
        table = table.set_column(table.column_names.index(instant), instant, labels[instant])
    same = table.num_rows == labels.num_rows and all(
        pc.all(pc.equal(table[key].cast(pa.int64()), labels[key].cast(pa.int64()))).as_py() for key in KEYS
    )
    if not same:
        raise MarqueeError(
            f"{labels.num_rows} labels went into the join of {service} and {table.num_rows} rows came out, "
            "or in another order: the offline store is at fault."
        )
    return table


def _versions(store: "FeatureStore", service: str) -> dict[str, int]:
    from feature_repo.store import table_versions

    return table_versions(store, [view.name for view in schema.SERVICES[service]])


def flags(table: pa.Table) -> np.ndarray:
    """Which rows were liked, bool (rows,)."""
    liked: np.ndarray = table[LIKED].to_numpy(zero_copy_only=False)
    return liked.astype(bool)


def _predictions(test: pa.Table, scores: np.ndarray) -> pa.Table:
    return test.select([*KEYS, LIKED]).append_column(SCORE, pa.array(scores))


def _backend() -> str:
    from training.backend import keras

    return str(keras.backend.backend())
