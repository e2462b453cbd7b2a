"""Fields: hand-computed embeddings, first-order terms and masks of every kind of input."""

from typing import Any

import numpy as np
import pyarrow as pa

from feature_repo.define import role
from feature_repo.define.column import EVENT_TIMESTAMP, Column, Type
from tests.toy_domain import ARTICLE, READER
from tests.toy_press import EVERY_KIND, drawn_table, facts
from training.backend import keras
from training.inputs.config import InputConfig
from training.inputs.spec import InputSpec
from training.layers import FactorisationMachine
from training.models.embeddings import model_inputs
from training.models.fields import FieldConfig, fields_of

VIEWS = (
    facts(
        "reader_facts",
        READER,
        (
            Column("age", Type.FLOAT64, "", role=role.Number()),
            Column("likes", Type.STRING_LIST, "", role=role.Bag("topic")),
            Column("past", Type.STRING_LIST, "", length=2, role=role.Sequence("topic", "+")),
            Column("taste", Type.FLOAT64_LIST, "", role=role.Vector(2)),
            Column("home", Type.STRING, "", role=role.Category("country")),
        ),
        "behaviour",
    ),
)
TABLE = pa.table(
    {
        "reader_id": [7, 8],
        EVENT_TIMESTAMP: pa.array([0, 3_600_000_000], pa.timestamp("us", "UTC")),
        "age": [10.0, 30.0],
        "likes": [["a", "b"], []],
        "past": [["a+b", "b"], ["", ""]],
        "taste": [[1.0, 2.0], [0.0, 0.0]],
        "home": pa.array(["x", None]),
    }
)


def network(spec: InputSpec, config: FieldConfig) -> Any:
    """The parts of `fields_of` as the outputs of a model, with tables whose rows are told apart by eye."""
    inputs = model_inputs(spec)
    fields = fields_of(spec, inputs, config)
    found = keras.Model(inputs, [fields.embeddings, fields.first_order, fields.mask])
    for weight in found.weights:
        if weight.dtype == "float32":
            rows, dim = weight.shape
            values = 10.0 * np.arange(rows)[:, None] + np.arange(dim)[None]
            weight.assign(values if "first" not in weight.path else 100 + values)
    return found


def test_each_kind_of_input_gives_the_fields_that_the_table_says() -> None:
    config = InputConfig(bucketised=False, context=False)
    spec = InputSpec.fit(TABLE, "s", VIEWS, config)
    assert [item.name for item in spec.inputs] == [
        "reader_id", "home", "user_behaviour_numeric", "likes", "past", "taste",
    ]  # fmt: skip
    embeddings, first, mask = (
        np.asarray(out) for out in network(spec, FieldConfig(dim=2))(spec.apply(TABLE))
    )
    # Row i of a table is (10 i, 10 i + 1); ids start at 2. The age is standardised to -1 and 1.
    a, b = np.array([20, 21]), np.array([30, 31])
    np.testing.assert_allclose(
        embeddings[0],
        [[20, 21], [20, 21], [-0.0, -1.0], (a + b) / 2, ((a + b) / 2 + b) / 2, [2 * 10 + 0, 1 * 1 + 2 * 11]],
        rtol=1e-6,
    )
    np.testing.assert_allclose(embeddings[1], [[30, 31], [0, 0], [0, 1], [0, 0], [0, 0], [0, 0]], rtol=1e-6)
    # Tables of width 1: row i is 100 + 10 i.
    assert first[0, 0] == 120 + 120 - 100 + 125 + (125 + 130) / 2 + (1 * 100 + 2 * 110)
    assert first[1, 0] == 130 + 0 + 100 + 0 + 0 + 0
    assert mask.tolist() == [[True] * 6, [True, False, True, False, False, False]]


def test_buckets_and_the_parts_of_the_request_are_fields_of_their_own() -> None:
    config = InputConfig(numeric=False, ids=False, categories=False, lists=False, vectors=False, buckets=2)
    spec = InputSpec.fit(TABLE, "s", VIEWS, config)
    embeddings, first, mask = (
        np.asarray(out) for out in network(spec, FieldConfig(dim=1))(spec.apply(TABLE))
    )
    # The age's table has 3 rows (missing, below and from 20 on); hours are rows 0 to 24 of the other table,
    # and weekdays, of which 1970 began with a Thursday, those behind.
    assert embeddings[:, :, 0].tolist() == [[10, 10, 10 * (25 + 4)], [20, 20, 10 * (25 + 4)]]
    assert first[:, 0].tolist() == [3 * 100 + 10 + 10 + 290, 3 * 100 + 20 + 20 + 290]
    assert mask.all()


def test_every_kind_of_input_of_any_spec_makes_fields_of_one_width() -> None:
    table = drawn_table(EVERY_KIND, 50)
    spec = InputSpec.fit(table, "s", EVERY_KIND)
    inputs = model_inputs(spec)
    fields = fields_of(spec, inputs, FieldConfig(dim=5))
    several = ("numeric", "bucketised", "clock")
    count = sum(item.shape[0] if item.kind in several else 1 for item in spec.inputs)
    assert fields.embeddings.shape == (None, count, 5)
    assert fields.first_order.shape == (None, 1)
    assert fields.mask.shape == (None, count)
    machine = keras.Model(inputs, fields.first_order + FactorisationMachine()(fields.embeddings))
    assert np.isfinite(machine.predict(spec.apply(table), verbose=0)).all()


def test_one_input_alone_is_one_field() -> None:
    view = facts("x", ARTICLE, (Column("section", Type.STRING, "", role=role.Category("s")),), "behaviour")
    off = dict.fromkeys(("numeric", "bucketised", "ids", "lists", "vectors", "context"), False)
    table = pa.table({"section": ["a", "b"]})
    spec = InputSpec.fit(table, "s", (view,), InputConfig(**off))
    fields = fields_of(spec, model_inputs(spec), FieldConfig(dim=3))
    assert fields.embeddings.shape == (None, 1, 3)
    assert fields.mask.shape == (None, 1)
