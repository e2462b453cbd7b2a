"""The feature repository: what Feast sees, Feast's own commands, apply, materialise, data sets."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from feast import FeatureStore

from app.lookup import lookup_many
from common.errors import MarqueeError
from common.settings import Settings
from feature_repo import store
from feature_repo.arrow import arrow_schema
from feature_repo.define.column import BEGINNING, Column, Type
from feature_repo.define.operation import Fact
from feature_repo.define.role import Unread
from feature_repo.define.view import View
from feature_repo.domains.movies import DOMAIN
from feature_repo.domains.movies.features import MOVIE_CONTENT
from feature_repo.offline.duckdb_asof import AsOfDuckDBOfflineStoreConfig
from feature_repo.publish import feast_objects
from tests.asof_battery import plain
from tests.asof_oracle import OracleView, join
from tests.lake import START, build_lake, newest_by_key, random_rows
from tests.marquee import feast
from training.data.dataset import dataset_file, point_in_time

FEATURE_TABLES = tuple(view.table for view in DOMAIN.views)
REPOSITORY = Path(__file__).parents[1] / "feature_repo"
INSTANT = pa.timestamp("us", "UTC")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a small lake, applied and materialised."""
    folder = tmp_path_factory.mktemp("home")
    build_lake(folder)
    store.apply(Settings(home=folder), DOMAIN)
    store.materialize(Settings(home=folder))
    return folder


@pytest.fixture(scope="module")
def opened(home: Path) -> FeatureStore:
    return store.open_store(Settings(home=home))


def labels_at_random(n: int, seed: int = 1) -> pa.Table:
    """Labels of known and unknown keys, before, within and after the year of the lake."""
    rng = np.random.default_rng(seed)
    seconds = rng.integers(-50 * 86400, 450 * 86400, n)
    return pa.table(
        {
            "rating": rng.choice([0.5, 3.5, 5.0], n),
            "movie_id": rng.integers(1, 70, n),
            "event_timestamp": pa.array([START + timedelta(seconds=int(s)) for s in seconds], INSTANT),
            "user_id": rng.integers(1, 50, n),
        }
    )


# --- definitions ------------------------------------------------------------------------------------------


def test_views_and_services_are_those_of_the_schema(opened: FeatureStore) -> None:
    views = {view.name: view for view in opened.list_feature_views()}
    assert set(views) == {table.name for table in FEATURE_TABLES}
    for table in FEATURE_TABLES:
        fields = {field.name: str(field.dtype) for field in views[table.name].features}
        assert fields == {column.name: column.type.value for column in table.columns}
        assert [field.name for field in views[table.name].entity_columns] == [key.name for key in table.key]
    services = {service.name: service for service in opened.list_feature_services()}
    assert {
        name: {
            part.name: [feature.name for feature in part.features]
            for part in service.feature_view_projections
        }
        for name, service in services.items()
    } == {
        name: {view.name: [column.name for column in view.columns] for view in views}
        for name, views in DOMAIN.services.items()
    }


def test_sources_name_tables_not_places() -> None:
    assert {source.path for source in feast_objects(DOMAIN, "any").sources.values()} == {
        table.name for table in FEATURE_TABLES
    }


def test_arrow_schemas_are_what_delta_keeps(home: Path) -> None:
    for table in FEATURE_TABLES:
        stored = DeltaTable(home / "lake" / table.name).to_pyarrow_dataset().schema
        assert stored.equals(arrow_schema(table), check_metadata=False)


# --- Feast's own commands ---------------------------------------------------------------------------------


def stock(home: Path | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Feast's command as a process."""
    environment = {name: value for name, value in os.environ.items() if name != "MARQUEE_HOME"}
    if home is not None:
        environment["MARQUEE_HOME"] = str(home)
    command = [str(Path(sys.executable).with_name("feast")), "-c", str(REPOSITORY), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.process
def test_stock_commands_plan_apply_and_materialise(tmp_path: Path) -> None:
    build_lake(tmp_path, users=5, movies=5)
    planned = feast(tmp_path, "plan")
    assert planned.exit_code == 0, planned.output
    assert "Created feature view movie_rating_stats" in planned.output
    applied = stock(tmp_path, "apply")
    assert applied.returncode == 0, applied.stderr
    assert "WARNING" not in applied.stdout + applied.stderr
    assert store.plan(Settings(home=tmp_path), DOMAIN) == []
    done = feast(tmp_path, "materialize", f"{BEGINNING:%Y-%m-%dT%H:%M:%S}", "2030-01-01T00:00:00")
    assert done.exit_code == 0, done.output
    served = lookup_many(
        store.open_store(Settings(home=tmp_path)), "mmdin_v1", pa.table({"user_id": [1], "movie_id": [2]})
    )
    newest = newest_rows(tmp_path, "movie_rating_stats")[2]
    assert served.column("movie_rating_count").to_pylist() == [newest["movie_rating_count"]]
    # A row of the future of that run arrives with the incremental one.
    table = DOMAIN.tables["movie_rating_stats"]
    later = random_rows(table, 2, 2, np.random.default_rng(9)).slice(1, 1)
    later = later.set_column(
        later.column_names.index("event_timestamp"),
        pa.field("event_timestamp", INSTANT),
        pa.array([datetime(2030, 6, 1, tzinfo=UTC)], INSTANT),
    )
    write_deltalake(tmp_path / "lake" / table.name, later, mode="append")
    assert later.column("movie_id").to_pylist() == [2]
    done = feast(tmp_path, "materialize-incremental", "2031-01-01T00:00:00")
    assert done.exit_code == 0, done.output
    served = lookup_many(
        store.open_store(Settings(home=tmp_path)), "mmdin_v1", pa.table({"user_id": [1], "movie_id": [2]})
    )
    assert served.column("movie_rating_count").to_pylist() == later.column("movie_rating_count").to_pylist()


@pytest.mark.process
def test_a_home_that_is_not_set_is_one_sentence() -> None:
    result = stock(None, "plan")
    assert result.returncode == 2
    assert "MARQUEE_HOME is not set" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_relative_home_is_refused_since_feast_changes_folder() -> None:
    with pytest.raises(click.UsageError, match="relative path"):
        AsOfDuckDBOfflineStoreConfig(lake=".marquee/lake")


# --- apply and plan ---------------------------------------------------------------------------------------


def test_plan_shows_a_changed_definition_and_apply_makes_it_so(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    first = store.apply(settings, DOMAIN)
    assert ("create", "feature view", "movie_content") in [(c.action, c.kind, c.name) for c in first]
    assert store.plan(Settings(home=tmp_path), DOMAIN) == []
    title = Fact("title", Column("movie_title", Type.STRING, "As in the catalogue.", role=Unread()))
    content = replace(MOVIE_CONTENT, features=(*MOVIE_CONTENT.features, title))

    def now(views: tuple[View, ...]) -> tuple[View, ...]:
        return tuple(content if view is MOVIE_CONTENT else view for view in views)

    services = {name: now(views) for name, views in DOMAIN.services.items() if name != "gbt_v1"}
    other = replace(DOMAIN, views=now(DOMAIN.views), services=services)
    changes = {(change.action, change.name): change for change in store.plan(settings, other)}
    assert set(changes) == {
        ("update", "movie_content"),
        *(("update", name) for name, views in services.items() if content in views),
        ("delete", "gbt_v1"),
    }
    assert "movie_title" in str(changes["update", "movie_content"])
    assert {
        service.name for service in store.open_store(Settings(home=tmp_path)).list_feature_services()
    } == set(DOMAIN.services)
    assert {(change.action, change.name) for change in store.apply(settings, other)} == set(changes)
    assert store.plan(settings, other) == []
    assert "gbt_v1" not in {
        service.name for service in store.open_store(Settings(home=tmp_path)).list_feature_services()
    }


@pytest.mark.process
def test_two_applies_at_once_leave_a_whole_registry(tmp_path: Path) -> None:
    """Ours and Feast's own wait for each other."""
    code = (
        "from common.settings import Settings; from feature_repo import store\n"
        "from feature_repo.domains.movies import DOMAIN\n"
        f"store.apply(Settings(home={str(tmp_path)!r}), DOMAIN)"
    )
    ours = subprocess.Popen([sys.executable, "-c", code])
    theirs = stock(tmp_path, "apply")
    assert ours.wait(timeout=120) == 0
    assert theirs.returncode == 0, theirs.stderr
    assert store.plan(Settings(home=tmp_path), DOMAIN) == []


def test_apply_and_materialise_print_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    build_lake(tmp_path, users=3, movies=3)
    store.plan(Settings(home=tmp_path), DOMAIN)
    store.apply(Settings(home=tmp_path), DOMAIN)
    store.materialize(Settings(home=tmp_path))
    assert capfd.readouterr() == ("", "")


def test_apply_keeps_what_was_materialised(home: Path) -> None:
    before = store.open_store(Settings(home=home)).get_feature_view("movie_content").materialization_intervals
    assert before
    store.apply(Settings(home=home), DOMAIN)
    assert (
        store.open_store(Settings(home=home)).get_feature_view("movie_content").materialization_intervals
        == before
    )


def test_a_home_that_was_never_applied_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match="no feature store for"):
        store.open_store(Settings(home=tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MarqueeError, match="Cannot write"):
        store.apply(Settings(home=tmp_path / "file" / "home"), DOMAIN)


# --- materialise ------------------------------------------------------------------------------------------


def newest_rows(home: Path, table: str) -> dict[int, dict[str, object]]:
    """The newest row of each key, by looking at all."""
    rows = DeltaTable(home / "lake" / table).to_pyarrow_table()
    return newest_by_key(rows, DOMAIN.tables[table].key[0].name)


def test_materialise_reports_one_row_per_key_and_its_progress(tmp_path: Path) -> None:
    build_lake(tmp_path, users=6, movies=7)
    store.apply(Settings(home=tmp_path), DOMAIN)
    seen: list[tuple[str, int, int]] = []
    report = store.materialize(
        Settings(home=tmp_path), on_progress=lambda view, done, of: seen.append((view, done, of))
    )
    expected = {table.name: len(newest_rows(tmp_path, table.name)) for table in FEATURE_TABLES}
    assert {part.view: part.rows for part in report} == expected
    assert {view: (done, of) for view, done, of in seen} == {view: (n, n) for view, n in expected.items()}


def test_materialise_names_an_unknown_view_and_a_missing_table(tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match="features apply"):
        store.materialize(Settings(home=tmp_path))
    store.apply(Settings(home=tmp_path), DOMAIN)
    with pytest.raises(MarqueeError, match="no view nonsense"):
        store.materialize(Settings(home=tmp_path), views=["nonsense"])
    with pytest.raises(MarqueeError, match="no Delta table at"):
        store.materialize(Settings(home=tmp_path))


# --- data sets --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", DOMAIN.services)
def test_data_set_equals_the_oracle_for_every_service(home: Path, opened: FeatureStore, service: str) -> None:
    labels = labels_at_random(150)
    views = []
    for table in DOMAIN.services[service]:
        rows = plain(DeltaTable(home / "lake" / table.name).to_pyarrow_table())
        key = table.by
        views.append(OracleView(rows, {key.name: key.name}, {c.name: c.name for c in table.columns}))
    result = point_in_time(opened, DOMAIN, service, labels)
    assert plain(result) == join(plain(labels), views)
    kinds = {
        field.name: field.type for view in DOMAIN.services[service] for field in arrow_schema(view.table)
    }
    features = [column.name for view in DOMAIN.services[service] for column in view.columns]
    assert result.column_names == [*labels.column_names, *features]
    assert all(result.schema.field(name).type.equals(kinds[name]) for name in features)


def test_data_set_file_is_the_data_set(opened: FeatureStore, tmp_path: Path) -> None:
    labels = labels_at_random(20)
    pq.write_table(labels, tmp_path / "labels.parquet")
    out = tmp_path / "deep" / "out.parquet"
    assert dataset_file(opened, DOMAIN, "din_v1", tmp_path / "labels.parquet", out) == 20
    assert pq.read_table(out).equals(point_in_time(opened, DOMAIN, "din_v1", labels))
    assert [path.name for path in out.parent.iterdir()] == ["out.parquet"]


@pytest.mark.parametrize(
    ("labels", "service", "words"),
    [
        (labels_at_random(1), "mmdin_v0", "did you mean mmdin_v"),
        (labels_at_random(1).drop_columns(["movie_id"]), "din_v1", "lack movie_id"),
        (labels_at_random(1).drop_columns(["event_timestamp"]), "din_v1", "lack event_timestamp"),
        (labels_at_random(1).set_column(3, "user_id", pa.array(["7"])), "din_v1", "user_id holds string"),
        (
            labels_at_random(1).set_column(3, "user_id", pa.array([0.5])),
            "din_v1",
            "row 1 is 0.5, no whole number",
        ),
        (labels_at_random(1).set_column(2, "event_timestamp", pa.array([5])), "din_v1", "holds int64"),
        (labels_at_random(1).set_column(2, "event_timestamp", pa.nulls(1, INSTANT)), "din_v1", "row 1"),
        (labels_at_random(1).append_column("movie_genres", pa.nulls(1)), "din_v1", "both have movie_genres"),
    ],
)
def test_bad_labels_are_one_sentence(
    opened: FeatureStore, labels: pa.Table, service: str, words: str
) -> None:
    with pytest.raises(MarqueeError, match=words):
        point_in_time(opened, DOMAIN, service, labels)


def test_bad_label_files_are_one_sentence_and_leave_nothing(opened: FeatureStore, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    with pytest.raises(MarqueeError, match="no label file"):
        dataset_file(opened, DOMAIN, "din_v1", tmp_path / "none.parquet", out)
    (tmp_path / "text.parquet").write_text("user_id,movie_id\n1,2\n")
    doubled = pa.table([[1], [2], [3]], names=["user_id", "stars", "stars"])
    pq.write_table(doubled, tmp_path / "doubled.parquet")
    with pytest.raises(MarqueeError, match="several columns named stars"):
        dataset_file(opened, DOMAIN, "din_v1", tmp_path / "doubled.parquet", out)
    with pytest.raises(MarqueeError, match="not a Parquet file"):
        dataset_file(opened, DOMAIN, "din_v1", tmp_path / "text.parquet", out)
    pq.write_table(labels_at_random(1), tmp_path / "good.parquet")
    (tmp_path / "folder").mkdir()
    with pytest.raises(MarqueeError, match="Cannot write"):
        dataset_file(opened, DOMAIN, "din_v1", tmp_path / "good.parquet", tmp_path / "folder")
    assert not out.exists()
    assert not list(tmp_path.glob(".*.part"))


def test_recorded_versions_give_the_same_rows_back(tmp_path: Path) -> None:
    build_lake(tmp_path, users=5, movies=5)
    store.apply(Settings(home=tmp_path), DOMAIN)
    versions = store.table_versions(store.open_store(Settings(home=tmp_path)))
    labels = labels_at_random(30)

    def joined(versions: dict[str, int] | None = None) -> pa.Table:
        opened = store.open_store(Settings(home=tmp_path), versions)
        return point_in_time(opened, DOMAIN, "din_v1", labels)

    before = joined()
    build_more = random_rows(DOMAIN.tables["user_rating_stats"], 5, 25, np.random.default_rng(5))
    write_deltalake(tmp_path / "lake" / "user_rating_stats", build_more, mode="append")
    assert not point_in_time(store.open_store(Settings(home=tmp_path)), DOMAIN, "din_v1", labels).equals(
        before
    )
    assert point_in_time(
        store.open_store(Settings(home=tmp_path), versions), DOMAIN, "din_v1", labels
    ).equals(before)


def test_data_sets_in_several_threads_do_not_mix(opened: FeatureStore) -> None:
    labels = [labels_at_random(50, seed) for seed in range(4)]
    alone = [point_in_time(opened, DOMAIN, "din_v1", part) for part in labels]
    together: dict[int, pa.Table] = {}

    def work(i: int) -> None:
        together[i] = point_in_time(opened, DOMAIN, "din_v1", labels[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(together[i].equals(alone[i]) for i in range(4))


@pytest.fixture(autouse=True)
def _no_files_in_the_repository() -> Iterator[None]:
    before = set(REPOSITORY.iterdir())
    yield
    assert {path for path in set(REPOSITORY.iterdir()) - before if path.name != "__pycache__"} == set()


def test_memory_limit_of_the_join_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert AsOfDuckDBOfflineStoreConfig().memory_limit == "2GB"
    monkeypatch.setenv("MARQUEE_DUCKDB_MEMORY", "512MB")
    assert AsOfDuckDBOfflineStoreConfig().memory_limit == "512MB"
