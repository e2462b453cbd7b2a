"""Services that join who a user is: the papers' fields, missing and unseen values, homes without users."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.lookup import lookup
from common.errors import MarqueeError
from common.settings import Settings
from feature_repo import store
from feature_repo.arrow import arrow_schema
from feature_repo.domains.movies import DOMAIN
from tests.audit_lake import build_home, movies, overwrite
from tests.marquee import in_process, refused
from tests.toy_features import toy_spec, toy_table
from training.data.dataset import point_in_time
from training.data.labels import read_labels
from training.data.prepared import prepare
from training.inputs.config import InputConfig
from training.recipe import recipe_of

PROFILE = ["user_age", "user_gender", "user_occupation", "user_zip_code"]


@pytest.mark.parametrize(
    ("service", "switches", "fields"),
    [
        ("iarm_v1", {"context": False}, ["user_id", "movie_id", *PROFILE, "movie_genres"]),
        (
            "autoint_v1",
            {"ids": False, "numeric": False},
            [*PROFILE, "item_behaviour_buckets", "movie_genres", "request"],
        ),
    ],
)
def test_the_papers_fields_are_what_is_read(
    service: str, switches: dict[str, Any], fields: list[str]
) -> None:
    spec = toy_spec(toy_table(60, service), service, InputConfig(**switches))
    assert [item.name for item in spec.inputs] == fields


def test_missing_is_no_value_and_new_ones_are_unseen() -> None:
    table = toy_table(60, "iarm_v1", missing=0.0)
    spec = toy_spec(table, "iarm_v1")
    others = table.slice(0, 3)
    for name, values in (("user_age", [None, 1000, 0]), ("user_gender", [None, "X", ""])):
        place = others.column_names.index(name)
        field = others.schema.field(name)
        others = others.set_column(place, field, pa.array(values, field.type))
    arrays = spec.apply(others)
    assert arrays["user_age"].tolist() == [0, 1, 1]
    assert arrays["user_gender"].tolist() == [0, 1, 0]
    known = spec.apply(table)
    assert min(np.min(known[name]) for name in PROFILE) >= 2


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose source told nothing of users."""
    home = tmp_path_factory.mktemp("without")
    build_home(home, movies())
    for name in ("users", "user_profile"):
        overwrite(home, name, arrow_schema(DOMAIN.tables[name]).empty_table())
    store.materialize(Settings(home=home))
    return home


@pytest.mark.parametrize(("service", "model"), [("iarm_v1", "deepfm"), ("autoint_v1", "gbt")])
def test_a_service_of_profiles_is_refused_where_there_are_none(
    without: Path, tmp_path: Path, service: str, model: str
) -> None:
    file, out = tmp_path / "labels.parquet", tmp_path / "out.parquet"
    pq.write_table(read_labels(without / "lake", DOMAIN).table, file)
    dataset = ("dataset", "--labels", file, "--out", out)
    said = f"Error: {service} joins user_profile, which has no rows, as no source read so far tells who"
    for command in (("features", *dataset), ("train", model)):
        sentence = refused(without, *command, "--service", service)
        assert sentence.startswith(said)
        assert "`marquee pipeline ingest --source movielens --path FOLDER`" in sentence
    assert not out.exists()
    done = in_process(without, "features", *dataset, "--service", "gbt_v1")
    assert done.code == 0, done


def test_a_lookup_tells_that_nothing_is_known(without: Path) -> None:
    found = lookup(store.open_store(Settings(home=without)), "iarm_v1", {"user_id": 1, "movie_id": 1})
    assert [found.values[name] for name in PROFILE] == [None] * 4
    assert found.values["movie_genres"]
    assert found.unknown == ("user_id",)


def test_a_user_without_a_profile_is_joined_without(tmp_path: Path) -> None:
    world = movies()
    build_home(tmp_path, world)
    opened = store.open_store(Settings(home=tmp_path))
    rows = prepare(opened, tmp_path / "lake", DOMAIN, recipe_of(DOMAIN, "gbt", service="autoint_v1")).table
    told = {row["user_id"]: row for row in world.tables["users"]}
    assert set(rows["user_id"].to_pylist()) - set(told) == {2}
    for row in rows.to_pylist():
        profile = told.get(row["user_id"], {})
        assert [row[name] for name in PROFILE] == [
            profile.get(name.removeprefix("user_")) for name in PROFILE
        ]


def test_a_service_that_is_not_applied_yet_says_so(tmp_path: Path) -> None:
    build_home(tmp_path, movies(count=30))
    settings = Settings(home=tmp_path)
    opened = store.open_store(settings)
    opened.delete_feature_service("iarm_v1")
    labels = read_labels(tmp_path / "lake", DOMAIN).table
    with pytest.raises(
        MarqueeError, match="no iarm_v1 yet: run `marquee pipeline run`, then `marquee features"
    ):
        point_in_time(opened, DOMAIN, "iarm_v1", labels)
