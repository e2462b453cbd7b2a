"""What a paper's figures can show, of what was found under one protocol."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from feature_repo.define.task import Task
from training.evaluate import class_figures, figures
from training.evaluate.metrics import TITLES
from training.evaluate.picture import Picture
from training.fit import artefact as artefacts
from training.fit.artefact import SCORE
from training.papers.paper import Paper, Variant
from training.papers.results import Results, VariantResult
from training.tasks import Scored, objective_of


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was found of a paper under one protocol, for its figures. Scores are those of seed 0.

    Args:
        paper: which.
        results: all of them.
        out: folder of the cells.
        protocol: which.
    """

    paper: Paper
    results: Results
    out: Path
    protocol: str

    @property
    def task(self) -> Task:
        """What is predicted."""
        return self.paper.task_under(self.protocol)

    @property
    def models(self) -> list[Variant]:
        """The variants that are no ablations."""
        return [variant for variant in self.paper.rows_under(self.protocol) if not variant.ablates]

    @property
    def rows(self) -> list[VariantResult]:
        """Their rows of the table."""
        shown = {variant.key for variant in self.models}
        return [row for row in self.results.rows if row.protocol == self.protocol and row.variant in shown]

    @property
    def chosen(self) -> Variant:
        """The paper's own model, or where it is not among the variants the one that all are compared to."""
        keys = [variant.key for variant in self.paper.variants]
        compared = self.results.compared[self.protocol]
        return self.paper.variant(self.paper.full if self.paper.full in keys else compared)

    def scored(self, variant: Variant) -> Scored:
        """What a variant said of the test rows."""
        rows = artefacts.read_predictions(self._cell(variant))
        return Scored(objective_of(self.task).targets(rows), rows[SCORE].to_numpy())

    def threshold(self, variant: Variant) -> float:
        """From which score on a variant calls a row positive."""
        return float(artefacts.read_metrics(self._cell(variant))["test"]["threshold"])

    @property
    def pairs(self) -> dict[str, class_figures.Pair]:
        """Targets and scores of each model, by title."""
        found = {variant.title: self.scored(variant) for variant in self.models}
        return {title: (scored.targets, scored.scores) for title, scored in found.items()}

    @property
    def says(self) -> str:
        """What the positive class means."""
        return getattr(self.task, "says", "") or self.task.name

    def _cell(self, variant: Variant) -> Path:
        return self.out / "cells" / self.protocol / variant.key / "0"


def class_balance(found: Drawn) -> Picture:
    """Positive and other rows of each part."""
    return class_figures.class_balance(found.results.parts[found.protocol], found.says)


def precision_recall(found: Drawn) -> Picture:
    """Precision and recall of every model."""
    return class_figures.precision_recall_curves(found.pairs)


def roc(found: Drawn) -> Picture:
    """ROC curves of every model."""
    return class_figures.roc_curves(found.pairs)


def score_scatter(found: Drawn) -> Picture:
    """Scores of the paper's own model, by what happened."""
    scored = found.scored(found.chosen)
    return class_figures.score_scatter(
        found.chosen.title, scored.targets, scored.scores, found.threshold(found.chosen), found.says
    )


def metric_bars(found: Drawn) -> Picture:
    """The table's metrics of every model, with their deviations over seeds."""
    shown = found.paper.shown
    return figures.metric_bars(
        {row.title: {label: row.mean[name] for name, label in shown.items()} for row in found.rows},
        {row.title: {label: row.deviation[name] for name, label in shown.items()} for row in found.rows},
    )


def by_setting(found: Drawn, settings: Mapping[str, str], of: str) -> Picture:
    """The metric that the paper is judged by, over the values of a setting, with deviations over seeds.

    Args:
        settings: keys of variants, by the value of the setting.
        of: what is set, for people.
    """
    by = found.paper.judged_by
    rows = {row.variant: row for row in found.results.rows if row.protocol == found.protocol}
    there = {value: rows[key] for value, key in settings.items() if key in rows}
    return figures.steps(
        list(there),
        [row.mean[by] for row in there.values()],
        [row.deviation[by] for row in there.values()],
        (of, TITLES[by]),
    )


def attention_between_fields(found: Drawn) -> Picture:
    """How much fields attend to one another: rows attend to columns."""
    maps = {
        found.paper.variant(each.variant).title: (each.fields, np.array(each.weights))
        for each in found.results.attention
        if each.protocol == found.protocol
    }
    return figures.heat_maps(maps, "Mean attention of each field (rows) to each (columns), on the test rows.")


def pictures(paper: Paper, results: Results, out: Path, protocol: str) -> dict[str, Picture]:
    """The paper's figures for one protocol, by name.

    Args:
        paper, results: which, and what was found.
        out: folder of the cells.
        protocol: which.
    """
    found = Drawn(paper, results, out, protocol)
    return {
        figure.name: figure.draw(found)
        for figure in paper.figures
        if figure.under is None or protocol in figure.under
    }
