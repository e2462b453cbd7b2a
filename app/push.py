"""A new event's way: checked, into the lake, into the features it touches, online."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import and_
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feast import FeatureStore

from common.files import json_in, write_atomically
from common.progress import Progress, ignore
from common.settings import Settings
from feature_repo.applied import applied_views
from feature_repo.define.column import EVENT_TIMESTAMP
from feature_repo.define.domain import Domain
from feature_repo.define.table import Table
from feature_repo.online.send import Sent, send_changed
from lake.session import StartSpark
from lake.tables import exists, rows_of

if TYPE_CHECKING:
    from pipelines.features.update import Update
    from pipelines.ingest import TableReport
    from pipelines.sources.source import Raw


PENDING = "push.json"
"""In a home: events that were pushed without an instant, and are not yet online as far as is known."""
REPEATED_WITHIN = timedelta(days=1)
"""For how long the same event, pushed again, is the one that was cut off."""


def instant_of(settings: Settings, events: Table, values: Mapping[str, Any]) -> datetime:
    """When an event happened that is pushed without an instant: now.

    Where the same event was pushed before, got into the lake and no further, it is the instant of then: a
    command that was cut off may be typed again, and counts once. The caller holds the home for writing.

    Args:
        events: their table.
        values: of its columns but the instant.

    Raises:
        MarqueeError: the home cannot be written.
    """
    now = datetime.now(UTC)
    begun = {at: of for at, of in _pending(settings.home).items() if now - at < REPEATED_WITHIN}
    for at, of in begun.items():
        if of == values and _is_in_lake(settings.lake, events, {**values, EVENT_TIMESTAMP: at}):
            return at
    _keep(settings.home, {**begun, now: values})
    return now


def forget(settings: Settings, at: datetime) -> None:
    """Note that what was pushed with an instant of `instant_of` is online, or never will be."""
    _keep(settings.home, {other: of for other, of in _pending(settings.home).items() if other != at})


def _keep(home: Path, pending: Mapping[datetime, Mapping[str, Any]]) -> None:
    if pending:
        told = {at.isoformat(): dict(values) for at, values in pending.items()}
        write_atomically(home / PENDING, json.dumps(told) + "\n")
    else:
        (home / PENDING).unlink(missing_ok=True)


def _pending(home: Path) -> dict[datetime, Any]:
    """By their instants; none where the file is damaged, which costs no more than what it is for."""
    try:
        told = json_in((home / PENDING).read_text())
        found = {datetime.fromisoformat(at): dict(values) for at, values in told.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    return {at: values for at, values in found.items() if at.tzinfo is not None}


def _is_in_lake(lake: Path, events: Table, values: Mapping[str, Any]) -> bool:
    import pyarrow.compute as pc

    if not exists(lake, events.name):
        return False
    same = reduce(and_, (pc.field(name) == value for name, value in values.items()))
    return bool(rows_of(lake, events.name).count_rows(filter=same))


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
