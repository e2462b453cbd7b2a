"""Rows of Arrow tables compared, against Python values."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.features.comparison import differing, places_in, same


def sorted_items(drawn: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(drawn.items())


VALUES = {
    "numbers": (pa.float64(), st.none() | st.sampled_from([0.0, 1.5, float("nan")])),
    "words": (pa.string(), st.none() | st.sampled_from(["", "a"])),
    "lists": (
        pa.list_(pa.string()),
        st.none() | st.lists(st.none() | st.sampled_from(["", "a"]), max_size=2),
    ),
    "maps": (
        pa.map_(pa.string(), pa.int64()),
        st.none() | st.dictionaries(st.sampled_from(["", "a"]), st.integers(0, 1)).map(sorted_items),
    ),
}


@pytest.mark.parametrize("kind", VALUES)
@settings(deadline=None, max_examples=200)
@given(data=st.data(), cut=st.integers(0, 3))
def test_values_are_the_same_that_python_says_are(kind: str, data: st.DataObject, cut: int) -> None:
    of_type, drawn = VALUES[kind]
    pairs = data.draw(st.lists(st.tuples(drawn, drawn), max_size=8))
    one, other = (pa.array([pair[side] for pair in pairs], of_type)[cut:] for side in (0, 1))
    assert same(one, other).tolist() == [repr(a) == repr(b) for a, b in pairs[cut:]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([("a", 1)], [("b", 1)]),
        ([("a", 1)], [("a", 2)]),
        ([("a", 1)], []),
        ([], None),
        ([("a", 1), ("b", 1)], [("b", 1), ("a", 1)]),
    ],
)
def test_maps_differ_by_keys_values_and_length(one: Any, other: Any) -> None:
    kind = pa.map_(pa.string(), pa.int64())
    assert same(pa.array([one, one], kind), pa.array([one, other], kind)).tolist() == [True, False]


rows = st.dictionaries(
    st.tuples(st.integers(1, 3), st.sampled_from("ab")), st.none() | st.integers(0, 1), max_size=6
)


def table(drawn: dict[tuple[int, str], Any]) -> pa.Table:
    found = [{"id": number, "word": word, "x": x} for (number, word), x in drawn.items()]
    return pa.Table.from_pylist(
        found, pa.schema([("id", pa.int64()), ("word", pa.string()), ("x", pa.int64())])
    )


@settings(deadline=None, max_examples=200)
@given(ours=rows, theirs=rows)
def test_rows_that_others_lack_or_have_otherwise_differ(ours: Any, theirs: Any) -> None:
    keys = ["id", "word"]
    known = list(theirs)
    places = [known.index(key) if key in theirs else -1 for key in ours]
    assert places_in(table(ours), table(theirs), keys).tolist() == places
    found = differing(table(ours), table(theirs), keys, ["x"])
    assert found.tolist() == [key not in theirs or theirs[key] != x for key, x in ours.items()]
