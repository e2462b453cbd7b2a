"""How a period of events is replayed: in which order they are delivered, and what is asked in between."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.errors import MarqueeError
from feature_repo.define.column import EVENT_TIMESTAMP
from feature_repo.define.domain import Domain
from validation.audit.reading import label_keys

INSTANT = pa.timestamp("us", "UTC")
LATEST = 2
"""A late event comes after one to this many further instants."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A replay.

    Args:
        cut: microseconds since 1970; earlier events are there from the start.
        instants: the label instants, in order (microseconds).
        end: the instant from which all events are known.
        events: the period's, with `batch`: delivered before the instant of that place, those of
            `len(instants)` after the last.
        late: how many events are delivered after an instant that they precede.
        labels: what is asked: keys, `event_timestamp` and `place`, the instant's; those of
            `len(instants)` at the end.
        behind: of each label, whether an event of one of its keys is still on its way then.
    """

    cut: int
    instants: tuple[int, ...]
    end: int
    events: pa.Table
    late: int
    labels: pa.Table
    behind: np.ndarray

    def batch(self, place: int) -> pa.Table:
        """The events that are delivered before an instant and after the one before it."""
        return self.events.filter(pc.equal(self.events["batch"], place)).drop_columns(["batch"])


def make_plan(
    everything: pa.Table, domain: Domain, *, events: int, instants: int, pairs: int, late: float, seed: int
) -> Plan:
    """Choose a period, label instants in it, who is late, and what to ask.

    Args:
        everything: all events, from `reading.read_labels`.
        domain: what they are about.
        events: the period holds about this many, the last ones; events of one instant stay together.
        instants: how many label instants, drawn from those of the period's events.
        pairs: of keys, asked for at each instant: those of the instant's own events, of events since the
            instant before, and any of the period. At the end, each key of the period.
        late: share of the events that come after a later label instant.
        seed: of all draws.

    Raises:
        MarqueeError: there are too few events for a period with something before it.
    """
    rng = np.random.default_rng(seed)
    at = everything[EVENT_TIMESTAMP].cast(INSTANT).cast(pa.int64()).to_numpy()
    cut = int(at[max(len(at) - events, 0)]) if len(at) else 0
    first = int(np.searchsorted(at, cut))
    # Of those after the first, so that something is delivered before each.
    inside = np.unique(at[first:])[1:]
    if first == 0 or len(inside) < instants:
        raise MarqueeError(
            f"A replay of the last {events:,} events with {instants} label instants needs"
            f" {domain.events.name} before the period and more instants within: the lake has {len(at):,}"
            f" {domain.events.name}. Ask for others (--events, --instants)."
        )
    chosen = np.sort(rng.choice(inside, instants, replace=False))
    period = everything.slice(first)
    at = at[first:]
    due = np.searchsorted(chosen, at, side="right")  # an event is due before the first instant after it
    held_back = np.where(rng.random(len(at)) < late, rng.integers(1, LATEST + 1, len(at)), 0)
    batch = np.minimum(due + held_back, instants)
    order = rng.permutation(len(at))  # within a batch, in no order
    events_ = period.append_column("batch", pa.array(batch, pa.int64())).take(pa.array(order))
    end = int(at[-1]) + 1
    keys = label_keys(domain)
    labels = _labels(period.select(keys), at, due, chosen, end, pairs, rng)
    on_its_way = [(at < instant) & (batch > place) for place, instant in enumerate(chosen)]
    return Plan(
        cut,
        tuple(int(instant) for instant in chosen),
        end,
        events_,
        int((batch > due).sum()),
        labels,
        _behind(labels, period.select(keys), on_its_way),
    )


def _labels(
    keys: pa.Table,
    at: np.ndarray,
    due: np.ndarray,
    chosen: np.ndarray,
    end: int,
    pairs: int,
    rng: np.random.Generator,
) -> pa.Table:
    """What is asked at each instant and at the end, of the keys of the period's events."""
    together = list(zip(*(column.to_pylist() for column in keys.columns), strict=True))
    asked: list[tuple[Any, ...]] = []
    for place, instant in enumerate(chosen):
        own, fresh = np.flatnonzero(at == instant), np.flatnonzero(due == place)
        rows = [*own, *rng.permutation(fresh)[: pairs // 2], *rng.permutation(len(at))]
        wanted = dict.fromkeys(together[row] for row in rows)
        asked += [(*pair, int(instant), place) for pair in list(wanted)[: max(pairs, len(own))]]
    each = [sorted(set(values)) for values in zip(*together, strict=True)]
    for i in range(max(map(len, each))):
        asked.append((*(values[i % len(values)] for values in each), end, len(chosen)))
    schema = pa.schema([*keys.schema, (EVENT_TIMESTAMP, pa.int64()), ("place", pa.int64())])
    labels = pa.table(list(zip(*asked, strict=True)), schema)
    return labels.set_column(keys.num_columns, EVENT_TIMESTAMP, labels[EVENT_TIMESTAMP].cast(INSTANT))


def _behind(labels: pa.Table, keys: pa.Table, on_its_way: Sequence[np.ndarray]) -> np.ndarray:
    """(n,) whether an event of one of a label's keys is on its way at the label's instant."""
    behind = np.zeros(labels.num_rows, bool)
    places = labels["place"].to_pylist()
    for name in keys.column_names:
        late = [set(keys[name].filter(pa.array(mask)).to_pylist()) for mask in on_its_way]
        late.append(set())  # at the end, all have come
        rows = zip(labels[name].to_pylist(), places, strict=True)
        behind |= np.array([value in late[place] for value, place in rows], bool)
    return behind
