"""A new event's way: checked, into the lake, into the features it touches, online."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from feast import FeatureStore

from common.progress import Progress, ignore
from feature_repo.applied import applied_views
from feature_repo.define.domain import Domain
from feature_repo.online.send import Sent, send_changed
from lake.session import StartSpark

if TYPE_CHECKING:
    from pipelines.features.update import Update
    from pipelines.ingest import TableReport
    from pipelines.sources.source import Raw


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of new events.

    Args:
        events: how many were accepted, quarantined or known.
        updates: of the feature tables that events flow into; none where no event was accepted or known.
        sent: what went online of these.
        seconds: by step: "ingest", "features", "online".
    """

    events: "TableReport"
    updates: tuple["Update", ...]
    sent: tuple[Sent, ...]
    seconds: dict[str, float]


def push(
    spark: StartSpark,
    store: FeatureStore,
    events: "Raw",
    domain: Domain,
    on_progress: Progress = ignore,
) -> Pushed:
    """Take in new events, and bring online what follows from them.

    They may be late: what is online then is the newest row as it follows from all events. The caller holds
    the home for writing. A push that was killed while it wrote to the lake is rolled back by the next
    command that writes; one killed later is completed by the next push, or by running the pipelines and
    materialising.

    Args:
        spark: starts Spark, which many events need, and few do not.
        store: an applied store, whose lake this is.
        events: raw rows, as `pipelines.sources.new_events` makes them.

    Raises:
        MarqueeError: the lake has no catalogue or no events yet, nothing is applied (then nothing is
            written), or the disk refuses.
    """
    from pipelines.features.jobs import run_job
    from pipelines.ingest import add_events

    lake = Path(store.config.offline_store.lake)
    views = [view.name for view in domain.views_over(domain.events.name)]
    applied_views(store, views)  # which refuses before anything is written
    started = time.perf_counter()
    on_progress(domain.events.name, 0, len(views) + 2)
    taken = add_events(spark, events, lake, domain)
    seconds = {"ingest": time.perf_counter() - started}
    if not taken.accepted and not taken.known:
        return Pushed(taken, (), (), seconds)
    started = time.perf_counter()
    updates = []
    for position, name in enumerate(views):
        on_progress(name, position + 1, len(views) + 2)
        updates.append(run_job(spark, lake, domain, name))
    seconds["features"] = time.perf_counter() - started
    started = time.perf_counter()
    on_progress("online", len(views) + 1, len(views) + 2)
    sent = send_changed(store, views)
    seconds["online"] = time.perf_counter() - started
    return Pushed(taken, tuple(updates), tuple(sent), seconds)
