"""From a source to the clean tables of the lake."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from app.home import writing
from app.sources import SourceOptions, check_source, open_source
from app.spark import spark_on_demand
from common.errors import MarqueeError
from common.progress import Stages
from common.settings import Settings
from common.words import count, count_of
from feature_repo.define.domain import Domain
from feature_repo.define.table import Table
from feature_repo.define.task import Binary
from lake.session import StartSpark

if TYPE_CHECKING:
    from pipelines.ingest import IngestReport
    from pipelines.sources.source import Source


def ingest_source(
    settings: Settings, domain: Domain, options: SourceOptions, stages: Stages, adding: bool = False
) -> "IngestReport":
    """Read a source into the lake, in place of what is there or added to it (`adding`).

    Raises:
        MarqueeError: the options contradict each other, the files cannot be used, or the disk refuses; or
            something is to be added to a log.
    """
    if adding and domain.events.kind == "log":
        raise MarqueeError(
            f"Nothing can be added to {domain.events.name}, whose rows are numbered in the order of their"
            " files: leave --add out, and name a folder that holds all files of the log."
        )
    check_source(options)
    with writing(settings.home):
        spark = spark_on_demand(settings, stages)
        with stages.stage("source") as stage:
            source = open_source(spark, settings, options, stage)
        return ingest_stage(spark, settings, domain, source, stages, adding)


def require_sources(
    settings: Settings, domain: Domain, tables: Iterable[Table], but_later_ones: bool = False
) -> None:
    """Refuse a lake that lacks a table that sources fill, before anything is started.

    Args:
        but_later_ones: let pass what was declared after the lake was filled (`pipelines.ingest.not_yet`).

    Raises:
        MarqueeError: naming the first that is missing.
    """
    from lake.tables import exists

    missing = [table for table in tables if not exists(settings.lake, table.name)]
    if not missing:
        return
    from pipelines.ingest import not_yet

    later = not_yet(settings.lake, domain)
    filled_by = "`marquee pipeline ingest` with its --source"
    if domain.events.kind != "log":
        filled_by = "`marquee run` or `marquee pipeline ingest`"
    for table in missing:
        if table not in later:
            raise MarqueeError(f"There is no table {table.name} in {settings.lake}: run {filled_by} first.")
        if not but_later_ones:
            raise MarqueeError(
                f"There is no table {table.name} in {settings.lake}, which an earlier version of Marquee"
                " made: run `marquee pipeline run` first."
            )


def ingest_stage(
    spark: StartSpark,
    settings: Settings,
    domain: Domain,
    source: "Source",
    stages: Stages,
    adding: bool = False,
) -> "IngestReport":
    """The part of `ingest_source` that has an open source; the caller holds the home."""
    from pipelines.ingest import add, ingest

    with stages.stage("ingest") as stage:
        report = (add if adding else ingest)(spark, source, settings.lake, domain)
        accepted = ", ".join(
            f"{count_of(table.accepted, 'row')} of {name}" for name, table in report.tables.items()
        )
        quarantined = sum(table.quarantined for table in report.tables.values())
        stage.outcome = f"{accepted}; {count_of(quarantined, 'row')} quarantined"
        if domain.events.kind == "log":
            stage.outcome += f"; {_rates(settings, domain)}"
        if adding:
            known = sum(table.known for table in report.tables.values())
            stage.outcome += f"; {count(known)} were there already"
            changed = {name: table.changed for name, table in report.tables.items() if table.changed}
            stage.outcome += "".join(
                f"; {count_of(rows, 'row')} of {name} changed" for name, rows in changed.items()
            )
    for note in report.notes:
        stages.note(note)
    return report


def _rates(settings: Settings, domain: Domain) -> str:
    """How often the labels of a log are 1, in words."""
    from app.facts import positive_share

    shares = [
        f"{100 * positive_share(settings.lake, domain, task, settings.duckdb_memory):.2f} %"
        f" {task.says or task.name}"
        for task in domain.tasks
        if isinstance(task, Binary)
    ]
    return ", ".join(shares)
