"""Feature tables computed from the clean ones, published to the registry, and brought online."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from app.home import refuse_own, writing
from app.ingest import require_sources
from app.spark import spark_on_demand
from common.files import file_to_write, refuse_to_replace
from common.progress import Stages
from common.settings import Settings
from common.words import count, count_of
from feature_repo.define.domain import Domain
from lake.session import StartSpark

if TYPE_CHECKING:
    from feature_repo.online.send import Sent
    from pipelines.features.update import Update


def compute(
    settings: Settings, domain: Domain, names: list[str], stages: Stages, full: bool = False
) -> "list[Update]":
    """Bring feature tables up to date with the lake, or compute them anew (`full`).

    Args:
        names: of the tables; empty for all.

    Raises:
        MarqueeError: a name is unknown, or the lake lacks what they are computed from.
    """
    from pipelines.features.jobs import job_names
    from pipelines.ingest import complete

    jobs = job_names(domain, names)
    read = dict.fromkeys(table for name in jobs for table in domain.view(name).over.tables)
    require_sources(settings, domain, read, but_later_ones=True)
    with writing(settings.home):
        complete(settings.lake, domain)
        return compute_stage(spark_on_demand(settings, stages), settings, domain, jobs, stages, full)


def compute_stage(
    spark: StartSpark, settings: Settings, domain: Domain, jobs: Iterable[str], stages: Stages, full: bool
) -> "list[Update]":
    """The part of `compute` that knows the jobs; the caller holds the home."""
    from pipelines.features.jobs import run_job

    jobs = list(jobs)
    updates = []
    with stages.stage("features") as stage:
        for position, name in enumerate(jobs):
            stage.report(name, position, len(jobs))
            updates.append(run_job(spark, settings.lake, domain, name, full))
        written = sum(update.rows for update in updates)
        stage.outcome = f"{count_of(written, 'row')} written to {count_of(len(updates), 'table')}"
    return updates


def apply_stage(settings: Settings, domain: Domain, stages: Stages) -> None:
    """Publish a domain to the registry; the caller holds the home."""
    from feature_repo import store

    with stages.stage("apply") as stage:
        stage.outcome = f"{count_of(len(store.apply(settings, domain)), 'change')} in the registry"


def materialize_stage(settings: Settings, stages: Stages) -> "list[Sent]":
    """Bring the newest rows of the keys that changed online; the caller holds the home."""
    from feature_repo import store

    if settings.profile == "scale":
        from feature_repo.profile import profile_settings
        from feature_repo.servers import eviction

        evicts = eviction(profile_settings(settings))
        if evicts is not None:
            stages.note(f"{evicts}.")
    with stages.stage("materialize") as stage:
        sent = store.materialize(settings, on_progress=stage.report)
        stage.outcome = online_line(sent)
    return sent


def online_line(sent: "list[Sent]") -> str:
    """What went online, as one line."""
    if all(part.since == part.version for part in sent):
        return f"nothing changed in {count_of(len(sent), 'view')}"
    rows, refused = sum(part.rows for part in sent), sum(part.refused for part in sent)
    older = f"; {count(refused)} were older than what is there" if refused else ""
    missing = sum(part.missing for part in sent)
    back = f"; {count(missing)} had gone and are back" if missing else ""
    return f"{count_of(rows, 'key')} of {count_of(len(sent), 'view')} online{older}{back}"


def require_features(settings: Settings, domain: Domain) -> None:
    """Refuse a home that has no events, or no feature store to join features from; makes nothing.

    Raises:
        MarqueeError: says what to run.
    """
    from feature_repo.store import require_store

    require_sources(settings, domain, [domain.events])
    require_store(settings)


def join_labels(
    settings: Settings, domain: Domain, service: str, labels: Path, out: Path, stages: Stages
) -> int:
    """Join a service's features to the labels of a Parquet file; how many rows `out` then has.

    Raises:
        MarqueeError: nothing is applied, the service is unknown, or the labels cannot be used, or would be
            replaced.
    """
    from feature_repo.store import open_store
    from training.data.dataset import dataset_file

    refuse_to_replace({"--labels": labels}, file_to_write(out))
    refuse_own(settings.home, out)
    with stages.stage("dataset") as stage:
        rows = dataset_file(open_store(settings), domain, service, labels, out)
        stage.outcome = f"{count_of(rows, 'label')} with the features of {service} in {out}"
    return rows
