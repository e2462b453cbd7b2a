"""Which rows two Arrow tables have in common, and where these differ."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def places_in(rows: pa.Table, others: pa.Table, keys: Sequence[str]) -> Ints:
    """(n,) the place in `others` of the row with the same keys; -1 where there is none.

    Args:
        keys: columns whose combination is unique in both.
    """
    asked = rows.select(keys).append_column("_row", pa.array(np.arange(rows.num_rows)))
    known = others.select(keys).append_column("_place", pa.array(np.arange(others.num_rows)))
    joined = asked.join(known, list(keys), join_type="inner")
    found = np.full(rows.num_rows, -1)
    found[joined.column("_row").to_numpy()] = joined.column("_place").to_numpy()
    return found


def differing(rows: pa.Table, others: pa.Table, keys: Sequence[str], values: Sequence[str]) -> Flags:
    """(n,) whether `others` lack a row or have other values for its keys; no value equals no value.

    Args:
        keys: columns whose combination is unique in both.
        values: the columns that are compared.
    """
    place = places_in(rows, others, keys)
    there = place >= 0
    ours, theirs = rows.filter(pa.array(there)), others.take(pa.array(place[there]))
    equal = np.ones(ours.num_rows, np.bool_)
    for name in values:
        equal &= same(ours.column(name).combine_chunks(), theirs.column(name).combine_chunks())
    found = np.ones(rows.num_rows, np.bool_)
    found[there] = ~equal
    return found


def same(one: pa.Array, other: pa.Array) -> Flags:
    """(n,) whether two arrays of one type have the same value; no value equals no value, NaN equals NaN."""
    missing = pc.and_(pc.is_null(one), pc.is_null(other))
    if pa.types.is_map(one.type):
        parts = ((_lists(one, part), _lists(other, part)) for part in ("keys", "items"))
        return np.array(np.logical_and.reduce([same(*lists) for lists in parts]), np.bool_)
    if pa.types.is_list(one.type):
        equal = _flags(pc.equal(pc.list_value_length(one), pc.list_value_length(other)))
        as_long = pa.array(equal)
        one, other = one.filter(as_long), other.filter(as_long)
        row = pc.list_parent_indices(one).to_numpy()
        elements = same(pc.list_flatten(one), pc.list_flatten(other))
        equal[equal] = np.bincount(row[~elements], minlength=len(one)) == 0
    else:
        equal = _flags(pc.equal(one, other))
        if pa.types.is_floating(one.type):
            equal |= _flags(pc.and_(pc.is_nan(one), pc.is_nan(other)))
    return equal | _flags(missing)


def _lists(maps: pa.MapArray, part: Literal["keys", "items"]) -> pa.ListArray:
    """(n,) the keys or the items of each map; null for no map."""
    lists = pa.ListArray.from_arrays(maps.offsets, getattr(maps, part))
    return pc.if_else(maps.is_valid(), lists, pa.scalar(None, lists.type))


def _flags(values: pa.Array) -> Flags:
    """Booleans in NumPy; null is false."""
    return np.array(pc.fill_null(values, False).to_numpy(zero_copy_only=False), np.bool_)
