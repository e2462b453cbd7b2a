"""A small click log in a lake, in a few files, as ingest leaves it."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from feature_repo.arrow import arrow_schema
from feature_repo.define.column import Column, Type
from feature_repo.define.domain import Domain
from feature_repo.define.fields import Fields, categories, numbers
from feature_repo.define.table import Table
from feature_repo.define.task import Binary
from lake.tables import append, overwrite

PLACE = Column("place", Type.INT64, "The row's place.", low=1)
CLICK = Column("click", Type.INT64, "Whether it was clicked.", low=0, high=1)
WHAT = Fields("what", (*numbers(("n1", "n2")), *categories(("c1", "c2"))), side="item")
WHO = Fields("who", categories(("c3",), Type.INT64), side="user")
LOG = Table("clicks_small", "log", (PLACE,), (CLICK, *WHAT.columns, *WHO.columns), "A small log.", ("place",))
SMALL = Domain(
    "small", "A small log.", sources=(LOG,), fields=(WHAT, WHO), tasks=(Binary("clicked", "click", 1),)
)


def log_rows(rows: int, seed: int = 0) -> pa.Table:
    """Rows of the log; clicks follow from its categories, and every seventh place is missing."""
    random = np.random.default_rng(seed)
    c1, c2, c3 = (random.zipf(1.5, rows) % size for size in (30, 12, 8))
    logits = np.sin(c1) + np.cos(c2) + np.sin(c1 * c3)
    columns = {
        "place": np.arange(rows) + np.arange(rows) // 6 + 1,
        "click": (random.random(rows) < 1 / (1 + np.exp(1 - 2 * logits))).astype(np.int64),
        "n1": _some(random, random.poisson(3 + c1), rows),
        "n2": _some(random, random.integers(-1, 500, rows), rows),
        "c1": _some(random, [f"{value:08x}" for value in c1], rows),
        "c2": _some(random, [f"{value:08x}" for value in c2], rows),
        "c3": _some(random, c3, rows),
    }
    return pa.table(columns).select(arrow_schema(LOG).names).cast(arrow_schema(LOG))


def _some(random: np.random.Generator, values: object, rows: int) -> pa.Array:
    """Values of which a tenth is missing."""
    return pa.array(values, mask=random.random(rows) < 0.1)


def write_log(lake: Path, table: pa.Table, files: int = 3) -> None:
    """Put a log into a lake, in some files; those with later rows are written first."""
    size = -(-table.num_rows // files)
    parts = [table.slice(place * size, size) for place in range(files)]
    overwrite(parts[-1], lake, LOG.name)
    for part in reversed(parts[:-1]):
        append(part, lake, LOG.name)
