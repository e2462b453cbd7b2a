"""What an offline store owes Feast beyond the join: kinds of labels, types, errors, saving, appending."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.data_format import DeltaFormat, ParquetFormat
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import OfflineStore
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String

from common.errors import MarqueeError
from tests.asof_battery import (
    ENGINES,
    INSTANT,
    SETTINGS,
    AskedView,
    Case,
    Table,
    arrow,
    build,
    expected,
    feast_view,
    job,
    open_battery_store,
    plain,
)

DAY = datetime(2024, 1, 1, tzinfo=UTC)
Engine = tuple[FeatureStore, type[OfflineStore]]

STATS = Table(
    {
        "user_id": "int",
        "event_timestamp": "time",
        "created_timestamp": "time",
        "mean": "float",
        "count": "int",
    },
    [
        {"user_id": 1, "event_timestamp": 10, "created_timestamp": 10, "mean": 1.0, "count": 1},
        {"user_id": 1, "event_timestamp": 20, "created_timestamp": 20, "mean": 2.0, "count": None},
        {"user_id": 2, "event_timestamp": 15, "created_timestamp": 15, "mean": 3.0, "count": 2**60 + 1},
    ],
)
LABELS = Table(
    {"user_id": "int", "event_timestamp": "time"},
    [
        {"user_id": 2, "event_timestamp": 30},
        {"user_id": 1, "event_timestamp": 15},
        {"user_id": 9, "event_timestamp": 30},
    ],
)


def stats_case(**view: Any) -> Case:
    asked = AskedView(**({"table": "stats", "keys": ["user_id"], "features": ["mean", "count"]} | view))
    return Case({"stats": STATS}, [asked], LABELS)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    offline = ENGINES[request.param]
    if request.param == "spark":
        request.getfixturevalue("spark")
    return open_battery_store(tmp_path, offline, **SETTINGS[request.param]), offline


@pytest.fixture
def applied(engine: Engine) -> FeatureStore:
    """A store with the view `stats` applied and its table built."""
    store, _ = engine
    build(store, stats_case())
    view = feast_view(stats_case(), stats_case().views[0])
    user = Entity(name="user_id_entity", join_keys=["user_id"], value_type=ValueType.INT64)
    store.apply([user, view])
    return store


MEAN = ["stats:mean"]


@pytest.mark.parametrize("kind", ["arrow", "pandas"])
def test_integers_and_lists_of_features_keep_their_type(applied: FeatureStore, kind: str) -> None:
    labels: Any = arrow(LABELS)
    if kind == "pandas":
        labels = labels.to_pandas()
    result = applied.get_historical_features(labels, ["stats:count"]).to_arrow()
    assert result.column("count").type == pa.int64()
    assert result.column("count").to_pylist() == [2**60 + 1, 1, None]


EXTRA = {
    "int8": pa.array([1, None, 3], pa.int8()),
    "uint64": pa.array([2**64 - 1, 0, None], pa.uint64()),
    "float32": pa.array([1.5, float("nan"), None], pa.float32()),
    "bool": pa.array([True, None, False]),
    "large_text": pa.array(["a", None, "ü"], pa.large_string()),
    "binary": pa.array([b"\x00", None, b""]),
    "decimal": pa.array([Decimal("1.10"), None, Decimal("-2.00")], pa.decimal128(10, 2)),
    "date": pa.array([date(2024, 1, 1), None, date(1960, 1, 1)]),
    "time": pa.array([1, None, 3], pa.time64("ns")),
    "duration": pa.array([1, None, 3], pa.duration("ms")),
    "nanoseconds": pa.array([1, None, 3], pa.timestamp("ns")),
    "elsewhere": pa.array([1, None, 3], pa.timestamp("ms", "Europe/Berlin")),
    "list": pa.array([[1], None, []], pa.list_(pa.int16())),
    "struct": pa.array([{"a": 1}, None, {"a": None}]),
    "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int32())),
    "dictionary": pa.array(["x", None, "x"]).dictionary_encode(),
    "nothing": pa.nulls(3),
}


def test_extra_label_columns_come_back_as_they_were(applied: FeatureStore) -> None:
    labels = arrow(LABELS)
    for name, column in EXTRA.items():
        labels = labels.append_column(name, column)
    result = applied.get_historical_features(labels, MEAN).to_arrow()
    kept = result.select(labels.column_names)
    assert kept.schema.equals(labels.schema)
    assert repr(kept.to_pydict()) == repr(labels.to_pydict())  # repr: NaN is not equal to itself
    assert result.column("mean").to_pylist() == [3.0, 1.0, None]


def test_a_frame_with_two_columns_of_one_name_is_one_sentence(applied: FeatureStore) -> None:
    frame = arrow(LABELS).to_pandas()
    with pytest.raises(MarqueeError, match=r"^The label frame has several columns named note: rename"):
        applied.get_historical_features(
            pd.concat([frame.assign(note=1), frame.assign(note=2)[["note"]]], axis=1), MEAN
        )


def test_pandas_types_come_back_as_they_were(applied: FeatureStore) -> None:
    frame = pd.DataFrame(
        {
            "user_id": pd.array([2, 1, None], dtype="Int64"),
            "event_timestamp": pd.to_datetime([30, 15, 30], unit="us", utc=True),
            "kind": pd.Categorical(["a", "b", "a"]),
            "count": pd.Series([1, 2, 3], dtype="int32"),
        },
        index=[7, 7, 7],
    )
    result = applied.get_historical_features(frame, MEAN).to_df()
    pd.testing.assert_frame_equal(result[list(frame.columns)], frame.reset_index(drop=True))
    assert result["mean"].tolist()[:2] == [3.0, 1.0]


def test_keys_that_pandas_made_floats_still_match(applied: FeatureStore) -> None:
    frame = pd.DataFrame(
        {"user_id": [2, None, 1], "event_timestamp": pd.to_datetime([30, 30, 15], unit="us", utc=True)}
    )
    assert frame["user_id"].dtype == np.float64
    result = applied.get_historical_features(frame, MEAN).to_arrow()
    assert result.column("mean").to_pylist() == [3.0, None, 1.0]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([30, 15, 30], pa.timestamp("us")),
        pa.array([30_999, 15_000, 30_001], pa.timestamp("ns", "UTC")),
        pa.array(
            ["1970-01-01T00:00:00.000030Z", "1970-01-01 01:00:00.000015+01:00", "1970-01-01 00:00:00.000030"]
        ),
        pa.array([30, 15, 30], pa.timestamp("us", "America/New_York")),
    ],
    ids=["naive is UTC", "nanoseconds", "text", "other zone"],
)
def test_label_instants_of_any_kind_are_understood(applied: FeatureStore, column: pa.Array) -> None:
    labels = pa.table({"user_id": [2, 1, 9], "event_timestamp": column})
    result = applied.get_historical_features(labels, MEAN).to_arrow()
    assert result.column("mean").to_pylist() == [3.0, 1.0, None]
    assert result.column("event_timestamp").type == column.type


def test_nanoseconds_past_the_ttl_expire_a_row(engine: Engine) -> None:
    store, offline = engine
    case = stats_case(ttl=5)
    build(store, case)
    at = pa.array([20_000, 20_001, 14_999], pa.timestamp("ns", "UTC"))
    labels = pa.table({"user_id": [2, 2, 2], "event_timestamp": at})
    assert job(store, offline, case, labels).to_arrow().column("mean").to_pylist() == [3.0, None, None]


def test_the_instant_may_have_another_name(applied: FeatureStore) -> None:
    labels = arrow(LABELS).rename_columns(["user_id", "rated_at"])
    result = applied.get_historical_features(labels, MEAN).to_arrow()
    assert result.column_names == ["user_id", "rated_at", "mean"]
    assert result.column("mean").to_pylist() == [3.0, 1.0, None]


def test_labels_may_be_a_query_on_the_lake(applied: FeatureStore) -> None:
    query = "SELECT user_id, event_timestamp + INTERVAL 1 MICROSECOND AS event_timestamp FROM stats"
    result = applied.get_historical_features(f"{query} ORDER BY event_timestamp", MEAN).to_arrow()
    assert plain(result) == [
        {"user_id": 1, "event_timestamp": 11, "mean": 1.0},
        {"user_id": 2, "event_timestamp": 16, "mean": 3.0},
        {"user_id": 1, "event_timestamp": 21, "mean": 2.0},
    ]


def test_without_labels_every_key_of_the_period_is_answered_at_its_end(applied: FeatureStore) -> None:
    def at(microseconds: int) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)

    result = applied.get_historical_features(features=MEAN, start_date=at(15), end_date=at(19)).to_arrow()
    assert plain(result) == [{"user_id": 2, "event_timestamp": 19, "mean": 3.0}]
    result = applied.get_historical_features(features=MEAN, start_date=at(0), end_date=at(20)).to_arrow()
    assert plain(result) == [
        {"user_id": 1, "event_timestamp": 20, "mean": 2.0},
        {"user_id": 2, "event_timestamp": 20, "mean": 3.0},
    ]


def test_on_demand_views_are_computed_from_the_joined_features(applied: FeatureStore) -> None:
    stats = applied.get_feature_view("stats")

    @on_demand_feature_view(  # type: ignore[untyped-decorator, unused-ignore]
        sources=[stats], schema=[Field(name="twice", dtype=Float64)], mode="pandas"
    )
    def doubled(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"twice": inputs["mean"] * 2})

    applied.apply([doubled])
    result = applied.get_historical_features(arrow(LABELS), ["stats:mean", "doubled:twice"]).to_arrow()
    assert result.column("twice").to_pylist()[:2] == [6.0, 2.0]


# --- errors -----------------------------------------------------------------------------------------------


def refuses(applied: FeatureStore, labels: Any, *words: str, features: list[str] = MEAN) -> None:
    with pytest.raises(MarqueeError) as error:
        applied.get_historical_features(labels, features).to_arrow()
    message = str(error.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_a_label_without_timestamp_is_an_error_with_its_row(applied: FeatureStore) -> None:
    labels = pa.table({"user_id": [1, 2, 3], "event_timestamp": pa.array([1, None, 3], INSTANT)})
    refuses(applied, labels, "row 2", "event_timestamp")


def test_a_missing_key_column_is_named(applied: FeatureStore) -> None:
    refuses(applied, arrow(LABELS).drop_columns(["user_id"]), "user_id", "stats")


def test_a_key_of_another_kind_is_refused(applied: FeatureStore) -> None:
    times = arrow(LABELS).column("event_timestamp")
    refuses(applied, pa.table({"user_id": ["1", "2", "x"], "event_timestamp": times}), "user_id", "string")
    refuses(applied, pa.table({"user_id": [1.5, 2.0, 3.0], "event_timestamp": times}), "user_id")


def test_labels_without_any_instant_are_refused(applied: FeatureStore) -> None:
    refuses(applied, pa.table({"user_id": [1]}), "event_timestamp")
    refuses(applied, pa.table({"user_id": [1], "event_timestamp": [True]}), "event_timestamp", "bool")
    refuses(applied, pa.table({"user_id": [1], "event_timestamp": ["noon"]}), "event_timestamp", "not a time")


def test_a_label_column_that_is_also_a_feature_is_refused(applied: FeatureStore) -> None:
    refuses(applied, arrow(LABELS).append_column("mean", pa.array([1.0, 2.0, 3.0])), "mean", "stats")


def test_a_table_that_is_not_built_is_named(engine: Engine) -> None:
    store, offline = engine
    with pytest.raises(MarqueeError, match=r"no Delta table at .*lake/stats"):
        job(store, offline, stats_case()).to_arrow()


def test_a_table_that_lacks_a_feature_is_named(engine: Engine) -> None:
    store, offline = engine
    build(store, stats_case())
    write_deltalake(
        f"{store.config.offline_store.lake}/stats",
        arrow(STATS).drop_columns(["mean"]),
        mode="overwrite",
        schema_mode="overwrite",
    )
    with pytest.raises(MarqueeError, match="stats lacks mean"):
        job(store, offline, stats_case()).to_arrow()


# --- saving and appending ---------------------------------------------------------------------------------


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


def test_an_earlier_version_of_a_table_can_be_read(engine: Engine, tmp_path: Path) -> None:
    store, offline = engine
    case = stats_case()
    build(store, case)  # version 0 has the first row only
    earlier = open_battery_store(tmp_path, offline, versions={"stats": 0})
    assert job(earlier, offline, case).to_arrow().column("mean").to_pylist() == [None, 1.0, None]
    gone = open_battery_store(tmp_path, offline, versions={"stats": 99})
    with pytest.raises(MarqueeError, match="no version 99"):
        job(gone, offline, case).to_arrow()


def test_sources_of_naive_and_coarse_times_are_joined(engine: Engine) -> None:
    store, offline = engine
    path = Path(store.config.offline_store.lake) / "plain.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    import pyarrow.parquet as pq

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
    with pytest.raises(MarqueeError, match="does not accept the offline store's settings"):
        job(store, offline, stats_case()).to_arrow()


def test_expected_rows_of_the_shared_case(engine: Engine) -> None:
    store, offline = engine
    case = stats_case()
    build(store, case)
    assert plain(job(store, offline, case).to_arrow()) == expected(case)
