"""The as-of merge of one sorted stream of label and feature rows, as Spark's workers run it.

Imports NumPy and Arrow only, so that a worker starts fast, and is sent to workers by value, so that they need
nothing of ours installed.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Indices = npt.NDArray[np.int64]


def merge(
    batches: Iterator[pa.RecordBatch], keys: int, ttls: Sequence[int | None], by_version: bool
) -> Iterator[pa.RecordBatch]:
    """For each label row the row of each view that holds at its instant; memory for one batch only.

    Args:
        batches: a stream sorted by keys, `at`, `tag`, `version`. Columns: `k0, k1, …`; `at` (int64), when a
            row takes effect or a label asks; `tag` (int32), which view's row it is, and for a label the
            number of views; `instant` (int64), a row's own instant, or the label's; `version` (int64), what
            breaks ties between a view's rows of one instant, or for a label 1 if its instant was rounded
            down; `label` (struct), null for a row; `v0, v1, …` (structs), one view's features each, null
            elsewhere.
        keys: how many key columns there are.
        ttls: of each view, in microseconds; None for ever.
        by_version: rows may take effect out of their order, so that a later one does not always win: of those
            in effect, the one with the greatest (instant, version) holds. Otherwise, the last.

    Yields:
        The labels, in the stream's order, with columns `label, v0, v1, …`.
    """
    carried: pa.RecordBatch | None = None
    for batch in batches:
        rows = batch if carried is None else pa.concat_batches([carried, batch])
        if not rows.num_rows:
            continue
        group = _groups(rows, keys)
        tag = rows.column("tag").to_numpy()
        instant, version = rows.column("instant").to_numpy(), rows.column("version").to_numpy()
        labels = np.flatnonzero(tag == len(ttls))
        columns = [rows.column("label").take(pa.array(labels))]
        still = []
        for view, ttl in enumerate(ttls):
            mine = np.flatnonzero(tag == view)
            order = np.lexsort((version[mine], instant[mine])) if by_version else np.arange(len(mine))
            holds = _holding(mine, order, group)
            found = holds[labels]
            if ttl is not None:
                expired = instant[found] < instant[labels] - ttl + version[labels]
                found = np.where(expired, -1, found)
            columns.append(rows.column(f"v{view}").take(pa.array(found, mask=found < 0)))
            if holds[-1] >= 0:
                still.append(holds[-1])
        carried = rows.take(pa.array(np.sort(np.array(still, np.int64))))
        if len(labels):
            names = ["label", *(f"v{view}" for view in range(len(ttls)))]
            yield pa.RecordBatch.from_arrays(columns, names)


def _groups(rows: pa.RecordBatch, keys: int) -> Indices:
    """(n,) which run of equal keys each row is in; a null key equals nothing."""
    new = np.zeros(rows.num_rows, bool)
    for i in range(keys):
        key = rows.column(f"k{i}")
        changed = pc.fill_null(pc.not_equal(key.slice(1), key.slice(0, len(key) - 1)), True)
        new[1:] |= changed.to_numpy(zero_copy_only=False)
    return np.cumsum(new)


def _holding(mine: Indices, order: Indices, group: Indices) -> Indices:
    """(n,) at each place of the stream, the place of the row that holds; -1 where there is none.

    Args:
        mine: (m,) the places of one view's rows.
        order: (m,) those rows from the weakest to the strongest.
        group: (n,) runs of equal keys, counted upwards.
    """
    n, m = len(group), len(mine)
    if not m:
        return np.full(n, -1, np.int64)
    # A row's strength, higher in each later group, so that one running maximum serves all groups.
    strength = np.empty(m, np.int64)
    strength[order] = np.arange(m)
    score = np.full(n, -1, np.int64)
    score[mine] = group[mine] * m + strength
    best = np.maximum.accumulate(score)
    there = (best >= 0) & (best // m == group)
    return np.where(there, mine[order][best % m], -1)
