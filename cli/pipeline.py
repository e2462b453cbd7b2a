"""`marquee pipeline` and `marquee validate`: the Spark side of the road."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from app.home import writing
from app.settings import Settings, load_settings
from cli.console import console, count
from cli.data import generate_once, start_spark
from cli.display import Stage, Stages
from common.errors import MarqueeError, unknown

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from cli.road import RoadOptions
    from pipelines.features.job import Update
    from pipelines.ingest.ingest import IngestReport
    from pipelines.sources.source import Source
    from validation.gate.report import ValidationReport


def check_options(options: "RoadOptions") -> None:
    """Refuse options that do not fit each other, or files that cannot be used, before anything is started.

    Raises:
        MarqueeError: a MovieLens folder is needed and none was given, or one was given in vain or in error.
    """
    if options.source == "movielens" and options.path is None:
        raise MarqueeError(
            "The source movielens needs --path FOLDER: "
            "`marquee data fetch ml-latest-small` downloads one and says where it is."
        )
    if options.source != "movielens" and (options.path is not None or options.posters is not None):
        raise MarqueeError("--path and --posters belong to --source movielens: add it, or leave them out.")
    if options.path is not None:
        from pipelines.sources.movielens import check_folder

        check_folder(options.path.absolute())


def open_source(spark: "SparkSession", settings: Settings, options: "RoadOptions", stage: Stage) -> "Source":
    """The source that was asked for; synthetic data are generated first."""
    if options.path is not None:
        from pipelines.sources.movielens import read_movielens

        source = read_movielens(spark, options.path, options.posters, options.first_movies)
        stage.outcome = source.description
        return source
    from pipelines.sources.synthetic import SyntheticConfig, read_synthetic

    folder = generate_once(spark, settings, SyntheticConfig(seed=options.seed), stage)
    return read_synthetic(spark, folder, options.first_movies)


def ingest_stage(
    spark: "SparkSession", settings: Settings, source: "Source", stages: Stages, adding: bool = False
) -> "IngestReport":
    """Source to clean tables and quarantine: in place of what is there, or added to it (`adding`)."""
    from pipelines.ingest.ingest import add, ingest

    with stages.stage("ingest") as stage:
        report = (add if adding else ingest)(spark, source, settings.lake)
        accepted = ", ".join(f"{count(table.accepted)} {name}" for name, table in report.tables.items())
        quarantined = sum(table.quarantined for table in report.tables.values())
        stage.outcome = f"{accepted}; {count(quarantined)} rows quarantined"
        if adding:
            known = sum(table.known for table in report.tables.values())
            stage.outcome += f"; {count(known)} were there already"
    return report


def features_stage(
    spark: "SparkSession", settings: Settings, names: Iterable[str], stages: Stages, full: bool
) -> "list[Update]":
    """Clean tables to feature tables: computed anew (`full`), or brought up to date."""
    from pipelines.features.jobs import run_job

    names = list(names)
    updates = []
    with stages.stage("features") as stage:
        for position, name in enumerate(names):
            stage.report(name, position, len(names))
            updates.append(run_job(spark, settings.lake, name, full))
        written = sum(update.rows for update in updates)
        stage.outcome = f"{count(written)} rows written to {len(updates)} tables"
    return updates


def validation_stage(
    spark: "SparkSession",
    settings: Settings,
    names: Iterable[str],
    out: Path,
    stages: Stages,
    title: str = "validate",
    before: "ValidationReport | None" = None,
) -> "ValidationReport":
    """Check tables; `out` gets Data Docs and the page, which go on from the report `before`."""
    from feature_repo.schema import QUARANTINE, SOURCE_TABLES
    from pipelines import lake
    from validation.gate.gate import PAGE, validate

    with stages.stage(title) as stage:
        frames = {name: lake.read(spark, settings.lake, name) for name in names}
        report = validate(
            frames,
            out,
            lake.read(spark, settings.lake, QUARANTINE),
            on_progress=stage.report,
            others={table.name: lake.read(spark, settings.lake, table.name) for table in SOURCE_TABLES},
            before=before,
        )
        verdict = "all rules hold" if report.passed else "rules are broken"
        stage.outcome = f"{len(frames)} tables, {verdict}: {out / PAGE}"
    return report


def ingest_source(options: "RoadOptions", adding: bool, home: Path | None) -> None:
    """`marquee pipeline ingest`."""
    check_options(options)
    settings = load_settings(home)
    stages = Stages(console)
    with writing(settings.home):
        spark = spark_stage(settings, stages)
        with stages.stage("source") as stage:
            source = open_source(spark, settings, options, stage)
        ingest_stage(spark, settings, source, stages, adding)


def run_jobs(names: list[str], full: bool, home: Path | None) -> None:
    """`marquee pipeline run`."""
    from pipelines.features.jobs import job_names

    settings = load_settings(home)
    jobs = job_names(names)
    stages = Stages(console)
    with writing(settings.home):
        spark = spark_stage(settings, stages)
        updates = features_stage(spark, settings, jobs, stages, full)
    listing = Table("table", "what was done", "new ratings", "late keys", "rows written")
    for update in updates:
        listing.add_row(
            update.table, update.how, count(update.new_ratings), count(update.late_keys), count(update.rows)
        )
    console.print(listing)
    console.print(f"Tables are in {settings.lake}", markup=False)


def maintain_lake(names: list[str], retain_days: int, home: Path | None) -> None:
    """`marquee pipeline maintain`."""
    from feature_repo.schema import QUARANTINE, TABLES
    from pipelines import lake
    from pipelines.maintain import maintain

    settings = load_settings(home)
    known = (*TABLES, QUARANTINE)
    for name in names:
        if name not in known:
            raise unknown("table", name, known)
    asked = names or [name for name in known if lake.exists(settings.lake, name)]
    kept = recorded_versions(settings.home)
    done = []
    stages = Stages(console)
    with writing(settings.home):
        spark = spark_stage(settings, stages)
        with stages.stage("maintain") as stage:
            for position, name in enumerate(asked):
                stage.report(name, position, len(asked))
                retain = timedelta(days=retain_days)
                done.append(maintain(spark, settings.lake, name, retain, kept.get(name)))
            saved = sum(table.size[0] - table.size[1] for table in done)
            stage.outcome = f"{len(done)} tables, {saved / 1e6:.1f} MB freed"
    listing = Table("table", "files", "on disk", "versions that can be read")
    for table in done:
        listing.add_row(
            table.table,
            f"{table.files[0]} → {table.files[1]}",
            f"{table.size[0] / 1e6:.1f} → {table.size[1] / 1e6:.1f} MB",
            f"{table.versions[0]} to {table.versions[1]}",
        )
    console.print(listing)


def recorded_versions(home: Path) -> dict[str, int]:
    """The oldest version of each table that a trained model in this home was made from."""
    from training.fit.artefact import MANIFEST, read_manifest

    oldest: dict[str, int] = {}
    for folder in (place for place in home.iterdir() if place.is_dir() and place.name != "lake"):
        for manifest in folder.rglob(MANIFEST):
            try:
                versions = read_manifest(manifest.parent).versions
            except MarqueeError:  # of another format: it cannot be trained like again anyway
                continue
            for table, version in versions.items():
                oldest[table] = min(version, oldest.get(table, version))
    return oldest


def validate_lake(home: Path | None) -> None:
    """`marquee validate`."""
    from feature_repo.schema import TABLES
    from validation.gate.gate import PAGE
    from validation.gate.report import render_table, require_passed

    settings = load_settings(home)
    out = settings.home / "validation"
    stages = Stages(console)
    with writing(settings.home):
        spark = spark_stage(settings, stages)
        report = validation_stage(spark, settings, TABLES, out, stages)
    console.print(render_table(report))
    require_passed(report, out / PAGE)


def spark_stage(settings: Settings, stages: Stages) -> "SparkSession":
    """Start Spark, and say so: the first start ever downloads jars."""
    console.print("[dim]Starting Spark (the first start downloads Delta's jars)[/]")
    with stages.stage("Spark") as stage:
        spark = start_spark(settings)
        stage.outcome = f"{settings.spark_master}, {settings.spark_memory} heap"
    return spark
