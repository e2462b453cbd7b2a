"""Proofs that features hold no future, and that what is served is what was trained on."""

from pathlib import Path
from typing import TYPE_CHECKING

from common.progress import Stages
from common.settings import Settings
from common.words import count, count_of
from feature_repo.define.domain import Domain

if TYPE_CHECKING:
    from validation.audit.consistency_report import ConsistencyReport
    from validation.audit.leakage_report import LeakageReport

AUDITS = "audits"
"""Folder of the pages in the home."""
REPLAY = "replay"
"""The scratch home in it, while an audit runs."""


def audit_leakage(
    settings: Settings, domain: Domain, sample: int, seed: int, costs: bool, stages: Stages
) -> tuple["LeakageReport", Path]:
    """Compare every feature at every label with what strictly earlier events give.

    Args:
        domain: what the lake is about.
        sample: labels to recompute one by one.
        costs: whether to measure what the papers' protocol would leak, too.

    Returns:
        The report, and its page.

    Raises:
        MarqueeError: nothing is applied, or there are no labels.
    """
    from feature_repo.store import open_store
    from validation.audit.leakage import audit_leakage
    from validation.audit.page import write_audit

    store = open_store(settings)
    with stages.stage("leakage") as stage:
        report = audit_leakage(
            store,
            domain,
            sample=sample,
            seed=seed,
            costs=costs,
            memory=settings.duckdb_memory,
            on_progress=stage.report,
        )
        stage.outcome = (
            f"{count_of(len(report.features), 'feature')} at {count_of(report.labels, 'label')}"
            f" ({count(report.sample)} recomputed): {'no leak' if report.passed else 'failed'}"
        )
    return report, write_audit(settings.home / AUDITS, "leakage", report, domain)


def audit_consistency(
    settings: Settings,
    domain: Domain,
    events: int,
    instants: int,
    pairs: int,
    late: float,
    seed: int,
    stages: Stages,
) -> tuple["ConsistencyReport", Path]:
    """Replay past events into a scratch home, and compare what is online there with the offline values.

    Args:
        events: how many of the last events to replay.
        instants: label instants to read online at.
        pairs: pairs of keys to read at each.
        late: share of events that come late, from 0 to 1.

    Returns:
        The report, and its page.

    Raises:
        MarqueeError: nothing is applied, there are no labels, or another audit is using the scratch home.
    """
    from app.replay import scratch_home
    from feature_repo.store import open_store
    from validation.audit.consistency import audit_consistency
    from validation.audit.page import write_audit

    store = open_store(settings)
    with (
        scratch_home(settings, domain, settings.home / AUDITS / REPLAY, stages) as replay,
        stages.stage("consistency") as stage,
    ):
        report = audit_consistency(
            store,
            domain,
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
            f"{count_of(report.events, 'event')}, {count(report.late)} of them late;"
            f" {count_of(report.labels, 'label')} at {count_of(report.instants, 'instant')} and the end,"
            f" {count_of(report.home_rows, 'row')} of this home:"
            f" {report.rate:.2%} of values match"
        )
    return report, write_audit(settings.home / AUDITS, "consistency", report, domain)
