"""How a period of events is replayed: in which order they are delivered, and what is asked in between."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.errors import MarqueeError
from feature_repo.schema import EVENT_TIMESTAMP

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
        events: the period's ratings, with `batch`: delivered before the instant of that place, those of
            `len(instants)` after the last.
        late: how many events are delivered after an instant that they precede.
        labels: what is asked: `user_id`, `movie_id`, `event_timestamp` and `place`, the instant's; those of
            `len(instants)` at the end.
        behind: of each label, whether an event of its user or its movie is still on its way then.
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


def make_plan(ratings: pa.Table, *, events: int, instants: int, pairs: int, late: float, seed: int) -> Plan:
    """Choose a period, label instants in it, who is late, and what to ask.

    Args:
        ratings: all, in the order of time: `user_id`, `movie_id`, `event_timestamp`, `rating`.
        events: the period holds about this many, the last ones; events of one instant stay together.
        instants: how many label instants, drawn from those of the period's events.
        pairs: of a user and a movie, asked for at each instant: those of the instant's own labels, of events
            since the instant before, and any of the period. At the end, each user and movie of the period.
        late: share of the events that come after a later label instant.
        seed: of all draws.

    Raises:
        MarqueeError: there are too few ratings for a period with something before it.
    """
    rng = np.random.default_rng(seed)
    at = ratings[EVENT_TIMESTAMP].cast(INSTANT).cast(pa.int64()).to_numpy()
    cut = int(at[max(len(at) - events, 0)]) if len(at) else 0
    first = int(np.searchsorted(at, cut))
    # Of those after the first, so that something is delivered before each.
    inside = np.unique(at[first:])[1:]
    if first == 0 or len(inside) < instants:
        raise MarqueeError(
            f"A replay of the last {events:,} events with {instants} label instants needs ratings before the"
            f" period and more instants within: the lake has {len(at):,} ratings. Ask for others (--events,"
            " --instants)."
        )
    chosen = np.sort(rng.choice(inside, instants, replace=False))
    period = ratings.slice(first)
    at = at[first:]
    due = np.searchsorted(chosen, at, side="right")  # an event is due before the first instant after it
    held_back = np.where(rng.random(len(at)) < late, rng.integers(1, LATEST + 1, len(at)), 0)
    batch = np.minimum(due + held_back, instants)
    order = rng.permutation(len(at))  # within a batch, in no order
    events_ = period.append_column("batch", pa.array(batch, pa.int64())).take(pa.array(order))
    end = int(at[-1]) + 1
    labels = _labels(period, at, due, chosen, end, pairs, rng)
    on_its_way = [(at < instant) & (batch > place) for place, instant in enumerate(chosen)]
    return Plan(
        cut,
        tuple(int(instant) for instant in chosen),
        end,
        events_,
        int((batch > due).sum()),
        labels,
        _behind(labels, period, on_its_way),
    )


def _labels(
    period: pa.Table,
    at: np.ndarray,
    due: np.ndarray,
    chosen: np.ndarray,
    end: int,
    pairs: int,
    rng: np.random.Generator,
) -> pa.Table:
    users, movies = (period[name].to_numpy() for name in ("user_id", "movie_id"))
    asked: list[tuple[int, int, int, int]] = []
    for place, instant in enumerate(chosen):
        own, fresh = np.flatnonzero(at == instant), np.flatnonzero(due == place)
        rows = [*own, *rng.permutation(fresh)[: pairs // 2], *rng.permutation(len(at))]
        wanted = dict.fromkeys((int(users[row]), int(movies[row])) for row in rows)
        asked += [(user, movie, int(instant), place) for user, movie in list(wanted)[: max(pairs, len(own))]]
    all_users, all_movies = np.unique(users), np.unique(movies)
    for i in range(max(len(all_users), len(all_movies))):
        user, movie = all_users[i % len(all_users)], all_movies[i % len(all_movies)]
        asked.append((int(user), int(movie), end, len(chosen)))
    columns = [pa.array(column, pa.int64()) for column in zip(*asked, strict=True)]
    columns[2] = columns[2].cast(INSTANT)
    return pa.table(columns, names=["user_id", "movie_id", EVENT_TIMESTAMP, "place"])


def _behind(labels: pa.Table, period: pa.Table, on_its_way: Sequence[np.ndarray]) -> np.ndarray:
    users, movies = (period[name].to_numpy() for name in ("user_id", "movie_id"))
    late = [(set(users[mask].tolist()), set(movies[mask].tolist())) for mask in on_its_way]
    late.append((set(), set()))  # at the end, all have come
    rows = zip(*(labels[name].to_pylist() for name in ("user_id", "movie_id", "place")), strict=True)
    return np.array([user in late[place][0] or movie in late[place][1] for user, movie, place in rows], bool)
