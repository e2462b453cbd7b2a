"""What data are called."""

from itertools import combinations
from pathlib import Path

import pytest

from app.sources import SourceOptions

DIFFERENT = (
    SourceOptions("synthetic"),
    SourceOptions("synthetic", first_movies=1000),
    SourceOptions("movielens", Path("/data/ml-latest-small"), Path("/data/posters")),
    SourceOptions("movielens", Path("/data/ml-latest-small")),
    SourceOptions("movielens", Path("/data/ml-latest-small"), first_movies=1000),
    SourceOptions("movielens", Path("/data/ml-100k")),
)


@pytest.mark.parametrize(("one", "other"), combinations(DIFFERENT, 2))
def test_each_data_has_a_key_of_its_own(one: SourceOptions, other: SourceOptions) -> None:
    assert one.key != other.key


def test_a_key_is_good_for_files_and_comments() -> None:
    assert SourceOptions("movielens", Path("/data/my -- <data>"), Path("/p")).key == "my-data-"
