"""MMDIN's table: every model, every ablation, both protocols, several seeds; resumable, cell by cell.

A cell is one training: protocol, variant, seed. Its artefact says what made it; a finished cell of the same
making is not trained again.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from common.errors import MarqueeError
from common.files import write_atomically
from feature_repo import schema
from training import artefact as artefacts
from training.bootstrap import REPLICATES, Interval, auc_difference
from training.models import model as entry_of
from training.run import Prepared, check_protocol, prepare, train_on

if TYPE_CHECKING:
    from feast import FeatureStore

METRICS = ("roc_auc", "pr_auc", "f1", "precision", "recall", "log_loss")
CELL = "cell.json"
RESULTS = "results.json"
REFERENCE = "din"
"""Differences are to this variant."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of the table.

    Args:
        key: names its cells.
        title: for people.
        model: key in the zoo.
        config: what differs from the model's defaults.
        paper: the paper's own figures for the row, by metric; empty where it has none.
        ablation: whether it is MMDIN with a part taken out.
    """

    key: str
    title: str
    model: str
    config: Mapping[str, Any] = field(default_factory=dict)
    paper: Mapping[str, float] = field(default_factory=dict)
    ablation: bool = False


def _paper(*figures: float) -> dict[str, float]:
    return dict(zip(METRICS, figures, strict=False))


TABLE: tuple[Variant, ...] = (
    Variant("neuralcf", "NeuralCF", "neuralcf", paper=_paper(0.7295, 0.7516, 0.7270, 0.6717, 0.7707)),
    Variant(
        "embedding_mlp",
        "Embedding MLP",
        "embedding_mlp",
        paper=_paper(0.7553, 0.7731, 0.7470, 0.6880, 0.7920),
    ),
    Variant("deepfm", "DeepFM", "deepfm", paper=_paper(0.7802, 0.7956, 0.7540, 0.7131, 0.7881)),
    Variant("din", "DIN", "din", paper=_paper(0.7870, 0.8011, 0.7590, 0.7184, 0.7889)),
    Variant("mmdin", "MMDIN", "mmdin", paper=_paper(0.8006, 0.8149, 0.7670, 0.7327, 0.7883)),
    Variant("gbt", "Gradient-boosted trees", "gbt"),
    Variant("logistic", "Logistic regression", "logistic"),
    Variant("no_multimodal", "MMDIN without posters", "mmdin", {"multimodal": False}, ablation=True),
    Variant("one_head", "MMDIN with one head", "mmdin", {"heads": 1}, ablation=True),
    Variant("no_resnet", "MMDIN with an MLP for the ResNet", "mmdin", {"tower": "mlp"}, ablation=True),
    Variant("sum_pooling", "MMDIN with sum pooling", "mmdin", {"pooling": "sum"}, ablation=True),
)
"""The paper's Table 1, the references that a network has to beat, and the ablations."""


@dataclass(frozen=True, slots=True)
class Row:
    """One variant under one protocol.

    Args:
        variant, title: which.
        protocol: "honest", or the leaky "paper".
        seeds: that were trained.
        mean, deviation: of each metric over the seeds (deviation of the sample; 0 for one seed).
        difference: of the mean ROC-AUC to the reference; None for the reference itself.
        best_auc: best attainable, where it is known.
    """

    variant: str
    title: str
    protocol: str
    seeds: int
    mean: dict[str, float]
    deviation: dict[str, float]
    difference: Interval | None
    best_auc: float | None


@dataclass(frozen=True, slots=True)
class Gap:
    """What one leak alone is worth, to one model.

    Args:
        leak: "random split", or the view that was replaced by its values over the whole data.
        auc: mean ROC-AUC over the seeds with that leak only.
        gain: over the honest protocol.
    """

    leak: str
    auc: float
    gain: float


@dataclass(frozen=True, slots=True)
class Results:
    """All that was found."""

    rows: tuple[Row, ...]
    gaps: tuple[Gap, ...] = ()


Report = Callable[[int, int, str], None]
"""Called with (cells done, of, what)."""


def reproduce(
    store: "FeatureStore",
    lake: Path,
    out: Path,
    *,
    seeds: int = 5,
    protocols: Sequence[str] = ("honest", "paper"),
    variants: Sequence[Variant] = TABLE,
    gaps: bool = True,
    likelihood: Path | None = None,
    config: Mapping[str, Mapping[str, Any]] | None = None,
    replicates: int = REPLICATES,
    on_cell: Report | None = None,
) -> Results:
    """Train what is missing of the table, then put it together; `results.json` is written into `out`.

    Args:
        store: an applied feature store over the lake.
        lake: the folder of the Delta tables.
        out: folder of the cells.
        seeds: trainings of each variant: seeds 0, 1, …
        protocols: of "honest" and "paper".
        variants: rows of the table.
        gaps: measure what each leak is worth to the reference too.
        likelihood: true like-probabilities, where they are known.
        config: settings by model, over its defaults and under a variant's own.
        replicates: of the bootstrap.
        on_cell: told of each cell.

    Raises:
        MarqueeError: no seeds, no reference among the variants, or as `train`.
    """
    if seeds < 1:
        raise MarqueeError(f"A table needs at least one seed, not {seeds}.")
    for protocol in protocols:
        check_protocol(protocol)
    if REFERENCE not in {variant.key for variant in variants}:
        raise MarqueeError(f"The table needs {REFERENCE}, to which all others are compared.")
    config = config or {}
    reference = next(variant for variant in variants if variant.key == REFERENCE)
    leaks = _leaks(reference) if gaps and "honest" in protocols else ()
    total = seeds * (len(variants) * len(protocols) + len(leaks))
    done = 0

    def told(what: str) -> None:
        nonlocal done
        done += 1
        if on_cell is not None:
            on_cell(done, total, what)

    cells: dict[tuple[str, str], list[Path]] = {}
    joined: dict[tuple[str, str], Prepared] = {}
    for protocol in protocols:
        for variant in variants:
            service = entry_of(variant.model).service
            if (protocol, service) not in joined:
                joined[protocol, service] = prepare(store, lake, service, protocol=protocol)
            settings = {**config.get(variant.model, {}), **variant.config}
            folders = []
            for seed in range(seeds):
                folder = out / "cells" / protocol / variant.key / str(seed)
                _cell(joined[protocol, service], variant.model, folder, seed, settings, likelihood)
                folders.append(folder)
                told(f"{protocol} {variant.title}, seed {seed}")
            cells[protocol, variant.key] = folders
    found = []
    service = entry_of(reference.model).service
    for leak in leaks:
        folders = []
        if leak == RANDOM_SPLIT:
            given, split_by = joined["honest", service], "random"
        else:
            whole = joined.get(("paper", service)) or prepare(store, lake, service, protocol="paper")
            joined["paper", service] = whole
            given, split_by = _with_leak(joined["honest", service], whole, leak), None
        for seed in range(seeds):
            folder = out / "cells" / "leaks" / leak.replace(" ", "_") / str(seed)
            settings = dict(config.get(reference.model, {}))
            _cell(given, reference.model, folder, seed, settings, None, leak, split_by)
            folders.append(folder)
            told(f"only the leak of {leak}, seed {seed}")
        auc = _mean_auc(folders)
        found.append(Gap(leak, auc, auc - _mean_auc(cells["honest", REFERENCE])))
    rows = tuple(
        _row(variant, protocol, cells[protocol, variant.key], cells[protocol, REFERENCE], replicates)
        for protocol in protocols
        for variant in variants
    )
    results = Results(rows, tuple(found))
    write_atomically(out / RESULTS, json.dumps(asdict(results), indent=2) + "\n")
    return results


def read_results(out: Path) -> Results:
    """What `reproduce` wrote.

    Raises:
        MarqueeError: there is nothing, or it is damaged.
    """
    path = out / RESULTS
    try:
        found = json.loads(path.read_text())
        rows = tuple(
            Row(**{**row, "difference": None if row["difference"] is None else Interval(**row["difference"])})
            for row in found["rows"]
        )
        return Results(rows, tuple(Gap(**gap) for gap in found["gaps"]))
    except OSError as error:
        raise MarqueeError(f"There are no results at {path}: run `marquee reproduce` first.") from error
    except (ValueError, TypeError, KeyError) as error:
        raise MarqueeError(f"{path} is damaged: {error}.") from error


def markdown(results: Results, command: str, variants: Sequence[Variant] = TABLE) -> str:
    """The table in the paper's layout, beside the paper's figures, generated from results alone.

    Args:
        results: from `reproduce`.
        command: that made them; stands above the tables.
        variants: for the paper's figures.
    """
    shown = METRICS[:5]
    paper = {variant.key: variant.paper for variant in variants}
    lines = [
        "# MMDIN, reproduced",
        "",
        f"Generated by `{command}`. Test rows; mean ± deviation over seeds.",
        "",
    ]
    headings = {
        "honest": "## Honest: features strictly before each label, split in time",
        "paper": "## The paper's: statistics of the whole data, random split. **It leaks the future.**",
    }
    for protocol in dict.fromkeys(row.protocol for row in results.rows):
        lines += [headings[protocol], ""]
        best = next((row.best_auc for row in results.rows if row.protocol == protocol), None)
        if best is not None:
            lines += [f"Best attainable ROC-AUC on these rows: {best:.4f}.", ""]
        lines += [
            "| model | ROC-AUC | PR-AUC | F1 | precision | recall | paper's ROC-AUC | ROC-AUC less DIN's |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for row in results.rows:
            if row.protocol != protocol:
                continue
            values = [f"{row.mean[name]:.4f} ± {row.deviation[name]:.4f}" for name in shown]
            theirs = paper.get(row.variant, {}).get("roc_auc")
            lines.append(
                f"| {row.title} | {' | '.join(values)} | "
                f"{'' if theirs is None else f'{theirs:.4f}'} | {_difference(row.difference)} |"
            )
        lines.append("")
    lines += ["Differences: mean over seeds, 95 % interval of a paired bootstrap over test rows.", ""]
    if results.gaps:
        lines += [
            "## What each leak is worth to DIN, alone",
            "",
            "| leak | ROC-AUC | over honest |",
            "|---|---|---|",
            *(f"| {gap.leak} | {gap.auc:.4f} | {gap.gain:+.4f} |" for gap in results.gaps),
            "",
        ]
    return "\n".join(lines)


def _difference(found: Interval | None) -> str:
    if found is None:
        return ""
    noise = "" if found.beyond_noise else ", within noise"
    return f"{found.difference:+.4f} ({found.low:+.4f} to {found.high:+.4f}{noise})"


RANDOM_SPLIT = "random split"


def _leaks(reference: Variant) -> tuple[str, ...]:
    """The split, and each view whose values change with time."""
    views = schema.SERVICES[entry_of(reference.model).service]
    timeless = {view.name for view in (schema.MOVIE_CONTENT, schema.MOVIE_POSTER_COLOUR)}
    return (RANDOM_SPLIT, *(view.name for view in views if view.name not in timeless))


def _with_leak(honest: Prepared, whole: Prepared, view: str) -> Prepared:
    """Honest features, but one view's of the whole data."""
    table: pa.Table = honest.table
    for column in schema.TABLES[view].columns:
        place = table.column_names.index(column.name)
        table = table.set_column(place, column.name, whole.table[column.name])
    return Prepared(
        table, honest.service, honest.protocol, honest.liked_rating, honest.versions, honest.asked
    )


def _cell(
    prepared: Prepared,
    model: str,
    folder: Path,
    seed: int,
    config: Mapping[str, Any],
    likelihood: Path | None,
    leak: str = "",
    split_by: str | None = None,
) -> None:
    """Train one cell unless a finished one was made of the same."""
    settings = entry_of(model).config_class.of(config)
    made_of = {
        "model": model,
        "seed": seed,
        "protocol": prepared.protocol,
        "leak": leak,
        "split_by": split_by,
        "liked_rating": prepared.liked_rating,
        "versions": prepared.versions,
        "config": settings.model_dump(mode="json"),
        "likelihood": None if likelihood is None else str(likelihood),
    }
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
    mark = folder.parent / f"{folder.name}.{CELL}"
    if mark.is_file() and (folder / artefacts.METRICS).is_file() and mark.read_text().strip() == digest:
        return
    mark.unlink(missing_ok=True)
    train_on(prepared, model, folder, seed=seed, config=config, split_by=split_by, likelihood=likelihood)
    # Last: a cell that was cut off has no mark, and is trained again.
    write_atomically(mark, digest + "\n")


def _mean_auc(folders: Sequence[Path]) -> float:
    return float(np.mean([artefacts.read_metrics(folder)["test"]["roc_auc"] for folder in folders]))


def _row(
    variant: Variant, protocol: str, folders: Sequence[Path], reference: Sequence[Path], replicates: int
) -> Row:
    metrics = [artefacts.read_metrics(folder) for folder in folders]
    values = {name: [found["test"][name] for found in metrics] for name in METRICS}
    difference = None
    if variant.key != REFERENCE:
        mine, theirs = ([artefacts.read_predictions(f) for f in side] for side in (folders, reference))
        liked: np.ndarray = mine[0]["liked"].to_numpy(zero_copy_only=False).astype(bool)
        difference = auc_difference(
            liked,
            [table[artefacts.SCORE].to_numpy() for table in mine],
            [table[artefacts.SCORE].to_numpy() for table in theirs],
            replicates=replicates,
        )
    return Row(
        variant=variant.key,
        title=variant.title,
        protocol=protocol,
        seeds=len(folders),
        mean={name: float(np.mean(found)) for name, found in values.items()},
        deviation={
            name: float(np.std(found, ddof=1)) if len(found) > 1 else 0.0 for name, found in values.items()
        },
        difference=difference,
        best_auc=metrics[0]["best_attainable_auc"],
    )
