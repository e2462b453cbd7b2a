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
from training.data.fingerprint import fingerprint
from training.data.splits import split
from training.evaluate.attainable import true_likelihood
from training.evaluate.bootstrap import REPLICATES, Interval, auc_difference
from training.evaluate.metrics import attainable_share, roc_auc
from training.fit import artefact as artefacts
from training.fit.run import SPLIT_OF, Prepared, check_protocol, flags, prepare, train_on
from training.fit.tuned import committed
from training.models import model as entry_of
from training.papers.table import FULL, METRICS, REFERENCE, TABLE, Variant
from training.settings import merged

if TYPE_CHECKING:
    from feast import FeatureStore

CELL = "cell.json"
RESULTS = "results.json"


@dataclass(frozen=True, slots=True)
class Row:
    """One variant under one protocol.

    Args:
        variant, title: which.
        protocol: "honest", or the leaky "paper".
        seeds: that were trained.
        mean, deviation: of each metric over the seeds (deviation of the sample; 0 for one seed).
        difference: of the mean ROC-AUC to the reference; None for the reference itself.
        ablated: of an ablation, the same to the full model; None for others.
        best_auc: best attainable, where it is known.
        share: mean share of the attainable gain, where that is known.
    """

    variant: str
    title: str
    protocol: str
    seeds: int
    mean: dict[str, float]
    deviation: dict[str, float]
    difference: Interval | None
    ablated: Interval | None
    best_auc: float | None
    share: float | None


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
class HistoryBand:
    """Test rows whose user had given so many ratings before, where the best attainable is known.

    Args:
        protocol: of the rows.
        low, high: the fewest and the most ratings; None for no upper end.
        rows: how many.
        best_auc: best attainable on them.
        auc: mean ROC-AUC over the seeds, by variant.
    """

    protocol: str
    low: int
    high: int | None
    rows: int
    best_auc: float
    auc: dict[str, float]

    def share(self, variant: str) -> float:
        """Of the attainable gain."""
        return attainable_share(self.auc[variant], self.best_auc)


@dataclass(frozen=True, slots=True)
class Results:
    """All that was found.

    Args:
        rows: of the table.
        gaps: what each leak is worth.
        gap_model: title of the model that they were measured on.
        parts: by protocol and part, liked rows and all rows.
        bands: by length of the user's history; none where the truth is not known.
        made_with: what trained the networks: backend and versions.
    """

    rows: tuple[Row, ...]
    gaps: tuple[Gap, ...] = ()
    gap_model: str = ""
    parts: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    bands: tuple[HistoryBand, ...] = ()
    made_with: str = ""


BANDS = ((0, 0), (1, 4), (5, 19), (20, 99), (100, None))
"""Lengths of history that are told apart."""
FEWEST = 100
"""Bands of fewer rows, or of one class only, are left out."""
Report = Callable[[int, int, str, bool], None]
"""Called with (cells done, of, what, whether it was trained just now)."""
Configure = Callable[[str, str], Mapping[str, Any]]
"""From model and protocol to settings over the model's defaults."""


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
    configure: Configure = committed,
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
        gaps: where both protocols are asked for, measure what each leak is worth to the full model too (to
            the reference, where that is not among the variants).
        likelihood: true like-probabilities, where they are known.
        configure: settings over a model's defaults and under a variant's own; the committed ones.
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
    keys = {variant.key: variant for variant in variants}
    leaky = keys.get(FULL, keys[REFERENCE])
    leaks = _leaks(leaky) if gaps and set(SPLIT_OF) <= set(protocols) else ()
    total = seeds * (len(variants) * len(protocols) + len(leaks))
    done = 0

    def told(what: str, trained: bool) -> None:
        nonlocal done
        done += 1
        if on_cell is not None:
            on_cell(done, total, what, trained)

    cells: dict[tuple[str, str], list[Path]] = {}
    joined: dict[tuple[str, str], Prepared] = {}
    for protocol in protocols:
        for variant in variants:
            service = entry_of(variant.model).service
            if (protocol, service) not in joined:
                joined[protocol, service] = prepare(store, lake, service, protocol=protocol)
            settings = merged(configure(variant.model, protocol), variant.config)
            folders = []
            for seed in range(seeds):
                folder = out / "cells" / protocol / variant.key / str(seed)
                trained = _cell(joined[protocol, service], variant.model, folder, seed, settings, likelihood)
                folders.append(folder)
                told(f"{protocol} {variant.title}, seed {seed}", trained)
            cells[protocol, variant.key] = folders
    found = []
    service = entry_of(leaky.model).service
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
            settings = dict(configure(leaky.model, "honest"))
            trained = _cell(given, leaky.model, folder, seed, settings, None, leak, split_by)
            folders.append(folder)
            told(f"only the leak of {leak}, seed {seed}", trained)
        auc = _mean_auc(folders)
        found.append(Gap(leak, auc, auc - _mean_auc(cells["honest", leaky.key])))
    rows = []
    parts = {}
    bands: list[HistoryBand] = []
    for protocol in protocols:
        of_protocol = {variant.key: cells[protocol, variant.key] for variant in variants}
        rows += [_row(variant, protocol, of_protocol, replicates) for variant in variants]
        table = joined[protocol, entry_of(keys[REFERENCE].model).service].table
        cut = split(table, SPLIT_OF[protocol])
        liked = flags(table)
        parts[protocol] = {
            name: (int(liked[part].sum()), len(part))
            for name, part in (("training", cut.train), ("validation", cut.valid), ("test", cut.test))
        }
        if likelihood is not None:
            bands += _bands(protocol, of_protocol, earlier_ratings(table)[cut.test], likelihood)
    results = Results(
        tuple(rows),
        tuple(found),
        leaky.title if leaks else "",
        parts,
        tuple(bands),
        made_with([folder for of_variant in cells.values() for folder in of_variant]),
    )
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
        intervals = ("difference", "ablated")
        return Results(
            rows=tuple(
                Row(**row | {name: row[name] and Interval(**row[name]) for name in intervals})
                for row in found["rows"]
            ),
            gaps=tuple(Gap(**gap) for gap in found["gaps"]),
            gap_model=found["gap_model"],
            parts={
                protocol: {name: (liked, rows) for name, (liked, rows) in parts.items()}
                for protocol, parts in found["parts"].items()
            },
            bands=tuple(HistoryBand(**band) for band in found["bands"]),
            made_with=found.get("made_with", ""),
        )
    except OSError as error:
        raise MarqueeError(f"There are no results at {path}: run `marquee reproduce` first.") from error
    except (ValueError, TypeError, KeyError) as error:
        raise MarqueeError(f"{path} is damaged: {error}.") from error


def made_with(cells: Sequence[Path]) -> str:
    """What trained the networks among `cells`: "Keras 3.15.1 on jax 0.10.2", such as there are."""
    found = set()
    for folder in cells:
        manifest = artefacts.read_manifest(folder)
        if manifest.backend:
            keras, backend = (manifest.packages.get(name, "?") for name in ("keras", manifest.backend))
            found.add(f"Keras {keras} on {manifest.backend} {backend}")
    return " and ".join(sorted(found))


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
) -> bool:
    """Train one cell unless a finished one was made of the same; whether it was trained."""
    settings = entry_of(model).config_class.of(config)
    made_of = {
        "model": model,
        "seed": seed,
        "protocol": prepared.protocol,
        "leak": leak,
        "split_by": split_by,
        "liked_rating": prepared.liked_rating,
        "versions": prepared.versions,
        "data": fingerprint(prepared.table),
        "config": settings.model_dump(mode="json"),
        "likelihood": None if likelihood is None else str(likelihood),
    }
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
    mark = folder.parent / f"{folder.name}.{CELL}"
    if mark.is_file() and (folder / artefacts.METRICS).is_file() and mark.read_text().strip() == digest:
        return False
    mark.unlink(missing_ok=True)
    train_on(prepared, model, folder, seed=seed, config=config, split_by=split_by, likelihood=likelihood)
    # Last: a cell that was cut off has no mark, and is trained again.
    write_atomically(mark, digest + "\n")
    return True


def _mean_auc(folders: Sequence[Path]) -> float:
    return float(np.mean([artefacts.read_metrics(folder)["test"]["roc_auc"] for folder in folders]))


def _row(variant: Variant, protocol: str, cells: Mapping[str, Sequence[Path]], replicates: int) -> Row:
    folders = cells[variant.key]
    metrics = [artefacts.read_metrics(folder) for folder in folders]
    values = {name: [found["test"][name] for found in metrics] for name in METRICS}

    def less(other: str) -> Interval | None:
        if other == variant.key or other not in cells:
            return None
        mine, theirs = ([artefacts.read_predictions(f) for f in side] for side in (folders, cells[other]))
        return auc_difference(
            flags(mine[0]),
            [table[artefacts.SCORE].to_numpy() for table in mine],
            [table[artefacts.SCORE].to_numpy() for table in theirs],
            replicates=replicates,
        )

    shares = [found["attainable_share"] for found in metrics]
    return Row(
        variant=variant.key,
        title=variant.title,
        protocol=protocol,
        seeds=len(folders),
        mean={name: float(np.mean(found)) for name, found in values.items()},
        deviation={
            name: float(np.std(found, ddof=1)) if len(found) > 1 else 0.0 for name, found in values.items()
        },
        difference=less(REFERENCE),
        ablated=less(FULL) if variant.ablation else None,
        best_auc=metrics[0]["best_attainable_auc"],
        share=None if None in shares else float(np.mean(shares)),
    )


def earlier_ratings(table: pa.Table) -> np.ndarray:
    """How many ratings each row's user had given strictly before it, int64 (rows,).

    Args:
        table: all labels.
    """
    frame = table.select(["user_id", schema.EVENT_TIMESTAMP]).to_pandas()
    ranks = frame.groupby("user_id")[schema.EVENT_TIMESTAMP].rank(method="min")
    earlier: np.ndarray = ranks.to_numpy().astype(np.int64) - 1
    return earlier


def _bands(
    protocol: str, cells: Mapping[str, Sequence[Path]], lengths: np.ndarray, likelihood: Path
) -> list[HistoryBand]:
    """The test rows by length of history.

    Args:
        lengths: of the test rows, int64 (rows,).
    """
    scores = {
        key: [artefacts.read_predictions(folder)[artefacts.SCORE].to_numpy() for folder in folders]
        for key, folders in cells.items()
    }
    rows = artefacts.read_predictions(next(iter(cells.values()))[0])
    liked, truth = flags(rows), true_likelihood(rows, likelihood)
    found = []
    for low, high in BANDS:
        here = (lengths >= low) & (lengths <= (np.inf if high is None else high))
        if here.sum() < FEWEST or len(np.unique(liked[here])) < 2:
            continue
        auc = {
            key: float(np.mean([roc_auc(liked[here], seed[here]) for seed in seeds]))
            for key, seeds in scores.items()
        }
        best = roc_auc(liked[here], truth[here])
        found.append(HistoryBand(protocol, low, high, int(here.sum()), best, auc))
    return found
