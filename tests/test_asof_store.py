# ruff: noqa: F811 (fixtures that another module has are named as arguments)
"""What an offline store owes Feast beyond the join: kinds of labels, types, errors."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from feast import FeatureStore, Field
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64

from common.errors import MarqueeError
from feature_repo.offline import duckdb_join
from tests.asof_battery import (
    ENGINES,
    INSTANT,
    AskedView,
    Case,
    Table,
    arrow,
    ask,
    build,
    expected,
    feast_view,
    job,
    moment,
    open_battery_store,
    plain,
    references,
)
from tests.asof_oracle import Row
from tests.asof_stats import LABELS, MEAN, STATS, Engine, applied, engine, stats_case  # noqa: F401

DAY = datetime(2024, 1, 1, tzinfo=UTC)


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


def without_labels(store: FeatureStore, case: Case, start: int, end: int) -> list[Row]:
    found = ENGINES["duckdb"].get_historical_features(
        store.config,
        [feast_view(case, view) for view in case.views],
        references(case),
        None,
        store.registry,
        "battery",
        start_date=moment(start),
        end_date=moment(end),
    )
    return plain(found.to_arrow())


@pytest.fixture
def on_duckdb(tmp_path: Path) -> FeatureStore:
    return open_battery_store(tmp_path, ENGINES["duckdb"])


def test_without_labels_views_of_other_keys_have_rows_of_their_own(on_duckdb: FeatureStore) -> None:
    def table(key: str, *rows: tuple[int | None, int]) -> Table:
        columns = {key: "int", "event_timestamp": "time", f"{key}_seen": "int"}
        return Table(columns, [{key: k, "event_timestamp": at, f"{key}_seen": at} for k, at in rows])

    tables = {
        "users": table("user_id", (2, 10), (1, 20), (2, 15), (None, 12), (3, 9), (4, 21)),
        "movies": table("movie_id", (7, 10)),
    }
    views = [
        AskedView("users", ["user_id"], ["user_id_seen"], created=False),
        AskedView("movies", ["movie_id"], ["movie_id_seen"], created=False),
    ]
    case = Case(tables, views, LABELS)
    build(on_duckdb, case)
    names = ("user_id", "movie_id", "event_timestamp", "user_id_seen", "movie_id_seen")
    assert [tuple(row[name] for name in names) for row in without_labels(on_duckdb, case, 10, 20)] == [
        (1, None, 20, 20, None),
        (2, None, 20, 15, None),
        (None, 7, 20, None, 10),
    ]


def test_without_labels_a_view_without_keys_is_answered_once(on_duckdb: FeatureStore) -> None:
    rows = [{"event_timestamp": at, "total": at} for at in (10, 15, 25)]
    table = Table({"event_timestamp": "time", "total": "int"}, rows)
    case = Case({"all": table}, [AskedView("all", [], ["total"], created=False)], LABELS)
    build(on_duckdb, case)
    assert without_labels(on_duckdb, case, 0, 20) == [{"event_timestamp": 20, "total": 15}]


def test_a_view_without_keys_is_answered_as_known_then(on_duckdb: FeatureStore) -> None:
    columns = {"event_timestamp": "time", "created_timestamp": "time", "total": "int"}
    rows = [(10, 10, 1), (10, 20, 2), (15, 30, 3), (12, 40, 4), (16, 40, 5), (17, 40, 6)]
    table = Table(columns, [dict(zip(columns, row, strict=True)) for row in rows])
    labels = Table({"event_timestamp": "time"}, [{"event_timestamp": at} for at in (45, 35, 25, 12, 5)])
    case = Case({"all": table}, [AskedView("all", [], ["total"])], labels, only_created=True)
    assert [row["total"] for row in expected(case)] == [6, 3, 2, 1, None]
    assert ask(on_duckdb, ENGINES["duckdb"], case) == expected(case)


def test_what_was_known_of_one_key_leaves_out_nothing_of_another(on_duckdb: FeatureStore) -> None:
    columns = {"user_id": "int", "event_timestamp": "time", "created_timestamp": "time", "total": "int"}
    rows = [(1, 20, 20, 1), (2, 10, 30, 2), (2, 9, 40, 3)]
    table = Table(columns, [dict(zip(columns, row, strict=True)) for row in rows])
    labels = Table(LABELS.columns, [{"user_id": user, "event_timestamp": 50} for user in (1, 2)])
    case = Case({"some": table}, [AskedView("some", ["user_id"], ["total"])], labels, only_created=True)
    assert [row["total"] for row in expected(case)] == [1, 2]
    assert ask(on_duckdb, ENGINES["duckdb"], case) == expected(case)


@pytest.mark.parametrize(("most", "at_once"), [(3, 2), (2, 1)])
def test_views_of_few_labels_are_joined_side_by_side(
    on_duckdb: FeatureStore, monkeypatch: pytest.MonkeyPatch, most: int, at_once: int
) -> None:
    build(on_duckdb, stats_case())
    views = [AskedView("stats", ["user_id"], ["mean"], alias=name) for name in ("one", "two")]
    case = Case({"stats": STATS}, views, LABELS, full_feature_names=True)
    both, met, join_view = Barrier(2), list[bool](), duckdb_join._join_view

    def meeting(*asked: Any) -> Any:
        try:
            both.wait(5 if at_once == 2 else 0.2)
            met.append(True)
        except BrokenBarrierError:
            met.append(False)
        return join_view(*asked)

    monkeypatch.setattr(duckdb_join, "SIDE_BY_SIDE", most)
    monkeypatch.setattr(duckdb_join, "_join_view", meeting)
    assert plain(job(on_duckdb, ENGINES["duckdb"], case).to_arrow()) == expected(case)
    assert met == [at_once == 2] * 2


@pytest.mark.parametrize(("factor", "few"), [(1, True), (2, False)])
def test_rows_of_other_keys_are_left_out_first_where_labels_are_few(
    on_duckdb: FeatureStore, monkeypatch: pytest.MonkeyPatch, factor: int, few: bool
) -> None:
    build(on_duckdb, stats_case())
    queries, write_query = list[str](), duckdb_join.as_of_query

    def noted(*asked: Any) -> str:
        queries.append(write_query(*asked))
        return queries[-1]

    monkeypatch.setattr(duckdb_join, "FEW_LABELS", factor)
    monkeypatch.setattr(duckdb_join, "as_of_query", noted)
    assert plain(job(on_duckdb, ENGINES["duckdb"], stats_case()).to_arrow()) == expected(stats_case())
    assert ["IN (SELECT k0 FROM labels)" in query for query in queries] == [few]


def test_without_labels_a_table_that_lacks_its_key_is_named(on_duckdb: FeatureStore) -> None:
    build(on_duckdb, stats_case())
    lacking = arrow(STATS).drop_columns(["user_id"])
    path = f"{on_duckdb.config.offline_store.lake}/stats"
    write_deltalake(path, lacking, mode="overwrite", schema_mode="overwrite")
    with pytest.raises(MarqueeError, match=r"view stats in .* lacks user_id: compute it again"):
        without_labels(on_duckdb, stats_case(), 0, 20)


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


def test_a_label_query_finds_no_variable_of_the_program(on_duckdb: FeatureStore) -> None:
    build(on_duckdb, stats_case())
    for variable in ("entities", "config"):
        with pytest.raises(MarqueeError, match=r"^The label query fails in DuckDB: .*does not exist"):
            job(on_duckdb, ENGINES["duckdb"], stats_case(), f"SELECT * FROM {variable}").to_arrow()


def test_labels_without_any_instant_are_refused(applied: FeatureStore) -> None:
    refuses(applied, pa.table({"user_id": [1]}), "event_timestamp")
    refuses(applied, pa.table({"user_id": [1], "event_timestamp": [True]}), "event_timestamp", "bool")
    noon = pa.table({"user_id": [1], "event_timestamp": ["noon"]})
    refuses(applied, noon, "event_timestamp, row 1, is 'noon'", "no instant")


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
    with pytest.raises(MarqueeError, match=r"view stats in .*/lake lacks mean: compute it again"):
        job(store, offline, stats_case()).to_arrow()
