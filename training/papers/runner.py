"""Reproducing a paper: every variant, under every protocol, for every seed; then its studies.

A cell is one training: protocol, variant, seed. What is finished is not trained again.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import MarqueeError
from training.config import merged
from training.data.log import features_of, prepare_log
from training.data.prepared import Prepared, prepare
from training.evaluate.attention import mean_attention
from training.evaluate.bootstrap import REPLICATES, Interval, paired_difference
from training.evaluate.metrics import better
from training.fit import artefact as artefacts
from training.fit.configuration import committed
from training.models.fields import field_names
from training.papers.cells import made_with, mean_of, metrics_of, scores_of, train_cell
from training.papers.paper import Paper, Variant
from training.papers.results import Attention, HistoryBand, LeakWorth, Results, VariantResult, write_results
from training.papers.studies import RANDOM_SPLIT, earlier_events, history_bands, leaks_of, with_leak
from training.recipe import SPLIT_OF, Recipe
from training.tasks import happened, objective_of

if TYPE_CHECKING:
    from feast import FeatureStore

ATTENDED = 1_000_000
"""Rows that attention is the mean of, at most."""
OnCell = Callable[[int, int, str, bool], None]
"""Called with (cells done, of, what, whether it was trained just now)."""
Configure = Callable[[str, str], Mapping[str, Any]]
"""From model and the name of its configuration to settings over the model's defaults."""


def reproduce(
    paper: Paper,
    store: "FeatureStore | None",
    lake: Path,
    out: Path,
    *,
    seeds: int = 5,
    protocols: Sequence[str] | None = None,
    truth: Path | None = None,
    configure: Configure = committed,
    replicates: int = REPLICATES,
    on_cell: OnCell | None = None,
) -> Results:
    """Train what is missing of a paper's table, then put it together; `results.json` is written into `out`.

    Args:
        paper: which.
        store: an applied feature store over the lake; None for a paper on a log.
        lake: the folder of the Delta tables.
        out: folder of the cells.
        seeds: trainings of each variant: seeds 0, 1, …
        protocols: of those of the paper; all where None. Leaks are studied where it is all.
        truth: true probabilities of the labels, where they are known.
        configure: settings over a model's defaults and under a variant's own; the committed ones.
        replicates: of the bootstrap.
        on_cell: told of each cell.

    Raises:
        MarqueeError: no seeds, an unknown protocol, a paper that cannot be trained, or as `train_on`.
    """
    chosen = check_request(paper, seeds, protocols)
    return _Run(paper, store, lake, out, seeds, chosen, truth, configure, replicates, on_cell).results()


def check_request(paper: Paper, seeds: int, protocols: Sequence[str] | None) -> tuple[str, ...]:
    """The protocols to train under, each once, in the order asked for.

    Raises:
        MarqueeError: no seeds, an unknown protocol, or a paper whose rows cannot be trained or compared.
    """
    if seeds < 1:
        raise MarqueeError(f"A table needs at least one seed, not {seeds}.")
    chosen = tuple(paper.protocols if protocols is None else dict.fromkeys(protocols))
    for protocol in chosen:
        paper.check_protocol(protocol)
    if not chosen:
        raise MarqueeError(f"A table needs a protocol: {' or '.join(paper.protocols)}.")
    paper.check()
    return chosen


class _Run:
    """One call of `reproduce`: joins each service once under each protocol, and counts cells."""

    def __init__(
        self,
        paper: Paper,
        store: "FeatureStore | None",
        lake: Path,
        out: Path,
        seeds: int,
        protocols: tuple[str, ...],
        truth: Path | None,
        configure: Configure,
        replicates: int,
        on_cell: OnCell | None,
    ) -> None:
        self.paper = paper
        self.store = store
        self.lake = lake
        self.out = out
        self.seeds = seeds
        self.protocols = protocols
        self.truth = truth
        self.configure = configure
        self.replicates = replicates
        self.on_cell = on_cell
        self.joined: dict[tuple[str, str, str], Prepared] = {}
        self.done = 0

    def results(self) -> Results:
        """All that the paper asks for; `results.json` is written."""
        paper = self.paper
        leaky = self._leak_variant()
        self.total = self.seeds * sum(len(paper.rows_under(protocol)) for protocol in self.protocols)
        if leaky is not None:
            self.total += self.seeds * len(leaks_of(self._prepared(self._recipe(leaky, "honest", 0))))
        cells = {
            protocol: {
                variant.key: self._variant_cells(variant, protocol) for variant in paper.rows_under(protocol)
            }
            for protocol in self.protocols
        }
        leaks = () if leaky is None else self._leaks(leaky, cells["honest"][leaky.key])
        parts, bands = self._parts(cells)
        self.compared = {protocol: self._reference(cells[protocol]) for protocol in self.protocols}
        results = Results(
            rows=tuple(
                self._row(variant, protocol, cells[protocol])
                for protocol in self.protocols
                for variant in paper.rows_under(protocol)
            ),
            leaks=leaks,
            leak_title="" if leaky is None else leaky.title,
            parts=parts,
            bands=tuple(bands),
            made_with=made_with(
                [folder for of in cells.values() for folders in of.values() for folder in folders]
            ),
            compared=self.compared,
            attention=tuple(
                self._attention(variant, protocol, cells[protocol][variant][0])
                for protocol in self.protocols
                for variant in (() if paper.attention is None else paper.attention.of)
                if variant in cells[protocol]
            ),
        )
        write_results(results, self.out)
        return results

    def _recipe(self, variant: Variant, protocol: str, seed: int, **changes: Any) -> Recipe:
        configured = self.configure(variant.model, self.paper.configured_as(protocol))
        config = merged(configured, changes.pop("config", variant.config))
        return self.paper.recipe(variant.model, protocol, config, seed, **changes)

    def _prepared(self, recipe: Recipe) -> Prepared:
        """The rows of a recipe, joined when they are first asked for."""
        key = recipe.protocol, recipe.service, recipe.task.name
        if key not in self.joined:
            if self.paper.domain.fields:
                self.joined[key] = prepare_log(self.lake, self.paper.domain, recipe)
            else:
                assert self.store is not None  # events have features
                self.joined[key] = prepare(self.store, self.lake, self.paper.domain, recipe)
        return self.joined[key]

    def _told(self, what: str, trained: bool) -> None:
        self.done += 1
        if self.on_cell is not None:
            self.on_cell(self.done, self.total, what, trained)

    def _variant_cells(self, variant: Variant, protocol: str) -> list[Path]:
        folders = []
        for seed in range(self.seeds):
            recipe = self._recipe(variant, protocol, seed)
            folder = self.out / "cells" / protocol / variant.key / str(seed)
            trained = train_cell(self._prepared(recipe), recipe, folder, self.truth)
            folders.append(folder)
            self._told(f"{protocol} {variant.title}, seed {seed}", trained)
        return folders

    def _leak_variant(self) -> Variant | None:
        """The variant that leaks are measured on; None where they are not."""
        study = self.paper.leaks
        if study is None or not set(SPLIT_OF) <= set(self.protocols):
            return None
        keys = [variant.key for variant in self.paper.variants]
        return self.paper.variant(study.of if study.of in keys else self.paper.compared_to)

    def _leaks(self, variant: Variant, honest: Sequence[Path]) -> tuple[LeakWorth, ...]:
        by = self.paper.judged_by
        found = []
        for leak in leaks_of(self._prepared(self._recipe(variant, "honest", 0))):
            folders = []
            for seed in range(self.seeds):
                # Measured on the model as it is configured, without the variant's own settings.
                split_by = "random" if leak == RANDOM_SPLIT else None
                recipe = self._recipe(variant, "honest", seed, config={}, split=split_by, leak=leak)
                given = self._prepared(recipe)
                if leak != RANDOM_SPLIT:
                    given = with_leak(given, self._prepared(self._recipe(variant, "paper", seed)), leak)
                folder = self.out / "cells" / "leaks" / leak.replace(" ", "_") / str(seed)
                trained = train_cell(given, recipe, folder, None)
                folders.append(folder)
                self._told(f"only the leak of {leak}, seed {seed}", trained)
            value = mean_of(by, folders)
            found.append(LeakWorth(leak, value, value - mean_of(by, honest)))
        return tuple(found)

    def _parts(
        self, cells: Mapping[str, Mapping[str, Sequence[Path]]]
    ) -> tuple[dict[str, dict[str, tuple[int, int]]], list[HistoryBand]]:
        """Sizes of the parts of each protocol's split, and the bands of its test rows."""
        paper = self.paper
        parts: dict[str, dict[str, tuple[int, int]]] = {}
        bands: list[HistoryBand] = []
        for protocol in self.protocols:
            recipe = self._recipe(paper.rows_under(protocol)[0], protocol, 0)
            objective = objective_of(recipe.task)
            prepared = self._prepared(recipe)
            table, cut = prepared.table, prepared.cut(recipe)
            targets = objective.targets(table)
            positive = targets if objective.kind == "binary" else np.zeros(len(targets), dtype=bool)
            parts[protocol] = {
                name: (int(positive[part].sum()), len(part)) for name, part in cut.parts.items()
            }
            truth = self.truth if recipe.task == paper.domain.tasks[0] else None
            if truth is not None and paper.histories is not None:
                lengths = earlier_events(table, paper.histories.key)[cut.test]
                bands += history_bands(paper, paper.histories, protocol, cells[protocol], lengths, truth)
        return parts, bands

    def _row(self, variant: Variant, protocol: str, cells: Mapping[str, Sequence[Path]]) -> VariantResult:
        folders = cells[variant.key]
        metrics = metrics_of(folders)
        values = {name: [found[name] for found in metrics] for name in self.paper.metrics}
        whole = [artefacts.read_metrics(folder) for folder in folders]
        shares = [found["attainable_share"] for found in whole]
        return VariantResult(
            variant=variant.key,
            title=variant.title,
            protocol=protocol,
            seeds=len(folders),
            mean={name: float(np.mean(found)) for name, found in values.items()},
            deviation={
                name: float(np.std(found, ddof=1)) if len(found) > 1 else 0.0
                for name, found in values.items()
            },
            difference=self._less(variant, self.compared[protocol], protocol, cells),
            ablated=self._less(variant, variant.ablates, protocol, cells),
            best_auc=whole[0]["best_attainable_auc"],
            share=None if None in shares else float(np.mean(shares)),
        )

    def _reference(self, cells: Mapping[str, Sequence[Path]]) -> str:
        """The variant that all others are compared to: the one that the paper names, or the best rival."""
        if self.paper.compared_to:
            return self.paper.compared_to
        by = self.paper.judged_by
        there = [variant.key for variant in self.paper.rivals if variant.key in cells]
        return max(there, key=lambda key: better(by) * mean_of(by, cells[key]))

    def _attention(self, variant: str, protocol: str, folder: Path) -> Attention:
        """The first attention layer of a cell, on average over the first `ATTENDED` rows of its test."""
        artefact = artefacts.load(folder)
        recipe = artefact.manifest.recipe
        prepared = self._prepared(recipe)
        rows = features_of(prepared, self.lake, prepared.cut(recipe).test[:ATTENDED])
        weights = mean_attention(artefact.estimator.fitted, artefact.spec.apply(rows))
        names = [name for item in artefact.spec.inputs for name in field_names(item)]
        return Attention(protocol, variant, names, weights.tolist())

    def _less(
        self, variant: Variant, other: str, protocol: str, cells: Mapping[str, Sequence[Path]]
    ) -> Interval | None:
        """A variant's metric less another's; None where there is no other."""
        if other in ("", variant.key) or other not in cells:
            return None
        mine, theirs = cells[variant.key], cells[other]
        rows, scores = scores_of([*mine, *theirs])
        first, second = scores[: len(mine)], scores[len(mine) :]
        labels = happened(self.paper.task_under(protocol), rows)
        return paired_difference(self.paper.judged_by, labels, first, second, replicates=self.replicates)
