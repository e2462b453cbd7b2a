"""`marquee run`: the whole road, from a source to a report."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from app.home import writing
from app.settings import Settings, load_settings
from cli import summary
from cli.console import console, count
from cli.display import Stages
from cli.features import online_line
from cli.models import TrainOptions, print_metrics, train_into
from cli.pipeline import (
    check_options,
    features_stage,
    ingest_stage,
    open_source,
    spark_stage,
    validation_stage,
)

if TYPE_CHECKING:
    from pipelines.ingest.ingest import IngestReport


@dataclass(frozen=True, slots=True)
class RoadOptions:
    """What `marquee run` was asked for; see its options."""

    source: str
    path: Path | None = None
    posters: Path | None = None
    first_movies: int | None = None
    models: tuple[str, ...] = ()
    seed: int = 0


def run_road(options: RoadOptions, home: Path | None) -> Path:
    """Data, tables, validation, features, store, models, report.

    Every stage replaces what it makes as a whole, so a run that was killed leaves nothing half-written and
    the next one starts over.

    Returns:
        The run's folder, with `summary.json` and `report.html`.
    """
    from training.models import model as entry_of

    for model in options.models:
        entry_of(model)
    check_options(options)
    settings = load_settings(home)
    stages = Stages(console)
    with writing(settings.home):
        folder = new_run(settings.runs, options.source)
        tables, likelihood = tables_of_run(settings, options, folder, stages)
        store_stages(settings, stages)
        models = {}
        for model in options.models:
            with stages.stage(f"train {model}") as stage:
                out = folder / "models" / model
                models[model] = train_into(
                    settings, model, out, stage, TrainOptions(seed=options.seed), likelihood
                )
        found = summary.Summary(
            run=folder.name,
            options={key: _plain(value) for key, value in asdict(options).items()},
            tables=tables,
            models=models,
            stages=stages.costs,
        )
        with stages.stage("report") as stage:
            from cli.report import write_report

            summary.write(found, folder)
            write_report(settings, found, folder)
            stage.outcome = str(folder / "report.html")
        # Once more, now with what the report cost; it is the last file, so a run that has it is whole.
        summary.write(found, folder)
    print_summary(found, folder)
    return folder


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
    settings: Settings, options: RoadOptions, folder: Path, stages: Stages
) -> tuple[dict[str, summary.TableCount], Path | None]:
    """The Spark part of the road: what each table took in and holds, and where the true like-probabilities
    are, if they are known."""
    from feature_repo.schema import FEATURE_TABLES, SOURCE_TABLES
    from pipelines.features.jobs import JOBS
    from validation.gate.gate import PAGE
    from validation.gate.report import require_passed

    spark = spark_stage(settings, stages)
    try:
        with stages.stage("source") as stage:
            source = open_source(spark, settings, options, stage)
        ingested = ingest_stage(spark, settings, source, stages)
        out = folder / "validation"
        names = [table.name for table in SOURCE_TABLES]
        gate = validation_stage(spark, settings, names, out, stages, "validate sources")
        require_passed(gate, out / PAGE)
        updates = features_stage(spark, settings, JOBS, stages, full=True)
        names = [table.name for table in FEATURE_TABLES]
        gate = validation_stage(spark, settings, names, out, stages, "validate features", before=gate)
        require_passed(gate, out / PAGE)
    finally:
        # The models get the machine for themselves.
        spark.stop()
    return table_counts(ingested, {update.table: update.rows for update in updates}), source.likelihood


def table_counts(ingested: "IngestReport", rows: Mapping[str, int]) -> dict[str, summary.TableCount]:
    """Rows in, accepted and quarantined of source tables; rows of feature tables."""
    counts = {
        name: summary.TableCount(
            rows=table.accepted,
            read=table.read,
            quarantined=table.quarantined,
            broken_rules=dict(table.by_rule),
            left_out=ingested.left_out if name == "ratings" else 0,
        )
        for name, table in ingested.tables.items()
    }
    return counts | {name: summary.TableCount(rows=number) for name, number in rows.items()}


def store_stages(settings: Settings, stages: Stages) -> None:
    """Publish the definitions, and bring the newest rows online."""
    from feature_repo import store

    with stages.stage("apply") as stage:
        changes = store.apply(settings.home)
        stage.outcome = f"{len(changes)} changes in the registry"
    with stages.stage("materialize") as stage:
        stage.outcome = online_line(store.materialize(settings.home, on_progress=stage.report))


def print_summary(found: summary.Summary, folder: Path) -> None:
    """The same as `summary.json`, for a person."""
    tables = Table(title="Tables", title_justify="left")
    for heading in ("table", "read", "rows", "quarantined"):
        tables.add_column(heading, justify="left" if heading == "table" else "right", overflow="fold")
    for name, table in found.tables.items():
        read = "" if table.read is None else count(table.read)
        bad = "" if table.quarantined is None else count(table.quarantined)
        tables.add_row(name, read, count(table.rows), bad)
    console.print(tables)
    if found.models:
        print_metrics({name: model["metrics"] for name, model in found.models.items()})
        best = next(iter(found.models.values()))["best_attainable_auc"]
        if best is not None:
            console.print(f"The best attainable ROC-AUC on the test split is {best:.4f}.")
    seconds = sum(cost.seconds for cost in found.stages)
    peak = max(cost.peak_memory for cost in found.stages) / 1024**3
    console.print(
        f"Done in {seconds:.0f} s with at most {peak:.1f} GiB. Report: {folder / 'report.html'}", markup=False
    )


def _plain(value: Any) -> Any:
    """A value that JSON can hold."""
    return str(value) if isinstance(value, Path) else value
