"""The merge that Spark's workers run, against the oracle, without Spark."""

from itertools import pairwise
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.offline.merge import merge
from tests.asof_oracle import OracleView, Row, join

NEVER = -(2**63)
KEYS = st.sampled_from([1, 1, 1, 2, 3])
INSTANTS = st.integers(-3, 6)
WRITTEN = st.sampled_from([None, *range(-3, 9)])
FEATURE = pa.struct([("value", pa.int64())])
LABEL = pa.struct([("row", pa.int64())])


@st.composite
def views(draw: st.DrawFn, created: bool) -> OracleView:
    fewest = draw(st.sampled_from([0, 3, 20]))
    triples = draw(st.lists(st.tuples(KEYS, INSTANTS, WRITTEN), min_size=fewest, max_size=30, unique=True))
    if not created:
        triples = list({(key, at): (key, at, None) for key, at, _ in triples}.values())
    rows = [
        {"key": key, "event_timestamp": at, "created_timestamp": written, "value": i}
        for i, (key, at, written) in enumerate(triples)
    ]
    ttl = draw(st.sampled_from([None, None, 0, 1, 3]))
    return OracleView(rows, {"key": "key"}, {}, created="created_timestamp" if created else None, ttl=ttl)


def stream(labels: list[Row], found: list[OracleView], known_then: bool) -> pa.Table:
    """Labels and rows as the engine would sort them."""
    rows: list[dict[str, Any]] = []
    for i, label in enumerate(labels):
        at = label["event_timestamp"]
        rows.append(row(label["key"], at, len(found), at, 0, label={"row": i}))
    for tag, view in enumerate(found):
        for one in view.rows:
            at, written = one["event_timestamp"], one["created_timestamp"]
            if known_then and view.created:
                if written is None:
                    continue
                rows.append(
                    row(
                        one["key"], max(at, written), tag, at, written, **{f"v{tag}": {"value": one["value"]}}
                    )
                )
            else:
                version = NEVER if written is None or view.created is None else written
                rows.append(row(one["key"], at, tag, at, version, **{f"v{tag}": {"value": one["value"]}}))
    rows.sort(key=lambda one: (one["k0"] is None, one["k0"] or 0, one["at"], one["tag"], one["version"]))
    schema = pa.schema(
        [
            ("k0", pa.int64()),
            ("at", pa.int64()),
            ("tag", pa.int32()),
            ("instant", pa.int64()),
            ("version", pa.int64()),
            ("label", LABEL),
            *((f"v{tag}", FEATURE) for tag in range(len(found))),
        ]
    )
    return pa.Table.from_pylist(rows, schema)


def row(key: int | None, at: int, tag: int, instant: int, version: int, **payload: Any) -> dict[str, Any]:
    return {"k0": key, "at": at, "tag": tag, "instant": instant, "version": version} | payload


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_merge_equals_the_oracle_for_any_cut_into_batches(data: st.DataObject) -> None:
    found = [
        data.draw(views(created)) for created in data.draw(st.lists(st.booleans(), min_size=1, max_size=3))
    ]
    found = [
        OracleView(v.rows, v.keys, {"value": f"v{i}"}, created=v.created, ttl=v.ttl)
        for i, v in enumerate(found)
    ]
    labels = [
        {"key": key, "event_timestamp": at}
        for key, at in data.draw(st.lists(st.tuples(KEYS | st.none(), INSTANTS), max_size=20))
    ]
    known_then = data.draw(st.booleans())
    whole = stream(labels, found, known_then)
    cuts = sorted(data.draw(st.lists(st.integers(0, whole.num_rows), max_size=6)))
    ends = [0, *cuts, whole.num_rows]
    batches = [
        batch
        for start, end in pairwise(ends)
        for batch in whole.slice(start, end - start).combine_chunks().to_batches()
    ]
    got: dict[int, Row] = {}
    for answer in merge(iter(batches), 1, [view.ttl for view in found], known_then):
        for one in answer.to_pylist():
            assert one["label"]["row"] not in got
            got[one["label"]["row"]] = {
                f"v{i}": one[f"v{i}"] and one[f"v{i}"]["value"] for i in range(len(found))
            }
    expected = join(labels, found, only_created=known_then)
    assert [labels[i] | got[i] for i in range(len(labels))] == expected


def test_a_label_rounded_down_past_the_ttl_finds_nothing() -> None:
    view = OracleView([{"key": 1, "event_timestamp": 5, "created_timestamp": 5, "value": 0}], {}, {}, ttl=2)
    at_edge = stream([{"key": 1, "event_timestamp": 7}], [view], known_then=False)
    past_it = at_edge.set_column(4, "version", pa.array([5, 1]))  # the label's: it was rounded down

    def value(rows: pa.Table) -> Any:
        (answer,) = merge(iter(rows.to_batches()), 1, [2], False)
        return answer.column("v0").to_pylist()

    assert value(at_edge) == [{"value": 0}]
    assert value(past_it) == [None]


def test_an_empty_stream_gives_nothing() -> None:
    empty = stream([], [OracleView([], {}, {})], known_then=False)
    assert list(merge(iter(empty.to_batches()), 1, [None], False)) == []


def values(batches: list[pa.RecordBatch], keys: int = 1, by_version: bool = False) -> list[int | None]:
    """What the labels find, in a view without a ttl."""
    found = [one for batch in merge(iter(batches), keys, [None], by_version) for one in batch.to_pylist()]
    return [one["v0"] and one["v0"]["value"] for one in found]


def view(*rows: tuple[int, int]) -> OracleView:
    """Rows of key 1, by their instant and when they were written; each one's value is its place."""
    return OracleView(
        [
            {"key": 1, "event_timestamp": at, "created_timestamp": written, "value": place}
            for place, (at, written) in enumerate(rows)
        ],
        {"key": "key"},
        {},
        created="created_timestamp",
    )


def test_a_row_is_carried_over_batches_of_which_some_are_empty() -> None:
    whole = stream([{"key": 1, "event_timestamp": 2}], [view((1, 1))], known_then=False)
    first, last = whole.to_batches(max_chunksize=1)
    nothing = first.slice(0, 0)
    assert values([nothing, first, nothing, last]) == [0]


def test_a_row_that_was_written_later_does_not_replace_one_of_a_later_instant() -> None:
    found = view((5, 5), (3, 7))
    assert values(stream([{"key": 1, "event_timestamp": 8}], [found], True).to_batches(), 1, True) == [0]


def test_each_of_several_keys_parts_the_rows() -> None:
    whole = stream([{"key": 1, "event_timestamp": 2}], [view((1, 1))], known_then=False)
    for first, second, found in ((1, 1, 0), (1, 2, None), (2, 1, None)):
        keyed = whole.set_column(0, "k0", pa.array([1, first])).append_column("k1", pa.array([1, second]))
        assert values(keyed.combine_chunks().to_batches(), keys=2) == [found]
