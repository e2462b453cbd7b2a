"""What training rows do not have: a view's row, a value of a number, a word, more than one user."""

import numpy as np
import pyarrow as pa
import pytest

from feature_repo.domains.movies import DOMAIN
from feature_repo.domains.movies.features import MOVIE_RATING_STATS
from tests.toy_features import toy_spec, toy_table
from training.inputs.config import InputConfig
from training.inputs.kinds import Bucketised, Clock, Numeric

TREES = InputConfig(missing="nan", bucketised=False, ids=False, categories=False, lists=False, vectors=False)


def test_a_view_with_no_row_yet_gives_fill_padding_and_the_missing_bucket() -> None:
    table = toy_table(60, service="din_v1", missing=0.0)
    nothing = pa.table(
        {
            name: table[name]
            if name in ("user_id", "movie_id", "event_timestamp")
            else pa.nulls(60, table.schema.field(name).type)
            for name in table.column_names
        }
    )
    spec = toy_spec(table, "din_v1", InputConfig(shrinkage=5.0))
    arrays = spec.apply(nothing)
    assert not arrays["user_recent_liked_movie_ids"].any()
    assert not arrays["movie_genres"].any()
    item = spec["item_behaviour_numeric"]
    assert isinstance(item, Numeric)
    names = [column.column for column in item.columns]
    mean = names.index("movie_rating_mean")
    assert (arrays["item_behaviour_numeric"][:, mean] == 0).all()
    assert (arrays["item_behaviour_buckets"][:, mean] == 0).all()
    # A count is filled with 0, which is a value like any other: the lowest bucket.
    assert (arrays["item_behaviour_buckets"][:, names.index("movie_rating_count")] == 1).all()


NOTHING = {
    "no value of a number": {"user_release_year_mean": None, "movie_release_year": None},
    "no instant": {"user_rating_first_at": None},
    "no count": {"movie_rating_count": None, "user_rating_count": None},
    "nobody liked anything": {"user_recent_liked_movie_ids": None, "user_recent_liked_genres": None},
    "only padding": {"user_recent_liked_movie_ids": [0] * 5, "user_top_genres": [""] * 3},
    "no genre at all": {
        "user_top_genres": None, "movie_genres": [], "user_recent_liked_genres": None,
    },
    "one user": {"user_id": 7},
    "one movie": {"movie_id": 7},
    "no poster": {
        column.name: None for view in DOMAIN.views if view.modality == "poster" for column in view.columns
    },
}  # fmt: skip


@pytest.mark.parametrize("case", NOTHING)
@pytest.mark.parametrize("typed", [True, False])
def test_what_no_training_row_has_gives_finite_inputs_then_and_later(case: str, typed: bool) -> None:
    later = toy_table(60, missing=0.0, seed=1)
    table = later.slice(0, 40)
    for name, value in NOTHING[case].items():
        kind = table.schema.field(name).type
        column = pa.array([value] * 40, kind if typed or value is not None else pa.null())
        table = table.set_column(table.column_names.index(name), name, column)
    spec = toy_spec(table, "mmdin_v1", InputConfig(shrinkage=3.0))
    for rows in (table, later):
        for name, array in spec.apply(rows).items():
            assert np.isfinite(array).all(), name
            assert array.shape == (rows.num_rows, *spec[name].shape), name
            if spec[name].kind in ("numeric", "vector"):
                assert np.abs(array).max() < 50, name
    for item in spec.inputs:
        if isinstance(item, Bucketised | Clock):
            assert (spec.apply(later)[item.name] < np.array(item.sizes)).all()


def test_a_number_without_a_value_in_training_stays_missing_whatever_comes_later() -> None:
    later = toy_table(20, missing=0.0)
    place = later.column_names.index("movie_release_year")
    table = later.set_column(place, "movie_release_year", pa.nulls(20, pa.int64()))
    for config, expected in ((InputConfig(), 0.0), (TREES, np.nan)):
        spec = toy_spec(table, "din_v1", config)
        item = spec["item_behaviour_numeric"]
        assert isinstance(item, Numeric)
        year = [column.column for column in item.columns].index("movie_release_year")
        assert item.columns[year].known == 0
        block = spec.apply(later)["item_behaviour_numeric"][:, year]
        np.testing.assert_array_equal(block, np.full(20, expected, np.float32))
    buckets = toy_spec(table, "din_v1").apply(later)["item_behaviour_buckets"]
    assert (buckets[:, year] == 0).all()


def test_a_number_that_is_the_same_in_all_training_rows_reads_0_later_too() -> None:
    later = toy_table(20, missing=0.0)
    place = later.column_names.index("movie_release_year")
    table = later.set_column(place, "movie_release_year", pa.array([1999] * 20))
    spec = toy_spec(table, "din_v1")
    year = [column.column for column in spec["item_behaviour_numeric"].columns].index("movie_release_year")
    assert (spec.apply(later)["item_behaviour_numeric"][:, year] == 0).all()


def test_numbers_that_are_no_number_read_as_missing() -> None:
    table = toy_table(30, missing=0.0)
    place = table.column_names.index("movie_rating_mean")
    odd = table.set_column(
        place, "movie_rating_mean", pa.array([float("inf"), float("-inf"), float("nan")] * 10)
    )
    assert toy_spec(odd, "din_v1").model_dump_json()
    arrays = toy_spec(table, "din_v1").apply(odd)
    mean = [column.name for column in MOVIE_RATING_STATS.columns].index("movie_rating_mean")
    assert (arrays["item_behaviour_numeric"][:, mean] == 0).all()
    assert (arrays["item_behaviour_buckets"][:, mean] == 0).all()


ABSURD = {
    "movie_rating_mean": (1e308, -1e308, 4e38, float("inf")),
    "movie_rating_count": (-1, -2, -7, -(2**63)),  # the shrinkage makes n / (n + 7) of it
    "user_rating_first_at": (2**63 - 1, -(2**63)),
}


@pytest.mark.parametrize(("column", "value"), [(name, value) for name in ABSURD for value in ABSURD[name]])
def test_absurd_values_give_finite_inputs_without_a_warning(
    column: str, value: float, recwarn: pytest.WarningsRecorder
) -> None:
    table = toy_table(60, "din_v1")
    kind = table.schema.field(column).type
    absurd = pa.array([value]).cast(kind)
    whole = table[column].combine_chunks()
    values = pa.concat_arrays([whole.slice(0, 3), absurd, whole.slice(4)])
    table = table.set_column(table.column_names.index(column), column, values)
    for fitted_to in (table, table.slice(10)):
        spec = toy_spec(fitted_to, "din_v1", InputConfig(shrinkage=7.0))
        for name, array in spec.apply(table).items():
            assert np.isfinite(array).all(), name
    assert not recwarn.list
