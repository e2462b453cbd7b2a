"""The whole road: data, tables, validation, features, store, models, report."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app import summary
from app.features import apply_stage, compute_stage, materialize_stage
from app.home import writing
from app.ingest import ingest_stage
from app.report import PAGE, STAGE, write_report
from app.sources import SourceOptions, check_source, open_source
from app.spark import spark_on_demand, stop_spark
from app.summary import Summary, TableCount
from app.train import TrainOptions, recipe_for, train_stage
from app.validate import validation_stage
from common.errors import MarqueeError
from common.progress import Stages
from common.settings import Settings
from feature_repo.define.domain import Domain
from feature_repo.define.table import QUARANTINE
from feature_repo.define.task import rule_of
from lake.tables import commit_digests, newest_version

if TYPE_CHECKING:
    from pipelines.ingest import IngestReport
    from training.fit.train import Result
    from training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    Args:
        summary: what it took in, made, measured and cost.
        folder: with `summary.json`, the report and the models.
    """

    summary: Summary
    folder: Path

    @property
    def page(self) -> Path:
        """The report."""
        return self.folder / PAGE


def run(
    settings: Settings, domain: Domain, source: SourceOptions, models: tuple[str, ...], stages: Stages
) -> Run:
    """Go the whole road.

    Every stage replaces what it makes as a whole, so a run that was killed leaves nothing half-written and
    the next one starts over.

    Args:
        models: keys in the zoo; the models are trained one after the other.

    Raises:
        MarqueeError: a model is unknown, the source cannot be used, or a table breaks a rule.
    """
    training = TrainOptions(seed=source.seed)
    recipes = [recipe_for(domain, model, training) for model in models]
    check_distinct(recipes)
    check_source(source)
    with writing(settings.home):
        folder = new_run(settings.runs, source.source)
        tables, truth = tables_of_run(settings, domain, source, folder, stages)
        training = replace(training, truth=truth)
        apply_stage(settings, domain, stages)
        materialize_stage(settings, stages)
        results = {
            recipe.entry.key: train_stage(
                settings, domain, recipe, folder / "models" / recipe.entry.key, training, stages
            )
            for recipe in recipes
        }
        versions = {name: newest_version(settings.lake, name) for name in (*domain.tables, QUARANTINE)}
        found = Summary(
            run=folder.name,
            options={key: _plain(value) for key, value in asdict(source).items()}
            | {"data": source.words, "models": list(models)},
            tables=tables,
            models={model: model_summary(result) for model, result in results.items()},
            stages=stages.costs,
            versions=versions,
            commits=commit_digests(settings.lake, versions),
        )
        with stages.stage(STAGE) as stage:
            summary.write(found, folder)
            write_report(settings, domain, found, folder)
            stage.outcome = str(folder / PAGE)
        # Once more, now with what the report cost; it is the last file, so a run that has it is whole.
        summary.write(found, folder)
    return Run(found, folder)


def check_distinct(recipes: Sequence["Recipe"]) -> None:
    """Refuse models of which a page could not tell one from the other.

    Raises:
        MarqueeError: two have one key or title.
    """
    for one, other in combinations([recipe.entry for recipe in recipes], 2):
        if one.key == other.key or one.title == other.title:
            raise MarqueeError(
                f"{one.path} and {other.path} have one key, {one.key}, or title, {one.title}: give one"
                " of them another."
            )


def new_run(runs: Path, source: str) -> Path:
    """A fresh folder; those of runs that did not end are removed."""
    runs.mkdir(parents=True, exist_ok=True)
    for old in runs.iterdir():
        if old.is_dir() and not (old / summary.FILE).exists():
            shutil.rmtree(old)
    folder = runs / f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-{source}"
    folder.mkdir()
    return folder


def tables_of_run(
    settings: Settings, domain: Domain, options: SourceOptions, folder: Path, stages: Stages
) -> tuple[dict[str, TableCount], Path | None]:
    """The Spark part of the road; the caller holds the home.

    Args:
        folder: of the run, which gets the validation's page.

    Returns:
        What each table took in and holds, and where the events' true probabilities are, if they are known.
    """
    from validation.gate.gate import PAGE
    from validation.gate.report import require_passed

    spark = spark_on_demand(settings, stages)
    try:
        with stages.stage("source") as stage:
            source = open_source(spark, settings, options, stage)
        ingested = ingest_stage(spark, settings, domain, source, stages)
        out = folder / "validation"
        names = [table.name for table in domain.sources]
        gate = validation_stage(spark, settings, domain, names, out, stages, "validate sources")
        require_passed(gate, out / PAGE)
        names = [view.name for view in domain.views]
        if not names:
            return table_counts(ingested, {}), source.likelihood
        updates = compute_stage(spark, settings, domain, names, stages, full=True)
        gate = validation_stage(spark, settings, domain, names, out, stages, "validate features", before=gate)
        require_passed(gate, out / PAGE)
    finally:
        # The models get the machine for themselves.
        stop_spark()
    return table_counts(ingested, {update.table: update.rows for update in updates}), source.likelihood


def table_counts(ingested: "IngestReport", rows: Mapping[str, int]) -> dict[str, TableCount]:
    """Rows in, accepted and quarantined of source tables; rows of feature tables."""
    counts = {
        name: TableCount(
            rows=table.accepted,
            read=table.read,
            quarantined=table.quarantined,
            broken_rules=dict(table.by_rule),
            left_out=table.left_out,
        )
        for name, table in ingested.tables.items()
    }
    return counts | {name: TableCount(rows=number) for name, number in rows.items()}


def model_summary(result: "Result") -> dict[str, Any]:
    """What `summary.json` says of a model."""
    return {
        "folder": str(result.folder),
        "labels": {"asked": result.labels_asked, "returned": result.labels_returned},
        "rows": result.rows,
        "label": rule_of(result.recipe.task),
        "positive_rates": result.positive_rates,
        "leaky": result.recipe.is_leaky,
        "metrics": dict(result.metrics),
        "best_attainable_auc": result.best_auc,
        "attainable_share": result.attainable,
    }


def _plain(value: Any) -> Any:
    """A value that JSON can hold."""
    return str(value) if isinstance(value, Path) else value
