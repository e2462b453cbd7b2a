"""Feast's own state removed or torn down: the next command mends it, or says what to run."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from app.lookup import lookup, lookup_many
from common.errors import MarqueeError
from common.settings import Settings
from feature_repo import store
from feature_repo.define.column import EVENT_TIMESTAMP, STATE
from feature_repo.online.send import send_changed
from pipelines.features import pieces
from tests.lake import build_tables
from tests.toy_domain import PRESS, READER_STATS

KEYS = {"reader_id": 1, "article_id": "article_id 1"}
NOTHING_ONLINE = r"Nothing is online yet by .*: run marquee features materialize"
PAIRS = pa.table({name: [value] for name, value in KEYS.items()})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home with everything applied and online."""
    build_tables(tmp_path, PRESS, {"reader_id": 3, "article_id": 3})
    found = Settings(home=tmp_path)
    store.apply(found, PRESS)
    store.materialize(found)
    return found


def files_in(home: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in home.iterdir() if path.is_file()}


def everything(settings: Settings) -> set[tuple[str, str]]:
    """What of a registry that holds nothing would be made."""
    return {(change.action, change.name) for change in store.plan(settings, PRESS)}


ALL = {
    *(("create", name) for name in ("marquee", "reader", "article", "press_v1")),
    *(("create", view.name) for view in PRESS.views),
}


def test_after_a_teardown_apply_publishes_all_again(settings: Settings) -> None:
    for _ in range(2):
        store.open_store(settings).teardown()  # type: ignore[no-untyped-call]
        assert everything(settings) == ALL
        with pytest.raises(MarqueeError, match="no views yet: run marquee features apply"):
            lookup(store.open_store(settings), None, KEYS)
        with pytest.raises(MarqueeError, match="no views yet: run marquee features apply"):
            store.materialize(settings)
        assert {(change.action, change.name) for change in store.apply(settings, PRESS)} == ALL
        assert store.plan(settings, PRESS) == []
        opened = store.open_store(settings)
        with pytest.raises(MarqueeError, match=NOTHING_ONLINE):
            lookup(opened, None, KEYS)
        assert sum(part.rows for part in store.materialize(settings)) == 3 * len(PRESS.views)
        assert lookup(opened, None, KEYS).unknown == ()


def test_half_a_registry_is_made_whole(settings: Settings) -> None:
    """Such as an apply leaves that failed amid the views: their history is there, some of them are not."""
    with sqlite3.connect(settings.home / "registry.db") as registry:
        registry.execute(
            "DELETE FROM feature_views WHERE feature_view_name IN ('reader_stats', 'article_stats')"
        )
    assert everything(settings) == {("create", "reader_stats"), ("create", "article_stats")}
    store.apply(settings, PRESS)
    assert store.plan(settings, PRESS) == []
    assert lookup(store.open_store(settings), None, KEYS).unknown == ()


def test_a_view_that_went_can_come_back(settings: Settings) -> None:
    fewer = replace(PRESS, views=PRESS.views[1:], services={})
    store.apply(settings, fewer)
    store.apply(settings, PRESS)
    assert store.plan(settings, PRESS) == []


@pytest.mark.parametrize("emptied", [False, True], ids=["removed", "emptied"])
def test_a_lost_online_store_is_filled_again(settings: Settings, emptied: bool) -> None:
    online = settings.home / "online.db"
    online.unlink()
    if emptied:
        online.touch()
    before = files_in(settings.home)
    opened = store.open_store(settings)
    with pytest.raises(MarqueeError, match=NOTHING_ONLINE):
        lookup(opened, None, KEYS)
    with pytest.raises(MarqueeError, match=NOTHING_ONLINE):
        lookup_many(opened, "press_v1", PAIRS)
    assert files_in(settings.home) == before, "who reads makes nothing"
    assert sum(part.rows for part in store.materialize(settings)) == 3 * len(PRESS.views)
    assert lookup(store.open_store(settings), None, KEYS).unknown == ()


def test_what_is_pushed_to_a_lost_online_store_arrives(settings: Settings) -> None:
    (settings.home / "online.db").unlink()
    sent = send_changed(store.open_store(settings), ["reader_stats"])
    assert [part.rows for part in sent] == [3]
    assert lookup(store.open_store(settings), None, {"reader_id": 1}).unknown == ()


@pytest.mark.parametrize("emptied", [False, True], ids=["removed", "emptied"])
def test_a_lost_registry_is_made_again_by_apply(settings: Settings, emptied: bool) -> None:
    registry = settings.home / "registry.db"
    registry.unlink()
    if emptied:
        registry.touch()
    before = files_in(settings.home)
    with pytest.raises(MarqueeError, match=r"no feature store for .*: run .*marquee features apply"):
        store.open_store(settings)
    assert everything(settings) == ALL
    assert files_in(settings.home) == before, "who reads makes nothing"
    store.apply(settings, PRESS)
    assert store.plan(settings, PRESS) == []
    assert lookup(store.open_store(settings), None, KEYS).unknown == ()


def test_tables_that_are_not_built_are_named_and_not_begun(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    store.apply(settings, PRESS)
    opened = store.open_store(settings)
    labels = PAIRS.append_column("event_timestamp", pa.array([0], pa.timestamp("us", "UTC")))
    with pytest.raises(MarqueeError, match=r"no Delta table at .*: build it first"):
        store.materialize(settings)
    with pytest.raises(MarqueeError, match=r"no Delta table at .*: build it first"):
        opened.get_historical_features(labels, ["reader_stats:reader_read_count"]).to_arrow()
    assert not settings.lake.exists()


def test_a_plan_for_a_home_that_is_not_there_makes_none(tmp_path: Path) -> None:
    assert everything(Settings(home=tmp_path / "none")) == ALL
    assert list(tmp_path.iterdir()) == []


# --- plan -------------------------------------------------------------------------------------------------


def test_changes_are_one_line_each_in_a_fixed_order(settings: Settings) -> None:
    stats, *others = PRESS.views
    count = stats.features[0]
    said = replace(count, column=replace(count.column, description="Reads ever.", unit="times"))  # type: ignore[type-var, union-attr]
    now = replace(stats, description="Habits.", features=(said, *stats.features[2:]))
    other = replace(PRESS, description="News.", views=(now, *others[:-1]), services={"press_v2": (now,)})
    assert [str(change) for change in store.plan(settings, other)] == [
        "update project marquee: description Articles and their readers. -> News.",
        "delete data source article_facts",
        "update data source reader_stats: description What a reader reads. -> Habits.",
        "delete feature view article_facts",
        "update feature view reader_stats: description What a reader reads. -> Habits.;"
        " feature reader_read_count Int64 in reads, 'Reads so far.' -> Int64 in times, 'Reads ever.';"
        " feature reader_minutes_mean goes; feature reader_minutes_std goes",
        "delete feature service press_v1",
        "create feature service press_v2",
    ]
    store.apply(settings, other)
    assert store.plan(settings, other) == []


def test_plan_right_after_apply_and_materialise_finds_nothing(settings: Settings) -> None:
    assert store.plan(settings, PRESS) == []
    store.materialize(settings)
    assert store.apply(settings, PRESS) == []
    assert store.plan(settings, PRESS) == []


# --- writing through Feast --------------------------------------------------------------------------------


def test_workers_call_the_totals_and_the_instants_as_declared() -> None:
    assert (EVENT_TIMESTAMP, STATE) == (pieces.EVENT_TIMESTAMP, pieces.STATE)


def test_declared_columns_are_enough_to_write_offline(settings: Settings) -> None:
    table = settings.lake / READER_STATS.name
    rows = DeltaTable(table).to_pyarrow_table()
    totals = pa.array([[("n", float(i))] for i in range(rows.num_rows)], pa.map_(pa.string(), pa.float64()))
    running = rows.append_column("state", totals)
    write_deltalake(table, running, mode="overwrite", schema_mode="overwrite")
    opened = store.open_store(settings)
    # A frame that was filtered has an index of its own.
    frame = rows.to_pandas().iloc[[2]].assign(reader_read_count=1000)
    opened.write_to_offline_store(READER_STATS.name, frame)
    now = DeltaTable(table).to_pyarrow_table()
    assert now.num_rows == rows.num_rows + 1
    assert now.schema.names == running.schema.names
    # Updates go on from the newest row that has a state, as before.
    assert now["state"].null_count == 1
    assert sorted(map(str, now["state"].drop_null().to_pylist())) == sorted(map(str, totals.to_pylist()))
    refused = frame.assign(state=None, more=1)
    with pytest.raises((MarqueeError, ValueError), match="more"):
        opened.write_to_offline_store(READER_STATS.name, refused)
    with pytest.raises(ValueError, match=r"missing_expected_columns: \['created_timestamp'\]"):
        opened.write_to_offline_store(READER_STATS.name, frame.drop(columns="created_timestamp"))
