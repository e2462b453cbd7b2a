"""The consistency audit: what is served at an instant is what a training set has for that instant.

A period of past events is replayed into a scratch home, which starts with what happened before the period.
Events come in batches, one between two label instants, by push or by the pipelines and materialise in turn.
At each label instant the online store is read, and compared with what the audited home's offline store joins
at that instant. After the last event, every key of the period is read and compared once more.

Late events. Some events are delivered only after later label instants, as happens. Until then they cannot be
served, while the audited home's tables hold them. A label with such an event of one of its keys on its way
is therefore judged by what was known then: a plain loop over the events delivered so far (`audit.oracle`).
All others are judged by the offline join, value for value and to the last bit. At the end nothing is on its
way, so an event that never arrived shows.

Before that, rows that the audited home has online itself are compared with its tables: of each view up to
`HOME_ROWS` keys whose newest row did not change since the view was last brought online.

Staleness is how much older the online row is than the offline row of the same label. Online stores may keep
whole seconds: less than one does not count, and values tell anyway.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import pyarrow as pa
from feast import FeatureStore

from common.progress import Progress
from feature_repo.define.column import BEGINNING, EVENT_TIMESTAMP, KNOWN_AFTER, Column
from feature_repo.define.domain import Domain
from feature_repo.define.view import View
from feature_repo.feast_internals import offline_store, online_store
from feature_repo.online.served import served_rows
from lake.duckdb import MEMORY
from validation.audit.consistency_plan import Plan, make_plan
from validation.audit.consistency_report import ConsistencyReport, FeatureConsistency
from validation.audit.oracle import Row, features_at, known_from, same
from validation.audit.reading import (
    History,
    known_since,
    label_in_words,
    label_keys,
    lake,
    moment,
    offline_rows,
    read_labels,
    value_in_words,
)

EVENTS, INSTANTS, PAIRS, LATE = 2_000, 8, 200, 0.05
HOME_ROWS = 20_000
RUN_EVERY = 3
"""Every so manyth delivery goes by the pipelines and materialise, the others by push."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The scratch home's side of the audit.

    Args:
        build: fills the scratch home with what happened before an instant, and brings it online.
        push: delivers events, in the columns of the domain's table of events, by push.
        run: delivers events by the pipelines and materialise.
        look_up: reads the online store for rows of keys (`reading.label_keys`): adds the features and
            `<view>_known_since` to their columns.
    """

    build: Callable[[datetime], None]
    push: Callable[[pa.Table], None]
    run: Callable[[pa.Table], None]
    look_up: Callable[[pa.Table], pa.Table]


@dataclass
class _Compared:
    """What was compared of one feature so far."""

    compared: int = 0
    matched: int = 0
    stale: int = 0
    staleness: float = 0.0
    largest: float | None = None
    example: str = ""


@dataclass
class _Truth:
    """What each label should be, and since when that is known by view.

    Args:
        domain: what it is about.
        rows: from the offline join.
        history: the whole of the labels' keys, for those with something on its way.
        cut: earlier events are there from the start.
        arrived: events of the period delivered so far, each by what makes it unique.
    """

    domain: Domain
    rows: list[dict[str, Any]]
    history: History
    cut: datetime
    arrived: set[tuple[Any, ...]] = field(default_factory=set)

    def take_in(self, events: pa.Table) -> None:
        """Learn that events were delivered."""
        self.arrived.update(map(self._name, events.to_pylist()))

    def known_then(self, row: Row) -> dict[str, Any]:
        """What a label should be by the events that have been delivered: its keys, features and stamps."""
        found: dict[str, Any] = {EVENT_TIMESTAMP: row[EVENT_TIMESTAMP]}
        found |= {name: row[name] for name in label_keys(self.domain)}
        for view in self.domain.views:
            events = [
                event
                for event in self.history.of_key(view, row)
                if known_from(view, event) <= row[EVENT_TIMESTAMP] and self._is_there(view, event)
            ]
            values = features_at(view, events, row[EVENT_TIMESTAMP]) or {}
            found |= {column.name: values.get(column.name) for column in view.columns}
            found[known_since(view)] = known_from(view, events[-1]) if events else None
        return found

    def _is_there(self, view: View, event: Row) -> bool:
        return view.is_timeless or event[EVENT_TIMESTAMP] < self.cut or self._name(event) in self.arrived

    def _name(self, event: Row) -> tuple[Any, ...]:
        return tuple(event[name] for name in self.domain.events.unique)


def audit_consistency(
    store: FeatureStore,
    domain: Domain,
    replay: Replay,
    *,
    events: int = EVENTS,
    instants: int = INSTANTS,
    pairs: int = PAIRS,
    late: float = LATE,
    seed: int = 0,
    memory: str = MEMORY,
    on_progress: Progress | None = None,
) -> ConsistencyReport:
    """Replay a period and compare what is served with what is trained on.

    Args:
        store: the audited home's, applied; it is read only.
        domain: what its lake is about.
        replay: the scratch home's side.
        events: about how many of the last events make the period.
        instants: at how many label instants the online store is read.
        pairs: of keys, such as a user and an item, read at each.
        late: share of the events that come late.
        seed: of all draws.
        memory: limit of the SQL over the lake, past which it spills.

    Raises:
        MarqueeError: there are too few events, a table is not there, or nothing is applied yet.
    """
    started = perf_counter()
    total = instants + 3

    def told(what: str, done: int) -> None:
        if on_progress is not None:
            on_progress(what, done, total)

    told("offline join", 0)
    with lake(store, domain, memory) as con:
        everything = read_labels(con, domain)
        plan = make_plan(
            everything, domain, events=events, instants=instants, pairs=pairs, late=late, seed=seed
        )
        history = History.of(con, domain, plan.labels.filter(pa.array(plan.behind)))
        truth = _Truth(
            domain, offline_rows(store, domain, plan.labels).to_pylist(), history, moment(plan.cut)
        )
    tallies: dict[str, _Compared] = defaultdict(_Compared)
    home_rows = _compare_home(store, domain, seed, tallies)
    told("scratch home before the period", 1)
    replay.build(moment(plan.cut))
    pushes = runs = 0
    for place in range(instants + 1):
        batch = plan.batch(place)
        by_run = place % RUN_EVERY == RUN_EVERY - 1
        told(f"{batch.num_rows:,} events by {'materialise' if by_run else 'push'}", place + 2)
        if batch.num_rows:
            (replay.run if by_run else replay.push)(batch)
            pushes, runs = pushes + (not by_run), runs + by_run
        truth.take_in(batch)
        _compare(plan, truth, replay, place, tallies)
    return ConsistencyReport(
        offline=type(offline_store(store)).__name__,
        online=type(online_store(store)).__name__,
        start=moment(plan.cut),
        end=moment(plan.end) - KNOWN_AFTER,
        events=plan.events.num_rows,
        late=plan.late,
        instants=instants,
        labels=plan.labels.num_rows,
        known_then=int(plan.behind.sum()),
        home_rows=home_rows,
        pushes=pushes,
        runs=runs,
        seed=seed,
        features=tuple(
            FeatureConsistency(view.name, column.name, **asdict(tallies[column.name]))
            for view in domain.views
            for column in view.columns
        ),
        created=datetime.now(UTC),
        seconds=perf_counter() - started,
    )


def _compare(plan: Plan, truth: _Truth, replay: Replay, place: int, tallies: dict[str, _Compared]) -> None:
    """Read the online store for the labels of an instant, and count."""
    places = [i for i, of in enumerate(plan.labels["place"].to_pylist()) if of == place]
    asked = plan.labels.take(pa.array(places, pa.int64()))
    online = replay.look_up(asked.select(label_keys(truth.domain))).to_pylist()
    for i, got in zip(places, online, strict=True):
        behind = bool(plan.behind[i])
        want = truth.known_then(truth.rows[i]) if behind else truth.rows[i]
        for view in truth.domain.views:
            stale = _staleness(got[known_since(view)], want[known_since(view)])
            for column in view.columns:
                _count(
                    tallies[column.name],
                    column,
                    got[column.name],
                    want[column.name],
                    stale,
                    by_loop=behind,
                    where=label_in_words(truth.domain, want),
                )


def _count(
    tally: _Compared, column: Column, served: Any, trained: Any, stale: float, by_loop: bool, where: str
) -> None:
    """Compare a value online with what it has to be; of a plain loop, up to rounding."""
    alike = served == trained or (by_loop and same(served, trained))
    tally.compared += 1
    tally.matched += alike
    tally.stale += stale > 0
    tally.staleness = max(tally.staleness, stale)
    if column.type.is_number and served is not None and trained is not None and not alike:
        tally.largest = max(tally.largest or 0.0, abs(served - trained))
    if not alike and not tally.example:
        tally.example = (
            f"{where}: {value_in_words(served)} online,"
            f" {value_in_words(trained)} {'by what was known' if by_loop else 'offline'}"
        )


def _compare_home(store: FeatureStore, domain: Domain, seed: int, tallies: dict[str, _Compared]) -> int:
    """Compare rows that the home has online with its tables, and count; how many rows there were."""
    rows = 0
    for view in domain.views:
        for row in served_rows(store, store.get_feature_view(view.name), HOME_ROWS, seed):
            rows += 1
            stale = _staleness(row.online_at, row.offline_at)
            key = ", ".join(f"{name} {value}" for name, value in row.key.items())
            for column in view.columns:
                _count(
                    tallies[column.name],
                    column,
                    row.online[column.name],
                    row.offline[column.name],
                    stale,
                    by_loop=False,
                    where=f"{key} in the home's own online store",
                )
    return rows


def _staleness(online: datetime | None, offline: datetime | None) -> float:
    """By how many seconds the online row is older; 0 for less than one, for stores that keep whole ones."""
    if offline is None:
        return 0.0
    gap = (offline - (online or BEGINNING)).total_seconds()
    return gap if gap >= 1 else 0.0
