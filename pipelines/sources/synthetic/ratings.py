"""What users rate and how. Pure functions of the config; users come in blocks of a fixed size.

Everything is drawn block by block from a stream of its own, so that the content depends neither on how many
blocks are computed together nor on the order; within a block all is vectorised. Choice and rating are

    log-odds that user u rates movie m   a(u,m,t) = log w(m) + r(t - y(m)) + kg g(u,t)·G(m) + kc c(u,t)·C(m)
    logit that u likes m                 l(u,m,t) = k + b(u) + q(m) + g(u,t)·G(m) + c(u,t)·C(m)

with popularity weight w, recency r after the release y, mood traits G, poster colours C, and tastes g, c that
drift with time. A user's n movies of one year are the n largest of a(u,m) plus Gumbel noise, which is
sampling without replacement in proportion to exp(a) (W. Kool, H. van Hoof, M. Welling: Stochastic Beams and
Where to Find Them, 2019).
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from pipelines.sources.synthetic.catalogue import (
    BLOCK_STREAM,
    COLOURS,
    FIRST_YEAR,
    LAST_YEAR,
    MOODS,
    PILOT_STREAM,
    TASTES,
    Catalogue,
    Floats,
    Ints,
    catalogue,
    stream,
)
from pipelines.sources.synthetic.config import SyntheticConfig
from pipelines.sources.synthetic.users import START, YEAR, Users, draw_visits, sigmoid

BLOCK = 256
"""Users in a block. Part of the recipe: another size gives other content."""
PILOT_USERS = 1024

HALF_STARS_SINCE = int(datetime(2003, 5, 16, tzinfo=UTC).timestamp())
"""Before, MovieLens had whole stars only."""

# All measured on MovieLens-small; benchmarks/synthetic_resemblance.py compares the outcome.
RECENCY, RECENCY_YEARS = 1.6, 15.0  # a fresh movie's bonus in log-odds, and how fast it fades
HALF_STAR_USERS = 0.9  # of those who can
STAR_FOLLOWS_LOGIT = 0.85  # correlation of the stars with the logit, given like or not

WHOLE_STARS = (0.0, 0.0493, 0.0, 0.0986, 0.0, 0.2821, 0.0, 0.3531, 0.0, 0.2169)
HALF_STARS = (0.0191, 0.0215, 0.0293, 0.0536, 0.0773, 0.1406, 0.1830, 0.2391, 0.1341, 0.1023)
"""How often each of .5, 1, …, 5 stars is given by people who use whole stars and by those who use halves."""
NOT_LIKED_STARS = 6  # .5 to 3

CHUNK = 1 << 21  # (user, movie) pairs that are scored at once


@dataclass(frozen=True, slots=True)
class Events:
    """Ratings of one block, by user and time; one row per rating.

    Args:
        logit: of liking, without the intercept.
        logit_without_bias: the same without the user's bias.
        half_stars: whether the rating may have a half star.
    """

    user_id: Ints
    movie_id: Ints
    timestamp: Ints
    logit: Floats
    logit_without_bias: Floats
    half_stars: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a pilot found: the intercept that gives the like rate, and how star scores lie given like or not.

    Args:
        intercept: of the like-logit.
        mean, deviation: of the logit.
        disliked, liked: quantiles of the star score, evenly spaced from 0 to 1.
    """

    intercept: float
    mean: float
    deviation: float
    disliked: Floats
    liked: Floats


def blocks(config: SyntheticConfig) -> int:
    return -(-config.users // BLOCK)


def calibrate(config: SyntheticConfig, users: Users) -> Calibration:
    """Find the intercept and the star scores' quantiles on a pilot of users that are not in the data.

    The pilot's users are as active as those of the data; biases are drawn anew for each event, so that the
    few most active do not decide.
    """
    rng = stream(config, PILOT_STREAM)
    alike = rng.integers(0, config.users, PILOT_USERS)
    pilot = Users(users.count[alike], users.joined[alike])
    logit = np.concatenate(
        [
            draw_events(
                config,
                Users(pilot.count[at : at + BLOCK], pilot.joined[at : at + BLOCK]),
                np.arange(BLOCK),
                rng,
            ).logit_without_bias
            for at in range(0, PILOT_USERS, BLOCK)
        ]
    )
    logit = logit + config.user_strength * rng.standard_normal(len(logit))
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sigmoid(middle + logit).mean() < config.like_rate else (low, middle)
    intercept = round((low + high) / 2, 9)
    mean, deviation = float(logit.mean()), float(max(logit.std(), 1e-9))
    liked = rng.random(len(logit)) < sigmoid(intercept + logit)
    score = _star_score(rng, logit, mean, deviation)
    grid = np.linspace(0, 1, 201)
    return Calibration(
        intercept, mean, deviation, np.quantile(score[~liked], grid), np.quantile(score[liked], grid)
    )


def block_events(config: SyntheticConfig, users: Users, block: int) -> tuple[Events, np.random.Generator]:
    """The events of one block of users, and the generator to go on with."""
    rng = stream(config, BLOCK_STREAM, block)
    rows = slice(block * BLOCK, min((block + 1) * BLOCK, config.users))
    ids = np.arange(rows.start + 1, rows.stop + 1)
    return draw_events(config, Users(users.count[rows], users.joined[rows]), ids, rng), rng


def rate(events: Events, calibration: Calibration, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Like-probability and stars of each event: liked is a Bernoulli draw, the stars follow MovieLens."""
    probability = sigmoid(calibration.intercept + events.logit)
    liked = rng.random(len(probability)) < probability
    score = _star_score(rng, events.logit, calibration.mean, calibration.deviation)
    grid = np.linspace(0, 1, len(calibration.liked))
    stars = np.empty(len(score))
    for like, quantiles in ((False, calibration.disliked), (True, calibration.liked)):
        within = np.interp(score, quantiles, grid)
        for halves, table in ((False, WHOLE_STARS), (True, HALF_STARS)):
            here = (liked == like) & (events.half_stars == halves)
            shares = np.array(table[NOT_LIKED_STARS:] if like else table[:NOT_LIKED_STARS])
            edges = np.cumsum(shares)[:-1] / shares.sum()
            first = NOT_LIKED_STARS if like else 0
            step = first + np.searchsorted(edges, within[here] * (1 - 1e-12), side="right")
            stars[here] = 0.5 * (step + 1)
    return probability, stars


def draw_events(config: SyntheticConfig, users: Users, ids: Ints, rng: np.random.Generator) -> Events:
    """Visits and their times, then the movies chosen, then how much each is liked.

    Args:
        users: the block's users, one row each.
        ids: their ids, in the same order.
    """
    movies = catalogue(config)
    activity = np.log(users.count / (0.5 * config.ratings / config.users))
    row, year, timestamp = draw_visits(users, activity, rng)
    bias = config.user_strength * rng.standard_normal(len(ids))
    halves = rng.random(len(ids)) < HALF_STAR_USERS
    tastes = _draw_tastes(config, len(ids), rng)
    movie = _choose(config, movies, row, year, tastes, len(ids), rng)

    since = (timestamp - START) / YEAR
    knot = np.clip(np.floor(since).astype(np.int64), 0, tastes.shape[1] - 2)
    part = np.clip(since - knot, 0.0, 1.0)[:, None]
    now = (1 - part) * tastes[row, knot] + part * tastes[row, knot + 1]
    logit = movies.quality[movie]
    for taste in range(TASTES):
        logit = logit + now[:, taste] * movies.traits[movie, taste]
    order = np.lexsort((movie, timestamp, row))
    row, movie, timestamp, logit = row[order], movie[order], timestamp[order], logit[order]
    may_half = halves[row] & (timestamp >= HALF_STARS_SINCE)
    return Events(ids[row], movie + 1, timestamp, logit + bias[row], logit, may_half)


def _draw_tastes(config: SyntheticConfig, people: int, rng: np.random.Generator) -> Floats:
    """Each user's tastes at each turn of the year, (people, years + 1, TASTES), in logits per trait.

    A stationary random walk: from year to year a share `taste_drift` of the variance is renewed.
    """
    scale = np.repeat(
        [config.genre_strength / np.sqrt(MOODS), config.colour_strength / np.sqrt(len(COLOURS))],
        [MOODS, len(COLOURS)],
    )
    steps = rng.standard_normal((people, LAST_YEAR - FIRST_YEAR + 2, TASTES))
    keep, renew = np.sqrt(1 - config.taste_drift), np.sqrt(config.taste_drift)
    for year in range(1, steps.shape[1]):
        steps[:, year] = keep * steps[:, year - 1] + renew * steps[:, year]
    return np.asarray(steps * scale)


def _choose(
    config: SyntheticConfig,
    movies: Catalogue,
    row: Ints,
    year: Ints,
    tastes: Floats,
    people: int,
    rng: np.random.Generator,
) -> Ints:
    """The movie (index from 0) of each rating: per user and year, the best of log-odds plus Gumbel noise.

    Nothing is chosen twice, nor before the year of its release. What a user is most drawn to comes first.
    """
    opens = np.concatenate([[True], (row[1:] != row[:-1]) | (year[1:] != year[:-1])])
    begin = np.flatnonzero(opens)
    size = np.diff(np.append(begin, len(row)))
    who, when = row[begin], year[begin]
    # A user's k-th active year is chosen in the k-th pass, so that what was chosen before can be left out.
    first = np.flatnonzero(np.concatenate([[True], who[1:] != who[:-1]]))
    turn = np.arange(len(who)) - np.repeat(first, np.diff(np.append(first, len(who))))
    repeated = np.zeros(people, dtype=np.bool_)
    repeated[who[turn > 0]] = True
    slot = np.cumsum(repeated) - 1
    taken = np.zeros((int(repeated.sum()), config.movies), dtype=np.bool_)

    follow = np.repeat([config.choice_by_genre, config.choice_by_colour], [MOODS, len(COLOURS)])
    traits = np.ascontiguousarray((movies.traits * follow).T, dtype=np.float32)
    chosen = np.empty(len(row), dtype=np.int64)
    rows_at_once = max(CHUNK // config.movies, 1)
    for number in range(int(turn.max()) + 1):
        groups = np.flatnonzero(turn == number)
        groups = groups[np.argsort(size[groups], kind="stable")]  # alike sizes share a partial sort
        for at in range(0, len(groups), rows_at_once):
            some = groups[at : at + rows_at_once]
            key = _keys(movies, traits, when[some], _midyear(tastes, who[some], when[some]), rng)
            if number:
                key[taken[slot[who[some]]]] = -np.inf
            most = int(size[some].max())
            best = np.argpartition(key, -most, axis=1)[:, -most:]
            order = np.argsort(-np.take_along_axis(key, best, axis=1), axis=1, kind="stable")
            best = np.take_along_axis(best, order, axis=1)
            wanted = np.arange(most) < size[some][:, None]
            place = begin[some][:, None] + np.arange(most)
            chosen[place[wanted]] = best[wanted]
            later = repeated[who[some]]
            kept = wanted & later[:, None]
            taken[np.broadcast_to(slot[who[some]][:, None], best.shape)[kept], best[kept]] = True
    return chosen


def _midyear(tastes: Floats, who: Ints, when: Ints) -> npt.NDArray[np.float32]:
    knot = np.minimum(when - FIRST_YEAR, tastes.shape[1] - 2)
    return np.asarray((tastes[who, knot] + tastes[who, knot + 1]) / 2, dtype=np.float32)


def _keys(
    movies: Catalogue,
    traits: npt.NDArray[np.float32],
    when: Ints,
    taste: npt.NDArray[np.float32],
    rng: np.random.Generator,
) -> npt.NDArray[np.float32]:
    """Log-odds plus Gumbel noise of every movie for every (user, year), float32; -inf before its release.

    Sums term by term rather than by a matrix product, whose rounding would vary with the number of threads.
    """
    noise = rng.standard_exponential((len(when), traits.shape[1]), dtype=np.float32)
    np.maximum(noise, np.float32(1e-30), out=noise)
    key = np.log(noise, out=noise)
    np.negative(key, out=key)  # minus the log of an exponential draw is a Gumbel draw
    term = np.empty_like(key)
    for number in range(len(traits)):
        np.multiply(taste[:, number, None], traits[number], out=term)
        key += term
    years, place = np.unique(when, return_inverse=True)
    age = years[:, None] - movies.release_year
    appeal = movies.log_weight + RECENCY * np.exp(-np.maximum(age, 0) / RECENCY_YEARS)
    appeal[age < 0] = -np.inf
    key += appeal.astype(np.float32)[place]
    return key


def _star_score(rng: np.random.Generator, logit: Floats, mean: float, deviation: float) -> Floats:
    """What decides the stars once liked or not is known: partly the logit, partly chance."""
    own = np.sqrt(1 - STAR_FOLLOWS_LOGIT**2)
    return np.asarray(STAR_FOLLOWS_LOGIT * (logit - mean) / deviation + own * rng.standard_normal(len(logit)))
