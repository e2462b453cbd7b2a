"""What the online store serves is the newest offline row; who is unknown is said to be."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from feast import FeatureStore

from app.lookup import Lookup, lookup, lookup_many
from common.errors import MarqueeError
from common.settings import Settings
from feature_repo import store
from feature_repo.define.view import View
from feature_repo.domains.movies import DOMAIN
from tests.lake import build_lake
from tests.marquee import in_process

USERS, MOVIES = 220, 230


def asked(user: Any = None, movie: Any = None) -> dict[str, Any]:
    return {"user_id": user, "movie_id": movie}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    build_lake(folder, USERS, MOVIES, rows=3)
    store.apply(Settings(home=folder), DOMAIN)
    store.materialize(Settings(home=folder))
    return folder


@pytest.fixture(scope="module")
def opened(home: Path) -> FeatureStore:
    return store.open_store(Settings(home=home))


@pytest.fixture(scope="module")
def newest(home: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """By table and key, the newest row."""
    return {view.name: newest_of(home, view) for view in DOMAIN.views}


def newest_of(home: Path, view: View) -> dict[int, dict[str, Any]]:
    rows = DeltaTable(home / "lake" / view.name).to_pyarrow_table().to_pylist()
    return {row[view.by.name]: row for row in sorted(rows, key=lambda row: row["event_timestamp"])}


def test_lookup_equals_the_newest_offline_row_for_every_user_and_movie(
    opened: FeatureStore, newest: dict[str, dict[int, dict[str, Any]]]
) -> None:
    for i in range(1, USERS + 1):
        keys = {"user_id": i, "movie_id": MOVIES + 1 - i}
        found = lookup(opened, "mmdin_v1", keys)
        assert found.keys == keys
        assert found.unknown == ()
        for view, status in zip(DOMAIN.services["mmdin_v1"], found.views, strict=True):
            row = newest[view.name][keys[view.by.name]]
            assert status.view == view.name
            assert status.found
            assert status.known_since == row["event_timestamp"]
            for column in view.columns:
                assert found.values[column.name] == row[column.name], column.name


def test_lookup_of_many_equals_lookup_of_each(opened: FeatureStore) -> None:
    pairs = pa.table(
        {
            "user_id": pa.array([3, 3, 10**9, None, 7], pa.int64()),
            "movie_id": pa.array([5, 10**9, 6, 5, None], pa.int32()),
            "more": ["a", "b", "c", "d", "e"],
        }
    )
    many = lookup_many(opened, None, pairs)
    assert many.select(pairs.column_names).equals(pairs)
    for row in many.to_pylist():
        one = lookup(opened, None, asked(row["user_id"], row["movie_id"]))
        since = {status.view: status.known_since for status in one.views}
        for view in DOMAIN.views:
            assert row[f"{view.name}_known_since"] == since.get(view.name)
            assert [row[c.name] for c in view.columns] == [one.values.get(c.name) for c in view.columns]


def test_unknown_ids_are_said_to_be_unknown(opened: FeatureStore) -> None:
    assert lookup(opened, "din_v1", asked(1, 1)).unknown == ()
    nobody = lookup(opened, "din_v1", asked(10**9, 1))
    assert nobody.unknown == ("user_id",)
    assert nobody.values["user_rating_count"] is None
    assert nobody.values["movie_rating_count"] is not None
    assert lookup(opened, "din_v1", asked(10**9, 10**9)).unknown == ("user_id", "movie_id")


def test_one_key_alone_gives_its_views_only(opened: FeatureStore) -> None:
    user = lookup(opened, None, asked(1))
    assert {status.view for status in user.views} == {
        view.name for view in DOMAIN.views if view.by.name == "user_id"
    }
    assert not any(name.startswith("movie_") for name in user.values)


def test_a_known_key_without_a_row_in_one_view_is_known(tmp_path: Path) -> None:
    build_lake(tmp_path, users=3, movies=3)
    store.apply(Settings(home=tmp_path), DOMAIN)
    store.materialize(Settings(home=tmp_path), views=["user_rating_stats", "movie_rating_stats"])
    found: Lookup = lookup(store.open_store(Settings(home=tmp_path)), "din_v1", asked(1, 1))
    assert found.unknown == ()
    assert {status.view: status.found for status in found.views} == {
        "movie_rating_stats": True,
        "user_rating_stats": True,
        "user_recent_likes": False,
        "movie_content": False,
    }
    assert found.values["user_recent_liked_movie_ids"] is None


def test_a_feature_that_was_applied_and_not_materialised_is_told_from_one_without_a_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(home=tmp_path)
    build_lake(tmp_path, users=3, movies=3)
    view = next(view for view in DOMAIN.views if view.name == "movie_rating_stats")
    fewer = replace(view, features=view.features[:1])
    first = replace(
        DOMAIN, views=tuple(fewer if each is view else each for each in DOMAIN.views), services={}
    )
    store.apply(settings, first)
    store.materialize(settings)
    assert lookup(store.open_store(settings), None, asked(None, 1)).unsent == ()
    store.apply(settings, DOMAIN)
    new = {column.name for column in view.columns} - {column.name for column in fewer.columns}
    found = lookup(store.open_store(settings), None, asked(None, 1))
    assert set(found.unsent) == new
    assert in_process(tmp_path, "features", "lookup", "--movie", 1).code == 0
    said = capsys.readouterr().out
    assert f"Not online yet: {', '.join(found.unsent)}; marquee features materialize" in said
    store.materialize(settings)
    assert lookup(store.open_store(settings), None, asked(None, 1)).unsent == ()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((None, None, None), "nothing to look up"),
        ((None, 0, 1), "user_id is a positive whole number"),
        ((None, 1, "7"), "movie_id is a positive whole number"),
        ((None, 1, 2**63), "movie_id is at most"),
        (("din", 1, 1), "did you mean din_v"),
    ],
)
def test_bad_requests_are_one_sentence(opened: FeatureStore, arguments: tuple[Any, ...], words: str) -> None:
    service, user, movie = arguments
    with pytest.raises(MarqueeError, match=words):
        lookup(opened, service, asked(user, movie))


def test_lookup_before_apply_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match="features apply"):
        lookup(store.open_store(Settings(home=tmp_path)), None, asked(1, 1))
    with pytest.raises(MarqueeError, match="features apply"):
        lookup_many(store.open_store(Settings(home=tmp_path)), None, pa.table({"user_id": [1]}))


def test_pairs_that_lack_a_key_are_refused(opened: FeatureStore) -> None:
    with pytest.raises(MarqueeError, match="lack movie_id"):
        lookup_many(opened, None, pa.table({"user_id": [1]}))
