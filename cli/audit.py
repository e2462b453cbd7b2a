"""`marquee audit`: proofs that features hold no future, and that what is served is what was trained on."""

from pathlib import Path

from rich.table import Table

from app.settings import load_settings
from cli.console import console, count
from cli.display import Stages

AUDITS = "audits"
"""Folder of the pages in the home."""
REPLAY = "replay"
"""The scratch home in it, while an audit runs."""


def leakage(sample: int, seed: int, costs: bool, home: Path | None) -> None:
    """`marquee audit leakage`."""
    from feature_repo.store import open_store
    from validation.audit.leakage import audit_leakage
    from validation.audit.leakage_report import render_table
    from validation.audit.page import write_audit
    from validation.audit.verdict import require_passed

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
    require_passed(report, page)
    console.print(f"No feature holds an event of its label's instant or later. Page: {page}", markup=False)


def consistency(events: int, instants: int, pairs: int, late: float, seed: int, home: Path | None) -> None:
    """`marquee audit consistency`."""
    from cli.audit_replay import scratch_home
    from feature_repo.store import open_store
    from validation.audit.consistency import audit_consistency
    from validation.audit.consistency_report import render_table
    from validation.audit.page import write_audit
    from validation.audit.verdict import require_passed

    settings = load_settings(home)
    store = open_store(settings.home, must_exist=True)
    stages = Stages(console)
    with (
        scratch_home(settings, settings.home / AUDITS / REPLAY, stages) as replay,
        stages.stage("consistency") as stage,
    ):
        report = audit_consistency(
            store,
            replay,
            events=events,
            instants=instants,
            pairs=pairs,
            late=late,
            seed=seed,
            memory=settings.duckdb_memory,
            on_progress=stage.report,
        )
        stage.outcome = (
            f"{count(report.events)} events, {count(report.late)} of them late; {count(report.labels)} labels"
            f" at {report.instants} instants and the end, {count(report.home_rows)} rows of this home:"
            f" {report.rate:.2%} of values match"
        )
    page = write_audit(settings.home / AUDITS, "consistency", report)
    console.print(render_table(report))
    require_passed(report, page)
    console.print(f"What is served is what was trained on. Page: {page}", markup=False)
