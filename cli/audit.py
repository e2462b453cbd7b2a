"""`marquee audit`: proofs that features hold no future, and that what is served is what was trained on."""

import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from cli.console import console, count
from cli.data import start_spark
from cli.display import Stages
from cli.home import writing
from cli.settings import Settings, load_settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

    from validation.consistency import Replay

AUDITS = "audits"
"""Folder of the pages in the home."""
REPLAY = "replay"
"""The scratch home in it, while an audit runs."""


def leakage(sample: int, seed: int, costs: bool, home: Path | None) -> None:
    """`marquee audit leakage`."""
    from feature_repo.store import open_store
    from validation.audit_page import write_audit
    from validation.leakage import audit_leakage
    from validation.leakage_report import render_table, require_no_leak

    settings = load_settings(home)
    store = open_store(settings.home, must_exist=True)
    stages = Stages(console)
    with stages.stage("leakage") as stage:
        report = audit_leakage(
            store,
            sample=sample,
            seed=seed,
            costs=costs,
            memory=settings.duckdb_memory,
            on_progress=stage.report,
        )
        stage.outcome = (
            f"{len(report.features)} features at {count(report.labels)} labels ({count(report.sample)}"
            f" recomputed): {'no leak' if report.passed else 'failed'}"
        )
    page = write_audit(settings.home / AUDITS, "leakage", report)
    console.print(render_table(report))
    if report.costs:
        listing = Table(title="What the papers' protocol would leak (ROC-AUC)", title_justify="left")
        for heading in ("features of", "honest", "whole data: leaks", "difference: leaks"):
            listing.add_column(heading, justify="left" if heading == "features of" else "right")
        for cost in report.costs:
            listing.add_row(cost.view, f"{cost.honest:.4f}", f"{cost.leaking:.4f}", f"{cost.gain:+.4f}")
        console.print(listing)
    require_no_leak(report, page)
    console.print(f"No feature holds an event of its label's instant or later. Page: {page}", markup=False)


def consistency(events: int, instants: int, pairs: int, late: float, seed: int, home: Path | None) -> None:
    """`marquee audit consistency`."""
    from feature_repo.store import open_store
    from validation.audit_page import write_audit
    from validation.consistency import audit_consistency
    from validation.consistency_report import render_table, require_consistent

    settings = load_settings(home)
    store = open_store(settings.home, must_exist=True)
    scratch = settings.model_copy(update={"home": settings.home / AUDITS / REPLAY})
    stages = Stages(console)
    with writing(scratch.home):
        empty(scratch.home)
        with stages.stage("Spark") as stage:
            spark = start_spark(scratch)
            stage.outcome = settings.spark_master
        try:
            with stages.stage("consistency") as stage:
                report = audit_consistency(
                    store,
                    replay_into(spark, settings, scratch),
                    events=events,
                    instants=instants,
                    pairs=pairs,
                    late=late,
                    seed=seed,
                    memory=settings.duckdb_memory,
                    on_progress=stage.report,
                )
                stage.outcome = (
                    f"{count(report.events)} events replayed ({count(report.late)} late),"
                    f" {count(report.labels)} labels at {report.instants} instants and the end:"
                    f" {report.rate:.2%} of values match"
                )
        finally:
            spark.stop()
            empty(scratch.home)
    shutil.rmtree(scratch.home, ignore_errors=True)
    page = write_audit(settings.home / AUDITS, "consistency", report)
    console.print(render_table(report))
    require_consistent(report, page)
    console.print(f"What is served is what was trained on. Page: {page}", markup=False)


def empty(home: Path) -> None:
    """Remove what a scratch home holds, but for the lock that keeps others out."""
    for entry in home.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != ".lock":
            entry.unlink()


def replay_into(spark: "SparkSession", settings: Settings, scratch: Settings) -> "Replay":
    """The means to replay events of one home in another.

    Args:
        settings: of the home that is audited; its lake is read only.
        scratch: of the empty home that takes the events.
    """
    from pyspark.sql import functions as F

    from feature_repo import store as stores
    from feature_repo.schema import EVENT_TIMESTAMP, MOVIES, POSTERS, QUARANTINE, RATINGS
    from pipelines import lake
    from pipelines.ingest import add_ratings
    from pipelines.jobs import JOBS, run_job
    from serving.lookup import lookup_many
    from serving.push import push as push_ratings
    from validation.consistency import Replay

    def run_jobs() -> None:
        for name in JOBS:
            run_job(spark, scratch.lake, name)

    def build(before: datetime) -> None:
        for name in (MOVIES.name, POSTERS.name, QUARANTINE):
            lake.overwrite(lake.read(spark, settings.lake, name), scratch.lake, name)
        ratings = lake.read(spark, settings.lake, RATINGS.name)
        lake.overwrite(ratings.where(F.col(EVENT_TIMESTAMP) < F.lit(before)), scratch.lake, RATINGS.name)
        run_jobs()
        stores.apply(scratch.home)
        stores.materialize(scratch.home)

    def push(events: "pa.Table") -> None:
        push_ratings(spark, stores.open_store(scratch.home), raw_ratings(events))

    def run(events: "pa.Table") -> None:
        add_ratings(spark, spark.createDataFrame(raw_ratings(events)), scratch.lake)
        run_jobs()
        stores.materialize(scratch.home)

    def look_up(pairs: "pa.Table") -> "pa.Table":
        return lookup_many(stores.open_store(scratch.home), None, pairs)

    return Replay(build, push, run, look_up)


def raw_ratings(events: "pa.Table") -> "pa.Table":
    """Ratings of a lake as raw rows, such as a source has."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from feature_repo.schema import EVENT_TIMESTAMP

    micros = events[EVENT_TIMESTAMP].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    rows = events.num_rows
    return pa.table(
        {
            **{name: events[name] for name in ("user_id", "movie_id", "rating")},
            "timestamp": pc.divide(micros.cast(pa.float64()), 1e6),
            "record": pa.repeat("", rows),
            "source": pa.repeat("replay", rows),
            "row": pa.array(range(1, rows + 1), pa.int64()),
        }
    )
