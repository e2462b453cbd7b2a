"""Which values fields have, how often, and what they say of a click; all of it follows from the seed."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipelines.sources.synthetic_clicks.config import ClicksConfig

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

VOCABULARIES = (
    *(1_461, 584, 1_000_000, 400_000, 306, 24, 12_518, 634, 3, 93_146, 5_684, 800_000, 3_195),
    *(28, 14_993, 600_000, 11, 5_653, 2_173, 4, 700_000, 18, 16, 286_181, 105, 142_572),
)
"""Different values of each category: Criteo's, the largest cut to a million."""
MISSING_CATEGORIES = (
    *(0, 0, 0.03, 0.03, 0, 0.12, 0, 0, 0, 0, 0, 0.03, 0),
    *(0, 0, 0.03, 0, 0, 0.44, 0.44, 0.03, 0.76, 0, 0.03, 0.44, 0.44),
)
"""Share of rows without each category, about as in Criteo's log."""
ZIPF = 1.2
"""The r-th most frequent value of a category occurs about as often as r to the power of minus this."""
ALONE, TOGETHER = 50, 10
"""Values of a category, its most frequent ones, that say something by themselves, and in pairs and triples:
what rarer ones said would take more rows to learn than there may be."""

MISSING_NUMBERS = (0.45, 0, 0.21, 0.22, 0.03, 0.22, 0.04, 0, 0.04, 0.45, 0.04, 0.77, 0.22)
LOG_MEANS = (1.0, 2.0, 1.8, 1.5, 8.0, 3.5, 2.0, 2.0, 4.0, 0.2, 0.8, 0.3, 1.5)
LOG_DEVIATIONS = (1.2, 1.8, 1.3, 1.0, 1.6, 1.5, 1.2, 1.0, 1.3, 0.5, 0.9, 0.6, 1.1)
"""Of the logarithm of each number, which is a count."""
LARGEST = 2**31 - 1

PAIRED = (4, 5, 8, 13, 16, 19, 22, 24)
"""Categories, from 0, each two of which say something together."""
DIM = 4
"""Of the latent vectors whose products pairs add."""
TRIPLES = ((5, 8, 16), (8, 13, 19), (16, 19, 22), (0, 8, 19))
"""Categories each three of which say something together."""
SAMPLED = 100_000
"""Rows by which terms are brought to their deviation and the click rate is met."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Values of rows.

    Args:
        numbers: (13, n); -1 where missing.
        ranks: (26, n) of categories, from 0 for the most frequent; -1 where missing.
    """

    numbers: Ints
    ranks: Ints


@dataclass(frozen=True, slots=True)
class Effects:
    """What values say of a click.

    Args:
        slopes, absent: (13,) of a number's standardised logarithm, and of one that is missing.
        alone: by category, what a value says by its place in `places`.
        together: by category of `PAIRED`, the values' latent vectors (places, DIM).
        threefold: by triple, and by its categories, one number a value.
        scales: what each of the three terms is multiplied by.
        bias: in logits.
    """

    slopes: Floats
    absent: Floats
    alone: tuple[Floats, ...]
    together: tuple[Floats, ...]
    threefold: tuple[tuple[Floats, ...], ...]
    scales: tuple[float, float, float] = (1.0, 1.0, 1.0)
    bias: float = 0.0


def draw(rng: np.random.Generator, rows: int) -> Drawn:
    """Values of so many rows, each field's independent of the others'."""
    numbers = np.empty((len(LOG_MEANS), rows), np.int64)
    for field, (mean, deviation) in enumerate(zip(LOG_MEANS, LOG_DEVIATIONS, strict=True)):
        counts = np.exp(mean + deviation * rng.standard_normal(rows)) - 0.5
        numbers[field] = np.clip(counts, 0, LARGEST)
        numbers[field][rng.random(rows) < MISSING_NUMBERS[field]] = -1
    ranks = np.empty((len(VOCABULARIES), rows), np.int64)
    for field, (size, missing) in enumerate(zip(VOCABULARIES, MISSING_CATEGORIES, strict=True)):
        share = (rng.random(rows) - missing) / (1 - missing)
        ranks[field] = np.where(share < 0, -1, _rank(np.maximum(share, 0), size))
    return Drawn(numbers, ranks)


def _rank(share: Floats, size: int) -> Floats:
    """The value below which this share of a power law over `size` values lies, from 0."""
    reach = 1 - (size + 1.0) ** (1 - ZIPF)
    ranks: Floats = np.minimum(np.floor((1 - reach * share) ** (1 / (1 - ZIPF))) - 1, size - 1)
    return ranks


def shares(field: int, most: int) -> Floats:
    """How often each place of a category occurs: `most` values that say something, all others, missing."""
    size, missing = VOCABULARIES[field], MISSING_CATEGORIES[field]
    reach = 1 - (size + 1.0) ** (1 - ZIPF)
    below = (1 - np.arange(1, min(size, most) + 2.0) ** (1 - ZIPF)) / reach
    there = np.concatenate([np.diff(below), [max(1 - below[-1], 0)]]) * (1 - missing)
    return np.append(there, missing)


def places(field: int, ranks: Ints, most: int) -> Ints:
    """Where values stand in tables of effects: all that say nothing share a place; missing has the last."""
    most = min(VOCABULARIES[field], most)
    return np.where(ranks < 0, most + 1, np.minimum(ranks, most))


@cache
def effects(config: ClicksConfig) -> Effects:
    """The effects of a config: terms have their deviations, and clicks their rate."""
    rng = np.random.default_rng([config.seed, 1])
    fields = range(len(VOCABULARIES))
    raw = Effects(
        slopes=rng.standard_normal(len(LOG_MEANS)) * 1.3,
        absent=rng.standard_normal(len(LOG_MEANS)) * 0.7,
        alone=tuple(_centred(rng, field, ALONE)[:, 0] for field in fields),
        together=tuple(_centred(rng, field, TOGETHER, DIM) for field in PAIRED),
        threefold=tuple(
            tuple(_centred(rng, field, TOGETHER)[:, 0] for field in triple) for triple in TRIPLES
        ),
    )
    sample = draw(np.random.default_rng([config.seed, 2]), SAMPLED)
    wanted = (config.first, config.second, config.third)
    deviations = [float(term.std()) for term in terms(raw, sample)]
    scales = tuple(want / found for want, found in zip(wanted, deviations, strict=True))
    scaled = replace(raw, scales=(scales[0], scales[1], scales[2]))
    return replace(scaled, bias=_bias(logit(scaled, sample), config.click_rate))


def _centred(rng: np.random.Generator, field: int, most: int, dim: int = 1) -> Floats:
    """What the values of a category say (places, dim): nothing on the whole, so that what it says together
    with others is not said by it alone."""
    often = shares(field, most)
    values = rng.standard_normal((len(often), dim))
    values[-2] = 0
    speaks = (np.arange(len(often)) != len(often) - 2) & (often > 0)
    values[speaks] -= (often @ values) / often[speaks].sum()
    values[often == 0] = 0
    centred: Floats = values / np.sqrt((often @ values**2).mean())
    return centred


def terms(effects: Effects, drawn: Drawn) -> tuple[Floats, Floats, Floats]:
    """What single fields, pairs and triples say of each row, before they are scaled."""
    first = np.zeros(drawn.ranks.shape[1])
    for field, counts in enumerate(drawn.numbers):
        standard = (np.log(np.maximum(counts, 0) + 1.0) - LOG_MEANS[field]) / LOG_DEVIATIONS[field]
        first += np.where(counts < 0, effects.absent[field], effects.slopes[field] * standard)
    for field, said in enumerate(effects.alone):
        first += said[places(field, drawn.ranks[field], ALONE)]
    at = {
        field: places(field, drawn.ranks[field], TOGETHER)
        for field in {*PAIRED, *(field for triple in TRIPLES for field in triple)}
    }
    total = np.zeros((len(first), DIM))
    second = np.zeros(len(first))
    for field, latent in zip(PAIRED, effects.together, strict=True):
        mine = latent[at[field]]
        total += mine
        second -= (mine**2).sum(axis=1)
    second = (second + (total**2).sum(axis=1)) / 2
    third = np.zeros(len(first))
    for triple, tables in zip(TRIPLES, effects.threefold, strict=True):
        one, two, three = (values[at[field]] for field, values in zip(triple, tables, strict=True))
        third += one * two * three
    return first, second, third


def logit(effects: Effects, drawn: Drawn) -> Floats:
    """The log-odds of a click on each row."""
    first, second, third = (
        scale * term for scale, term in zip(effects.scales, terms(effects, drawn), strict=True)
    )
    return effects.bias + first + second + third


def probability(logits: Floats) -> Floats:
    """From log-odds."""
    return 1 / (1 + np.exp(-logits))


def _bias(logits: Floats, rate: float) -> float:
    """What added to log-odds gives a click rate, by halving an interval."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        if probability(logits + middle).mean() < rate:
            low = middle
        else:
            high = middle
    return (low + high) / 2
