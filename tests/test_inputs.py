"""Inputs against a slow, obvious oracle, and what they refuse."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from math import log
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import MarqueeError
from feature_repo.domains.movies import DOMAIN
from tests.toy_features import toy_spec, toy_table
from tests.toy_press import EVERY_KIND, drawn_table
from training.inputs.apply import bucketise
from training.inputs.config import InputConfig
from training.inputs.fit import quantile_edges
from training.inputs.kinds import (
    Bucketised,
    Categorical,
    Clock,
    MultiValued,
    Numeric,
    ValueSequence,
    Vector,
)
from training.inputs.spec import InputSpec

TREES = InputConfig(missing="nan", bucketised=False, ids=False, categories=False, lists=False, vectors=False)


def oracle(spec: InputSpec, row: dict[str, Any]) -> dict[str, Any]:
    """The inputs of one row, value by value, by the words of the documentation."""

    def number(name: str, fill: float | None) -> float | None:
        value = row[name]
        return fill if value is None else float(value)

    def days(name: str) -> float | None:
        return (
            None
            if row[name] is None
            else max((row["event_timestamp"] - row[name]).total_seconds(), 0) / 86400
        )

    def index(value: Any, vocabulary: str, zero_is_a_value: bool = False) -> int:
        if value is None or value == "" or (value == 0 and not zero_is_a_value):
            return 0
        known = list(spec.vocabularies[vocabulary])
        return known.index(value) + 2 if value in known else 1

    def padded(values: Any, length: int, vocabulary: str) -> list[int]:
        ids = [index(value, vocabulary) for value in (values or [])][:length]
        return ids + [0] * (length - len(ids))

    result: dict[str, Any] = {}
    for item in spec.inputs:
        match item:
            case Numeric():
                block = []
                for column in item.columns:
                    x = number(column.column, column.fill) if not column.since else days(column.column) or 0.0
                    if x is None or column.std == 0:
                        block.append(0.0)
                        continue
                    z = ((log(1 + x) if column.log else x) - column.mean) / column.std
                    if column.count is not None:
                        n = number(column.count, 0) or 0
                        z *= n / (n + item.shrinkage)
                    block.append(z)
                result[item.name] = block
            case Bucketised():
                buckets = []
                for bucket in item.columns:
                    x = number(bucket.column, bucket.fill)
                    buckets.append(0 if x is None else 1 + sum(edge <= x for edge in bucket.edges or ()))
                result[item.name] = buckets
            case Categorical():
                value = item.fill if row[item.column] is None else row[item.column]
                result[item.name] = index(value, item.vocabulary, zero_is_a_value=not item.identity)
            case MultiValued():
                result[item.name] = padded(row[item.column], item.length, item.vocabulary)
            case ValueSequence() if item.bag:
                joined = (row[item.column] or [""] * item.length)[: item.length]
                result[item.name] = [
                    padded(entry.split(item.separator), item.bag, item.vocabulary) for entry in joined
                ]
            case ValueSequence():
                result[item.name] = padded(row[item.column], item.length, item.vocabulary)
            case Vector():
                result[item.name] = row[item.column] or [0.0] * item.width
            case Clock():
                at = row[item.column]
                parts = [0, 0] if at is None else [at.hour + 1, at.weekday() + 1]
                for bucket in item.since:
                    x = days(bucket.column)
                    parts.append(0 if x is None else 1 + sum(edge <= x for edge in bucket.edges or ()))
                result[item.name] = parts
    return result


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 1000),
    shrinkage=st.sampled_from([0.0, 5.0]),
    missing=st.sampled_from([0.0, 0.3]),
    min_count=st.integers(1, 4),
)
def test_apply_equals_the_oracle_on_every_row(
    seed: int, shrinkage: float, missing: float, min_count: int
) -> None:
    config = InputConfig(shrinkage=shrinkage, min_count=min_count, buckets=5, most_values=2)
    for table, views in (
        (toy_table(60, seed=seed, missing=missing), DOMAIN.services["mmdin_v1"]),
        (drawn_table(EVERY_KIND, 60, seed=seed, missing=missing), EVERY_KIND),
    ):
        equals_the_oracle(InputSpec.fit(table.slice(0, 30), "a_service", views, config), table)


def equals_the_oracle(spec: InputSpec, table: pa.Table) -> None:
    arrays = spec.apply(table)
    assert list(arrays) == [item.name for item in spec.inputs]
    for i, row in enumerate(table.to_pylist()):
        for name, expected in oracle(spec, row).items():
            np.testing.assert_allclose(arrays[name][i], expected, rtol=1e-5, atol=1e-5, err_msg=name)


def test_arrays_are_contiguous_and_of_the_declared_shape() -> None:
    table = toy_table(50)
    spec = toy_spec(table, "mmdin_v1")
    for name, array in spec.apply(table).items():
        assert array.flags["C_CONTIGUOUS"], name
        assert array.shape == (50, *spec[name].shape), name


def test_inputs_follow_from_the_declaration_of_the_service() -> None:
    spec = toy_spec(toy_table(60), "din_v1")
    numbers = [
        column.name for view in DOMAIN.services["din_v1"] for column in view.columns if column.type.is_number
    ]
    assert {
        column.column for item in spec.select("numeric") for column in item.columns if not column.since
    } == set(numbers)
    assert {column.column for item in spec.select("bucketised") for column in item.columns} == set(numbers)
    assert [item.name for item in spec.select("sequence")] == [
        "user_recent_liked_movie_ids",
        "user_recent_liked_genres",
    ]
    assert [item.name for item in spec.select("multi_valued")] == ["user_top_genres", "movie_genres"]
    assert not spec.select("numeric", modality="poster")
    poster = toy_spec(toy_table(60), "mmdin_v1").select("numeric", modality="poster")
    assert [item.name for item in poster] == ["item_poster_numeric", "user_poster_numeric"]


def test_candidate_and_history_share_one_vocabulary_of_the_candidates_seen() -> None:
    table = toy_table(80, movies=400)
    spec = toy_spec(table, "din_v1")
    sequence = spec["user_recent_liked_movie_ids"]
    candidate = spec["movie_id"]
    assert isinstance(sequence, ValueSequence)
    assert isinstance(candidate, Categorical)
    assert sequence.vocabulary == candidate.vocabulary == "movie"
    assert spec.vocabularies["movie"] == tuple(sorted(set(table["movie_id"].to_pylist())))


def test_vocabularies_edges_and_means_come_from_the_rows_fitted_on_only() -> None:
    table = toy_table(200, movies=400)
    alone = toy_spec(table.slice(0, 100), "mmdin_v1")
    again = toy_spec(table.slice(0, 100), "mmdin_v1")
    assert alone == again
    unseen = set(table["movie_id"].to_pylist()[100:]) - set(table["movie_id"].to_pylist()[:100])
    assert unseen
    ids = alone.apply(table)["movie_id"]
    for movie, index in zip(table["movie_id"].to_pylist(), ids, strict=True):
        assert (index == 1) == (movie in unseen)


def test_rare_ids_count_as_unseen() -> None:
    table = toy_table(200, movies=80)
    spec = toy_spec(table, "din_v1", InputConfig(min_count=3))
    counts = Counter(table["movie_id"].to_pylist())
    assert set(spec.vocabularies["movie"]) == {movie for movie, n in counts.items() if n >= 3}


def test_standardised_numbers_have_mean_0_and_deviation_1_on_the_rows_fitted_on() -> None:
    table = toy_table(300, missing=0.0)
    block = toy_spec(table, "mmdin_v1").apply(table)["user_poster_numeric"]
    np.testing.assert_allclose(block.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(block.std(axis=0), 1, atol=1e-5)


def test_missing_numbers_stay_missing_for_trees() -> None:
    table = toy_table(60, missing=0.5)
    config = TREES.model_copy(update={"context": False})
    arrays = toy_spec(table, "gbt_v1", config).apply(table)
    assert np.isnan(arrays["item_behaviour_numeric"]).any()
    assert {item.kind for item in toy_spec(table, "gbt_v1", config).inputs} == {"numeric"}


def test_quantile_buckets_hold_equal_shares() -> None:
    x = np.arange(100, dtype=float)
    edges = quantile_edges(x, 4)
    assert edges == (24.75, 49.5, 74.25)  # the quartiles of 0 … 99, interpolated
    assert Counter(bucketise(x, edges).tolist()) == {1: 25, 2: 25, 3: 25, 4: 25}


def test_equal_quantiles_merge_and_nothing_known_gives_no_edges() -> None:
    assert quantile_edges(np.array([1.0, 1.0, 1.0, 1.0, 5.0]), 4) == ()
    assert quantile_edges(np.array([np.nan]), 4) == ()
    assert bucketise(np.array([1.0, np.nan]), ()).tolist() == [1, 0]


def test_an_edge_belongs_to_the_bucket_above_it() -> None:
    assert bucketise(np.array([0.9, 1.0, 2.0, 9.0]), (1.0, 2.0)).tolist() == [1, 2, 3, 3]


def test_the_request_is_the_hour_and_weekday_of_the_request_in_utc() -> None:
    table = toy_table(4)
    at = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)  # a Saturday
    times = pa.array([at] * 4, pa.timestamp("us", "UTC"))
    table = table.set_column(2, "event_timestamp", times)
    arrays = toy_spec(table, "din_v1").apply(table)
    assert arrays["request"][0, :2].tolist() == [23 + 1, 5 + 1]


def test_days_since_the_first_rating_are_counted_from_the_request_and_a_new_user_has_none() -> None:
    table = toy_table(4)
    at = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
    firsts = [at - timedelta(days=1), at - timedelta(days=3), None, at + timedelta(days=5)]
    for name, instants in (("event_timestamp", [at] * 4), ("user_rating_first_at", firsts)):
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(instants, pa.timestamp("us", "UTC")))
    spec = toy_spec(table, "din_v1", InputConfig(buckets=2))
    arrays = spec.apply(table)
    logs = np.log([1 + 1, 1 + 3, 1 + 0, 1 + 0])
    np.testing.assert_allclose(
        arrays["request_numeric"][:, 0], (logs - logs.mean()) / logs.std(), rtol=1e-6, atol=1e-6
    )
    assert spec["request"].since[0].edges == (1.0,)  # the median of 1, 3 and 0 days
    assert arrays["request"][:, 2].tolist() == [2, 2, 0, 1]
    assert np.isnan(toy_spec(table, "gbt_v1", TREES).apply(table)["request_numeric"][:, 0]).tolist() == [
        False,
        False,
        True,
        False,
    ]


def test_specification_survives_json() -> None:
    spec = toy_spec(toy_table(80), "mmdin_v1")
    back = InputSpec.model_validate_json(spec.model_dump_json())
    assert back == spec
    table = toy_table(30, seed=5)
    for name, array in spec.apply(table).items():
        assert (back.apply(table)[name] == array).all(), name


def test_large_and_view_types_are_read_as_the_plain_ones() -> None:
    table = toy_table(40, service="din_v1")
    large = table.cast(
        pa.schema(
            [
                field.with_type(pa.large_list(field.type.value_type))
                if pa.types.is_list(field.type)
                else field
                for field in table.schema
            ]
        )
    )
    spec = toy_spec(table, "din_v1")
    for name, array in spec.apply(large).items():
        assert (array == spec.apply(table)[name]).all(), name


def test_rows_are_scored_alike_alone_and_in_chunks() -> None:
    table = toy_table(90)
    spec = toy_spec(table, "mmdin_v1")
    whole = spec.apply(table)
    chunked = spec.apply(pa.concat_tables([table.slice(0, 30), table.slice(30, 1), table.slice(31)]))
    one = spec.apply(table.slice(40, 1))
    for name, array in whole.items():
        assert (chunked[name] == array).all(), name
        assert (one[name] == array[40:41]).all(), name


def test_no_rows_give_empty_arrays() -> None:
    table = toy_table(30)
    arrays = toy_spec(table, "mmdin_v1").apply(table.slice(0, 0))
    assert {len(array) for array in arrays.values()} == {0}


class TestRefusals:
    """A table of another shape is refused with one sentence that names the column."""

    spec = toy_spec(toy_table(60), "din_v1")

    def test_missing_column(self) -> None:
        with pytest.raises(MarqueeError, match=r"lacks 1 of the \d+ columns .*movie_rating_mean"):
            self.spec.apply(toy_table(5).drop_columns(["movie_rating_mean"]))

    @pytest.mark.parametrize(
        ("column", "kind"),
        [
            ("movie_rating_mean", pa.string()),
            ("movie_id", pa.float64()),
            ("movie_genres", pa.string()),
            ("user_recent_liked_movie_ids", pa.list_(pa.string())),
            ("user_recent_liked_genres", pa.list_(pa.int64())),
            ("event_timestamp", pa.int64()),
        ],
    )
    def test_other_type(self, column: str, kind: pa.DataType) -> None:
        table = toy_table(5)
        table = table.set_column(table.column_names.index(column), column, pa.nulls(5, kind))
        with pytest.raises(MarqueeError, match=f"Column {column} is .* but din_v1 needs"):
            self.spec.apply(table)

    def test_a_whole_number_beyond_64_bits(self) -> None:
        table = toy_table(2)
        huge = pa.array([2**64 - 1, 1], pa.uint64())
        table = table.set_column(table.column_names.index("movie_id"), "movie_id", huge)
        with pytest.raises(MarqueeError, match="Column movie_id does not hold Int64"):
            self.spec.apply(table)

    def test_a_spec_of_the_old_format(self) -> None:
        old = self.spec.model_dump_json().replace('"version":2', '"version":1')
        with pytest.raises(MarqueeError, match=r"in format 1, .* reads format 2: train the model anew"):
            InputSpec.model_validate_json(old)

    def test_other_length_of_history(self) -> None:
        table = toy_table(5)
        name = "user_recent_liked_movie_ids"
        longer = pa.array([[1, 2, 3, 4, 5, 6]] * 5)
        table = table.set_column(table.column_names.index(name), name, longer)
        with pytest.raises(MarqueeError, match="list of 6 elements where din_v1 needs 5"):
            self.spec.apply(table)

    def test_no_rows(self) -> None:
        with pytest.raises(MarqueeError, match="no training rows"):
            toy_spec(toy_table(5).slice(0, 0), "din_v1")
