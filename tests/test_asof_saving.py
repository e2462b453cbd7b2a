# ruff: noqa: F811 (fixtures that another module has are named as arguments)
"""What an offline store owes Feast beyond the join: saving, appending, pulling, versions, memory."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.data_format import DeltaFormat, ParquetFormat
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.types import Int64, String

from common.errors import MarqueeError
from feature_repo.offline.duckdb_sql import connection, microseconds
from feature_repo.offline.latest import latest_rows
from lake import duckdb as lake_duckdb
from tests.asof_battery import (
    ENGINES,
    INSTANT,
    AskedView,
    Case,
    Table,
    arrow,
    build,
    expected,
    feast_view,
    job,
    moment,
    open_battery_store,
    plain,
)
from tests.asof_stats import LABELS, MEAN, STATS, Engine, applied, engine, stats_case  # noqa: F401


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "parquet"])
def test_a_saved_data_set_comes_back(applied: FeatureStore, delta: bool) -> None:
    path = "saved/labels" if delta else "saved/labels.parquet"
    storage = SavedDatasetFileStorage(path, file_format=DeltaFormat() if delta else ParquetFormat())
    labels = arrow(LABELS).append_column("nothing", pa.nulls(3))
    retrieval = applied.get_historical_features(labels, MEAN)
    saved = applied.create_saved_dataset(retrieval, "labels", storage)
    rows = {row["user_id"]: row["mean"] for row in saved.to_arrow().to_pylist()}
    assert rows == {2: 3.0, 1: 1.0, 9: None}
    again = applied.get_saved_dataset("labels").to_arrow()
    assert again.num_rows == 3
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        retrieval.persist(storage)
    retrieval.persist(storage, allow_overwrite=True)
    assert applied.get_saved_dataset("labels").to_arrow().num_rows == 3


def test_written_batches_are_truly_in_the_delta_table(applied: FeatureStore) -> None:
    path = f"{applied.config.offline_store.lake}/stats"
    before = DeltaTable(path).version()
    row = {"user_id": 9, "event_timestamp": 25, "created_timestamp": 25, "mean": 4.0, "count": 5}
    applied.write_to_offline_store("stats", arrow(Table(STATS.columns, [row])).to_pandas())
    assert DeltaTable(path).version() == before + 1
    assert DeltaTable(path).to_pyarrow_table().num_rows == 4
    result = applied.get_historical_features(arrow(LABELS), ["stats:mean", "stats:count"]).to_arrow()
    assert result.column("mean").to_pylist() == [3.0, 1.0, 4.0]
    assert result.column("count").to_pylist() == [2**60 + 1, 1, 5]


def test_batches_with_wrong_columns_are_refused_and_change_nothing(engine: Engine) -> None:
    store, offline = engine
    case = stats_case()
    build(store, case)
    view = feast_view(case, case.views[0])
    path = f"{store.config.offline_store.lake}/stats"
    before = DeltaTable(path).version()
    for wrong in (
        arrow(STATS).drop_columns(["mean"]),
        arrow(STATS).append_column("more", pa.array([1, 2, 3])),
        arrow(STATS).set_column(3, "mean", pa.array(["a", "b", "c"])),
    ):
        with pytest.raises(MarqueeError):
            offline.offline_write_batch(store.config, view, wrong, None)
    assert DeltaTable(path).version() == before


def test_pull_all_gives_every_row_of_the_period(engine: Engine) -> None:
    store, offline = engine
    case = stats_case()
    build(store, case)
    source = feast_view(case, case.views[0]).batch_source
    assert source is not None

    def pulled(start: int | None, end: int | None) -> list[int]:
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        ends = [None if at is None else epoch + timedelta(microseconds=at) for at in (start, end)]
        table = offline.pull_all_from_table_or_query(
            store.config, source, ["user_id"], ["mean"], "event_timestamp", "created_timestamp", *ends
        ).to_arrow()
        assert table.column_names == ["user_id", "mean", "event_timestamp", "created_timestamp"]
        return sorted(row["event_timestamp"] for row in plain(table))

    assert pulled(None, None) == [10, 15, 20]
    assert pulled(15, 20) == [15, 20]
    assert pulled(None, 15) == [10, 15]


def test_nanoseconds_are_pulled_by_the_microsecond_from_which_they_are_known(tmp_path: Path) -> None:
    store = open_battery_store(tmp_path, ENGINES["duckdb"])
    path = tmp_path / "lake" / "plain.parquet"
    path.parent.mkdir()
    times = pa.array([1_000, 1_001, 2_000, 2_001, None], pa.timestamp("ns"))
    pq.write_table(pa.table({"user_id": [1, 2, 3, 4, 5], "at": times}), path)
    source = FileSource(name="plain", path="plain.parquet", file_format=ParquetFormat(), timestamp_field="at")

    def pulled(start: int | None, end: int | None) -> list[int]:
        ends = [None if at is None else moment(at) for at in (start, end)]
        found = ENGINES["duckdb"].pull_all_from_table_or_query(
            store.config, source, ["user_id"], [], "at", None, *ends
        )
        return sorted(found.to_arrow().column("user_id").to_pylist())

    assert pulled(2, None) == [2, 3, 4]
    assert pulled(None, 2) == [1, 2, 3]
    assert pulled(2, 2) == [2, 3]


INSTANTS: list[tuple[pa.Array, list[int]]] = [
    (pa.array([-1_500, -1_000, 0, 1, 1_000, 1_001], pa.timestamp("ns")), [-1, -1, 0, 1, 1, 2]),
    (pa.array([-1, 0, 1], pa.timestamp("us", "Asia/Tokyo")), [-1, 0, 1]),
    (pa.array([-1, 1], pa.timestamp("ms")), [-1_000, 1_000]),
    (pa.array([date(1970, 1, 2), None]), [86_400_000_000, None]),
    (pa.array(["1970-01-01T00:00:01Z", "1970-01-01 00:00:01+00:01"]), [1_000_000, -59_000_000]),
    (pa.array(["1970-01-01 00:00:01"], pa.large_string()), [1_000_000]),
]


@pytest.mark.parametrize(("instants", "expected"), INSTANTS, ids=lambda of: str(getattr(of, "type", "")))
def test_columns_of_instants_of_any_kind_are_microseconds(instants: pa.Array, expected: list[int]) -> None:
    rows = pa.table({"at": instants})
    with lake_duckdb.connection() as con:
        con.register("rows", rows)
        found = con.sql(f"SELECT {microseconds(rows.schema, 'at')} FROM rows").fetchall()
    assert [at for (at,) in found] == expected


def test_a_column_of_something_else_is_refused() -> None:
    with pytest.raises(MarqueeError, match=r"^Column at holds int64, not timestamps\.$"):
        microseconds(pa.schema({"at": pa.int64()}), "at")


def test_the_newest_row_of_a_table_without_keys(tmp_path: Path) -> None:
    store = open_battery_store(tmp_path, ENGINES["duckdb"])
    columns = {"event_timestamp": "time", "created_timestamp": "time", "total": "int"}
    lines = [(10, 30, 1), (20, 10, 2), (20, 20, 3), (20, 20, 3), (15, 40, 4)]
    table = arrow(Table(columns, [dict(zip(columns, line, strict=True)) for line in lines]))
    write_deltalake(tmp_path / "lake" / "all", table)
    case = Case({"all": Table(columns, [])}, [AskedView("all", [], ["total"])], LABELS)
    source = feast_view(case, case.views[0]).batch_source
    assert source is not None

    def newest(among: pa.Table | None, end: int | None = None) -> list[int]:
        rows = None if among is None else pads.dataset(among)
        at = None if end is None else moment(end)
        times = ("event_timestamp", "created_timestamp")
        found = latest_rows(store.config, source, [], ["total"], *times, None, at, rows)
        return list(found.column("total").to_pylist())

    assert newest(None) == newest(table) == newest(table.slice(2, 1)) == [3]
    assert newest(table.slice(0, 2)) == []
    assert newest(None, 19) == newest(table.slice(4), 19) == [4]


def test_duckdb_spills_where_the_settings_say(tmp_path: Path) -> None:
    lake, elsewhere = tmp_path / "lake", tmp_path / "elsewhere"
    lake.mkdir()
    elsewhere.mkdir()
    for settings, folder in (({}, lake), ({"temp_directory": str(elsewhere)}, elsewhere)):
        with connection(open_battery_store(tmp_path, ENGINES["duckdb"], **settings).config) as con:
            ((spills,),) = con.sql("SELECT current_setting('temp_directory')").fetchall()
            assert Path(spills).parent == folder


def test_an_earlier_version_of_a_table_can_be_read(engine: Engine, tmp_path: Path) -> None:
    store, offline = engine
    case = stats_case()
    build(store, case)  # version 0 has the first row only
    earlier = open_battery_store(tmp_path, offline, versions={"stats": 0})
    assert job(earlier, offline, case).to_arrow().column("mean").to_pylist() == [None, 1.0, None]
    gone = open_battery_store(tmp_path, offline, versions={"stats": 99})
    with pytest.raises(MarqueeError, match=r"Version 99 of table stats in .* cannot be read: "):
        job(gone, offline, case).to_arrow()


def test_sources_of_naive_and_coarse_times_are_joined(engine: Engine) -> None:
    store, offline = engine
    path = Path(store.config.offline_store.lake) / "plain.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
    source = FileSource(name="plain", path="plain.parquet", file_format=ParquetFormat(), timestamp_field="at")
    view = FeatureView(
        name="plain",
        entities=[user],
        schema=[Field(name="user_id", dtype=Int64), Field(name="note", dtype=String)],
        source=source,
        ttl=timedelta(0),
    )
    labels = pa.table({"user_id": [1, 1], "event_timestamp": pa.array([1_999_999, 2_000_000], INSTANT)})

    def joined(times: pa.Array) -> list[str]:
        pq.write_table(pa.table({"user_id": [1, 1], "at": times, "note": ["a", "b"]}), path)
        return list(
            offline.get_historical_features(
                store.config, [view], ["plain:note"], labels, store.registry, "battery"
            )
            .to_arrow()
            .column("note")
            .to_pylist()
        )

    for times in (
        pa.array([1, 2], pa.timestamp("s")),
        pa.array([1_000, 2_000], pa.timestamp("ms", "UTC")),
        pa.array([1_000_000, 2_000_000], pa.timestamp("us")),
    ):
        assert joined(times) == ["a", "b"], times.type
    nanoseconds = pa.array([1_000_000_000, 1_999_999_001], pa.timestamp("ns"))
    if offline is ENGINES["duckdb"]:
        assert joined(nanoseconds) == ["a", "b"]  # rounded up to the second label
    else:
        with pytest.raises(MarqueeError, match="nanoseconds"):
            joined(nanoseconds)


def test_one_thread_and_little_memory_give_the_same_rows(tmp_path: Path) -> None:
    offline = ENGINES["duckdb"]
    rng = np.random.default_rng(0)
    rows, labels = 400_000, 100_000
    users, at = rng.integers(1, 5_000, rows), rng.integers(0, 10**12, rows)
    lake = tmp_path / "lake" / "stats"
    times = pa.array(at).cast(INSTANT)
    columns = {"user_id": users, "event_timestamp": times, "created_timestamp": times}
    note = pa.array([f"{i:064d}" for i in range(rows)])
    write_deltalake(
        lake, pa.table(columns | {"mean": rng.random(rows), "count": np.arange(rows), "note": note})
    )
    case = Case({"stats": STATS}, [AskedView("stats", ["user_id"], ["count", "note"])], LABELS)
    case.tables["stats"] = Table(STATS.columns | {"note": "text"}, [])
    asked = pa.table(
        {
            "user_id": rng.integers(1, 5_000, labels),
            "event_timestamp": pa.array(rng.integers(0, 10**12, labels)).cast(INSTANT),
        }
    )
    plenty = open_battery_store(tmp_path, offline)
    little = open_battery_store(
        tmp_path, offline, memory_limit="100MB", threads=1, temp_directory=str(tmp_path)
    )
    one = job(plenty, offline, case, asked).to_arrow()
    assert job(little, offline, case, asked).to_arrow().equals(one)
    order = np.lexsort((at, users))
    ranks = users[order].astype(object) * 10**13 + at[order]
    wanted = (
        asked["user_id"].to_numpy().astype(object) * 10**13
        + asked["event_timestamp"].cast(pa.int64()).to_numpy()
    )
    place = np.searchsorted(ranks.astype(np.float64), wanted.astype(np.float64), side="right") - 1
    found = np.where((place >= 0) & (users[order][place] == asked["user_id"].to_numpy()), order[place], -1)
    assert one.column("count").fill_null(-1).to_pylist() == found.tolist()
    assert not list(tmp_path.glob("marquee-duckdb-*"))


def test_a_setting_that_duckdb_refuses_is_one_sentence(tmp_path: Path) -> None:
    offline = ENGINES["duckdb"]
    store = open_battery_store(tmp_path, offline, memory_limit="lots")
    build(store, stats_case())
    with pytest.raises(MarqueeError, match=r"the memory limit 'lots' \(MARQUEE_DUCKDB_MEMORY\)"):
        job(store, offline, stats_case()).to_arrow()


def test_expected_rows_of_the_shared_case(engine: Engine) -> None:
    store, offline = engine
    case = stats_case()
    build(store, case)
    assert plain(job(store, offline, case).to_arrow()) == expected(case)
