"""Blocks of generated rows: each follows from the config and its number alone."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feature_repo.arrow import arrow_schema
from feature_repo.domains.clicks.criteo import CATEGORIES, NUMBERS, SYNTHETIC
from pipelines.sources.synthetic_clicks.config import ClicksConfig
from pipelines.sources.synthetic_clicks.model import Ints, draw, effects, logit, probability

ROWS_SCHEMA = arrow_schema(SYNTHETIC.events)
LIKELIHOOD_SCHEMA = pa.schema([("position", pa.int64()), ("probability", pa.float64())])
DIGITS = 8
_HEX = np.frombuffer(b"".join(b"%04x" % number for number in range(1 << 16)), np.uint32)
"""Four hexadecimal digits of each number of two bytes."""
Words = NDArray[np.uint32]


def block_tables(config: ClicksConfig, block: int) -> tuple[pa.Table, pa.Table]:
    """The rows of a block, counted from 0, and their true click probabilities."""
    first = block * config.block
    count = min(config.block, config.rows - first)
    rng = np.random.default_rng([config.seed, 0, block])
    drawn = draw(rng, count)
    chance = probability(logit(effects(config), drawn))
    clicks = (rng.random(count) < chance).astype(np.int64)
    position = pa.array(np.arange(first + 1, first + count + 1))
    columns = [position, pa.array(clicks)]
    columns += [pa.array(drawn.numbers[field], mask=drawn.numbers[field] < 0) for field in range(NUMBERS)]
    columns += [words(config.seed, field, drawn.ranks[field]) for field in range(CATEGORIES)]
    likelihood = pa.table([position, pa.array(chance)], schema=LIKELIHOOD_SCHEMA)
    return pa.table(columns, schema=ROWS_SCHEMA), likelihood


def words(seed: int, field: int, ranks: Ints) -> pa.Array:
    """Values of a category as eight hexadecimal digits, like Criteo's, each its own."""
    key = np.uint32(np.random.SeedSequence([seed, field]).generate_state(1)[0])
    codes = _mixed(ranks.astype(np.uint32) ^ key)
    digits = np.empty((len(codes), 2), np.uint32)
    digits[:, 0], digits[:, 1] = _HEX[codes >> 16], _HEX[codes & 0xFFFF]
    offsets = pa.py_buffer(np.arange(0, DIGITS * len(codes) + 1, DIGITS, dtype=np.int32))
    there = pa.array(ranks >= 0).buffers()[1]
    return pa.StringArray.from_buffers(len(codes), offsets, pa.py_buffer(digits), there)


def _mixed(codes: Words) -> Words:
    """Murmur's last step, which is one to one."""
    codes = (codes ^ (codes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    codes = (codes ^ (codes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return codes ^ (codes >> np.uint32(16))
