"""What a column becomes follows from its role; one that no input can read is refused."""

import numpy as np
import pyarrow as pa
import pytest

from common.errors import MarqueeError
from feature_repo.define import role
from feature_repo.define.column import Column, Type
from feature_repo.define.view import View
from tests.toy_domain import PRESS, READER
from tests.toy_press import EVERY_KIND, drawn_table, facts
from training.inputs.config import InputConfig
from training.inputs.spec import InputSpec


def test_roles_say_what_each_column_becomes() -> None:
    spec = InputSpec.fit(drawn_table(rows=80), "press_v1", PRESS.views)
    found = [(item.kind, item.name, item.side, item.modality) for item in spec.inputs]
    assert found == [
        ("categorical", "reader_id", "user", "behaviour"),
        ("categorical", "article_id", "item", "behaviour"),
        ("categorical", "reader_country", "user", "profile"),
        ("categorical", "article_section", "item", "behaviour"),
        ("numeric", "user_behaviour_numeric", "user", "behaviour"),
        ("bucketised", "user_behaviour_buckets", "user", "behaviour"),
        ("numeric", "user_profile_numeric", "user", "profile"),
        ("bucketised", "user_profile_buckets", "user", "profile"),
        ("numeric", "item_behaviour_numeric", "item", "behaviour"),
        ("bucketised", "item_behaviour_buckets", "item", "behaviour"),
        ("multi_valued", "reader_top_topics", "user", "behaviour"),
        ("sequence", "reader_recent_articles", "user", "behaviour"),
        ("sequence", "reader_recent_topics", "user", "behaviour"),
        ("multi_valued", "article_topics", "item", "behaviour"),
        ("clock", "request", "context", "behaviour"),
        ("numeric", "request_numeric", "context", "behaviour"),
    ]
    counts = {column.column for item in spec.select("numeric") for column in item.columns if column.log}
    assert counts == {"reader_read_count", "article_read_count", "reader_first_at", "reader_last_at"}
    assert len(spec["request"].since) == 2


def test_every_column_is_read_unless_it_is_unread_or_its_kind_is_switched_off() -> None:
    spec = InputSpec.fit(drawn_table(EVERY_KIND), "every", EVERY_KIND)
    columns = {column.name for view in EVERY_KIND for column in (view.by, *view.columns)}
    assert set(spec.columns) == (columns - {"reader_note"}) | {"event_timestamp"}
    assert InputSpec.fit(drawn_table(EVERY_KIND).drop_columns(["reader_note"]), "every", EVERY_KIND) == spec
    kinds = {
        "ids": {role.Id},
        "categories": {role.Category},
        "lists": {role.Bag, role.Sequence},
        "vectors": {role.Vector},
        "context": {role.Instant},
    }
    for switch, roles in kinds.items():
        off = InputSpec.fit(drawn_table(EVERY_KIND), "every", EVERY_KIND, InputConfig(**{switch: False}))
        gone = {
            column.name
            for view in EVERY_KIND
            for column in (view.by, *view.columns)
            if type(column.role) in roles
        }
        assert set(spec.columns) - set(off.columns) - {"event_timestamp"} == gone
    numbers = InputConfig(numeric=False, bucketised=False)
    off = InputSpec.fit(drawn_table(EVERY_KIND), "every", EVERY_KIND, numbers)
    assert not {"numeric", "bucketised"} & {item.kind for item in off.inputs if item.side != "context"}


def test_a_category_of_whole_numbers_is_embedded_and_0_is_one_of_its_values() -> None:
    views = (facts("extras", READER, (Column("office", Type.INT64, "", role=role.Category("office")),), "x"),)
    offices = pa.array([0, 3, None, 7], pa.int64())
    table = drawn_table(rows=4).select(["reader_id", "event_timestamp"]).append_column("office", offices)
    spec = InputSpec.fit(table.slice(0, 3), "s", views)
    assert spec.vocabularies["office"] == (0, 3)
    assert spec.apply(table)["office"].tolist() == [2, 3, 0, 1]


def test_what_fills_a_category_is_a_value_of_it() -> None:
    column = Column("style", Type.STRING, "", role=role.Category("style"), fill="plain")
    table = drawn_table(rows=3).select(["reader_id", "event_timestamp"])
    table = table.append_column("style", pa.array([None, "odd", ""]))
    spec = InputSpec.fit(table, "s", (facts("extras", READER, (column,), "x"),))
    assert spec.vocabularies["style"] == ("odd", "plain")
    assert spec.apply(table)["style"].tolist() == [3, 2, 0]


def test_the_count_behind_a_statistic_is_that_of_its_own_view() -> None:
    spec = InputSpec.fit(drawn_table(EVERY_KIND), "s", EVERY_KIND, InputConfig(shrinkage=1.0))
    behind = {column.column: column.count for item in spec.select("numeric") for column in item.columns}
    assert behind["reader_minutes_mean"] == "reader_read_count"
    assert behind["article_minutes_std"] == "article_read_count"
    assert behind["article_words"] is None  # a fact, of no events
    assert behind["reader_read_count"] is None


def test_only_the_separator_of_a_sequence_takes_values_apart() -> None:
    """A word of a bag may hold any character: nothing is concluded from the data."""
    table = drawn_table(rows=2)
    for name, values in (
        ("article_topics", [["rock|pop", "a b"], ["rock"]]),
        ("reader_recent_topics", [["a b", "c", ""], ["rock|pop", "", ""]]),
    ):
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    for name in ("reader_top_topics",):
        table = table.set_column(table.column_names.index(name), name, pa.array([["", ""]] * 2))
    spec = InputSpec.fit(table, "press_v1", PRESS.views)
    assert spec.vocabularies["topic"] == ("a", "a b", "b", "c", "rock", "rock|pop")
    arrays = spec.apply(table)
    assert arrays["article_topics"].tolist() == [[7, 3], [6, 0]]
    assert arrays["reader_recent_topics"].tolist() == [[[2, 4], [5, 0], [0, 0]], [[7, 0], [0, 0], [0, 0]]]


def test_a_vector_is_read_as_it_is_and_zero_where_it_is_missing() -> None:
    column = Column("taste", Type.FLOAT64_LIST, "", role=role.Vector(2))
    table = drawn_table(rows=3).select(["reader_id", "event_timestamp"])
    table = table.append_column("taste", pa.array([[0.5, -2.0], None, [float("nan"), 1.0]]))
    spec = InputSpec.fit(table, "s", (facts("extras", READER, (column,), "x"),))
    assert spec.apply(table)["taste"].tolist() == [[0.5, -2.0], [0.0, 0.0], [0.0, 1.0]]
    assert spec.apply(table)["taste"].dtype == np.float32
    wide = table.set_column(2, "taste", pa.array([[1.0, 2.0, 3.0]] * 3))
    with pytest.raises(MarqueeError, match="taste has a list of 3 elements where s needs 2"):
        spec.apply(wide)


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (
            Column("a", Type.STRING, "", role=role.Number()),
            "a is String, but its role Number needs Int64",
        ),
        (
            Column("a", Type.INT64_LIST, "", role=role.Sequence("b")),
            "is a sequence, so it needs a length",
        ),
        (Column("a", Type.INT64, ""), "a has no role, so no model would read it"),
        (Column("a", Type.INT64, "", role="id"), "no model reads a column of role str"),  # type: ignore[arg-type]
        (Column("request", Type.STRING, "", role=role.Category("b")), "would be named request: rename"),
        (Column("a", Type.STRING, "", role=role.Category("reader")), "only one holds words"),
    ],
)
def test_a_column_that_no_input_can_read(column: Column, says: str) -> None:
    table = drawn_table(rows=3).append_column(column.name, pa.nulls(3))
    view: View = facts("extras", READER, (column,), "behaviour")
    with pytest.raises(MarqueeError, match=says):
        InputSpec.fit(table, "s", (view,))
