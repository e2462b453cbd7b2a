"""Who rates how much and when: users' activity, arrival and visits. Pure functions of the config."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np

from common.errors import MarqueeError
from pipelines.sources.synthetic.catalogue import (
    FIRST_YEAR,
    LAST_YEAR,
    USERS_STREAM,
    Floats,
    Ints,
    catalogue,
    stream,
)
from pipelines.sources.synthetic.config import MIN_RATINGS, SyntheticConfig

START = int(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp())
END = int(datetime(LAST_YEAR, 10, 1, tzinfo=UTC).timestamp())
"""Visits start within these; a visit may last some hours beyond the end."""
DAY = 86_400
YEAR = 365.2425 * DAY

# All measured on MovieLens-small; benchmarks/synthetic_resemblance.py compares the outcome.
ACTIVITY_SPREAD = 1.4  # deviation of log(ratings - 19) over users
MOST_OF_AVAILABLE = 0.5  # of the movies out when a user joins, the share that one may rate
MONTHLY_ARRIVALS_SPREAD = 0.5  # deviation of the log of a month's arrivals
RETURNING = (-0.3, 1.3)  # log-odds of more than one visit: at activity 0, and per unit of activity
FURTHER_VISITS = (0.7, 1.2, 1.6)  # log of their number: mean at activity 0, per unit of activity, deviation
SPAN_DAYS = (
    3.4,
    0.8,
    1.8,
)  # log of days from first to last visit: mean, per log of further visits, deviation
FIRST_VISIT = (0.8, 1.1)  # Beta: share of a returning user's ratings in the first visit
EARLY_VISITS = 1.3  # above 1, visits grow rarer with time
UNEVEN_VISITS = 3.0  # above 1, some visits take many more ratings than others
SAME_SECOND = (0.45, 1.55)  # Beta over users: share of ratings sent together with the one before
SECONDS_BETWEEN = (2.65, 1.42)  # log-normal, for the others


@dataclass(frozen=True, slots=True)
class Users:
    """How many ratings each user gives, and when the first (seconds since 1970); one row per user."""

    count: Ints
    joined: Ints


@lru_cache(maxsize=2)
def plan_users(config: SyntheticConfig) -> Users:
    """Activity and arrival of all users: log-normal beyond the minimum, exactly `config.ratings` in all.

    Raises:
        MarqueeError: so many ratings cannot be given, as early users find too few movies.
    """
    rng = stream(config, USERS_STREAM)
    joined = _arrivals(rng, config.users)
    most = np.maximum((MOST_OF_AVAILABLE * _available(config, joined)).astype(np.int64), MIN_RATINGS)
    appetite = np.exp(ACTIVITY_SPREAD * rng.standard_normal(config.users))
    if most.sum() < config.ratings:
        raise MarqueeError(
            f"{config.ratings:,} ratings are too many for {config.users:,} users and {config.movies:,} "
            "movies, of which the first users find fewer than half: ask for "
            f"{most.sum():,} ratings at most, or for more movies."
        )

    def counts(scale: float) -> Floats:
        return np.clip(MIN_RATINGS - 1 + scale * appetite, MIN_RATINGS, most)

    low, high = 0.0, 1.0
    while counts(high).sum() < config.ratings and high < 1e12:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if counts(middle).sum() < config.ratings else (low, middle)
    wanted = counts(low)
    count = np.floor(wanted).astype(np.int64)
    # What rounding down took goes to the largest remainders.
    open_ = np.argsort(np.where(count < most, count - wanted, 1.0), kind="stable")
    count[open_[: config.ratings - int(count.sum())]] += 1
    return Users(count, joined)


def draw_visits(users: Users, activity: Floats, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """For each rating the user's row, the calendar year in which its visit starts, and its second.

    Sorted by user and visit. A user's visits may overlap; that does no harm.

    Args:
        activity: log of each user's ratings over half the mean (about the median): the active come back.
    """
    people, total = len(users.count), int(users.count.sum())
    chance = sigmoid(RETURNING[0] + RETURNING[1] * activity)
    returning = rng.random(people) < chance
    mean, slope, deviation = FURTHER_VISITS
    log_further = mean + slope * activity + deviation * rng.standard_normal(people)
    further = np.clip(np.ceil(np.exp(np.minimum(log_further, 20))), 1, users.count // 2)
    visits = 1 + np.where(returning, further, 0).astype(np.int64)
    mean, slope, deviation = SPAN_DAYS
    days = np.exp(mean + slope * np.log(further) + deviation * rng.standard_normal(people))
    span = np.minimum(DAY * days, END - users.joined)
    first_share = np.where(returning, rng.beta(*FIRST_VISIT, people), 1.0)

    # Start of every visit, users one after the other: the first at 0, the last at the end of the span.
    first = np.cumsum(visits) - visits
    owner = np.repeat(np.arange(people), visits)
    place = rng.random(len(owner)) ** EARLY_VISITS
    place[first] = 0.0
    last = first + visits - 1
    place[last[visits > 1]] = 1.0
    start = users.joined[owner] + (place * span[owner]).astype(np.int64)

    row = np.repeat(np.arange(people), users.count)
    others = visits[row] - 1
    other = 1 + np.minimum((rng.random(total) ** UNEVEN_VISITS * others).astype(np.int64), others - 1)
    visit = first[row] + np.where(rng.random(total) < first_share[row], 0, other)
    visit = visit[np.lexsort((visit, start[visit], row))]

    together = rng.beta(*SAME_SECOND, people)
    pause = np.ceil(np.exp(rng.normal(*SECONDS_BETWEEN, total))).astype(np.int64)
    pause[rng.random(total) < together[row]] = 0
    opens = np.concatenate([[True], visit[1:] != visit[:-1]])
    pause[opens] = 0
    elapsed = np.cumsum(pause)
    elapsed -= elapsed[opens][np.cumsum(opens) - 1]
    return row, year_of(start[visit]), start[visit] + elapsed


def sigmoid(logit: Floats) -> Floats:
    """The probability of a logit."""
    return np.asarray(1.0 / (1.0 + np.exp(-logit)))


def _arrivals(rng: np.random.Generator, users: int) -> Ints:
    """When each user first rates: some months bring several times as many as others."""
    edges = np.linspace(START, END - DAY, (LAST_YEAR - FIRST_YEAR) * 12 + 10)
    weight = np.exp(MONTHLY_ARRIVALS_SPREAD * rng.standard_normal(len(edges) - 1))
    cumulative = np.concatenate([[0.0], np.cumsum(weight)]) / weight.sum()
    return np.interp(rng.random(users), cumulative, edges).astype(np.int64)


def _available(config: SyntheticConfig, moment: Ints) -> Ints:
    """How many movies are out in the year of each moment."""
    years = np.sort(catalogue(config).release_year)
    return np.searchsorted(years, year_of(moment), side="right").astype(np.int64)


def year_of(moment: Ints) -> Ints:
    """Calendar year (UTC) of seconds since 1970."""
    return np.asarray(moment.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970)
