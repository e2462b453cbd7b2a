"""What the Spark store adds: results that stay in Spark or stream, labels that are in Spark already."""

import contextlib
import io
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from feast.data_format import DeltaFormat
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from common.errors import MarqueeError
from feature_repo.offline import spark_join
from feature_repo.offline.duckdb_asof import AsOfDuckDBOfflineStore
from feature_repo.offline.spark_asof import AsOfSparkOfflineStore, SparkJob
from feature_repo.offline.spark_frames import read_delta
from tests.asof_battery import INSTANT, AskedView, Case, Table, arrow, build, job, open_battery_store, plain
from tests.asof_stats import LABELS, STATS, stats_case

Ask = Callable[..., SparkJob]


@pytest.fixture
def ask(tmp_path: Path, spark: SparkSession) -> Ask:  # noqa: ARG001
    """Asks the Spark store for the features of some labels (the shared ones by default)."""
    store = open_battery_store(tmp_path, AsOfSparkOfflineStore, partitions=3)
    build(store, stats_case())

    def asked(labels: Any = None, case: Case | None = None) -> SparkJob:
        found = job(store, AsOfSparkOfflineStore, case or stats_case(), labels)
        assert isinstance(found, SparkJob)
        return found

    return asked


def test_result_in_spark_has_the_labels_in_order(ask: Ask) -> None:
    n = 500
    rng = np.random.default_rng(0)
    labels = pa.table(
        {
            "n": np.arange(n),
            "event_timestamp": pa.array(rng.integers(0, 40, n)).cast(INSTANT),
            "user_id": rng.integers(1, 5, n),
        }
    )
    frame = ask(labels).to_spark_df()
    assert frame.columns == ["n", "event_timestamp", "user_id", "mean", "count"]
    rows = frame.toArrow()
    assert rows.column("n").to_pylist() == list(range(n))
    assert rows.select(labels.column_names).cast(labels.schema).equals(labels)
    assert rows.equals(ask(labels).to_arrow().cast(rows.schema))


def test_batches_stream_the_same_rows_in_order(ask: Ask) -> None:
    labels = arrow(LABELS)
    batches = list(ask(labels).to_arrow_batches())
    assert plain(pa.Table.from_batches(batches)) == plain(ask(labels).to_arrow())


def test_labels_may_be_a_spark_frame(ask: Ask, spark: SparkSession) -> None:
    labels = spark.createDataFrame(arrow(LABELS)).withColumn("twice", F.col("user_id") * 2).coalesce(1)
    asked = ask(labels)
    assert plain(asked.to_arrow()) == [
        {"user_id": 2, "event_timestamp": 30, "twice": 4, "mean": 3.0, "count": 2**60 + 1},
        {"user_id": 1, "event_timestamp": 15, "twice": 2, "mean": 1.0, "count": 1},
        {"user_id": 9, "event_timestamp": 30, "twice": 18, "mean": None, "count": None},
    ]
    assert plain(asked.to_spark_df().toArrow()) == plain(asked.to_arrow())
    assert asked.metadata is not None
    assert asked.metadata.max_event_timestamp == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=30)


@pytest.mark.parametrize(
    ("kind", "means"), [("int", [3.0, 1.0]), ("double", [3.0, 1.0]), ("decimal(5,1)", [3.0, 1.0])]
)
def test_number_keys_of_a_spark_frame_match_whatever_their_width(
    ask: Ask, spark: SparkSession, kind: str, means: list[float]
) -> None:
    labels = (
        spark.createDataFrame(arrow(LABELS)).withColumn("user_id", F.col("user_id").cast(kind)).coalesce(1)
    )
    assert ask(labels).to_arrow().column("mean").to_pylist()[:2] == means


def test_a_fraction_matches_no_whole_key(ask: Ask, spark: SparkSession) -> None:
    labels = (
        spark.createDataFrame(arrow(LABELS)).withColumn("user_id", F.col("user_id") + F.lit(0.5)).coalesce(1)
    )
    assert ask(labels).to_arrow().column("mean").to_pylist() == [None, None, None]


def test_a_spark_label_without_timestamp_is_one_sentence(ask: Ask, spark: SparkSession) -> None:
    labels = spark.createDataFrame(arrow(LABELS))
    labels = labels.withColumn("event_timestamp", F.when(F.col("user_id") != 9, F.col("event_timestamp")))
    with pytest.raises(MarqueeError, match=r"^Some label rows have no event_timestamp"):
        ask(labels).to_arrow()


def test_a_spark_label_column_that_cannot_be_a_key_is_named(ask: Ask, spark: SparkSession) -> None:
    labels = spark.createDataFrame(arrow(LABELS))
    with pytest.raises(MarqueeError, match="user_id holds string"):
        ask(labels.withColumn("user_id", F.col("user_id").cast("string"))).to_arrow()
    with pytest.raises(MarqueeError, match="lack user_id"):
        ask(labels.drop("user_id")).to_arrow()


def test_types_that_spark_lacks_are_converted_in_spark_only(ask: Ask) -> None:
    labels = arrow(LABELS).append_column("big", pa.array([2**64 - 1, 0, None], pa.uint64()))
    labels = labels.append_column("word", pa.array(["a", "b", "a"]).dictionary_encode())
    labels = labels.append_column("fine", pa.array([1_999, None, 1], pa.timestamp("ns", "UTC")))
    rows = ask(labels).to_spark_df().toArrow()
    assert [int(value) if value is not None else None for value in rows["big"].to_pylist()] == [
        2**64 - 1,
        0,
        None,
    ]
    assert rows["word"].to_pylist() == ["a", "b", "a"]
    assert rows["fine"].cast(pa.int64()).to_pylist() == [1, None, 0]
    unknown = arrow(LABELS).append_column("lists", pa.array([[1], [], None], pa.list_(pa.uint64())))
    with pytest.raises(MarqueeError, match="lists"):
        ask(unknown).to_spark_df()


def test_a_data_set_is_saved_by_spark_in_order(ask: Ask, tmp_path: Path) -> None:
    storage = SavedDatasetFileStorage("saved", file_format=DeltaFormat())
    ask().persist(storage)
    saved = DeltaTable(tmp_path / "lake" / "saved").to_pyarrow_table()
    assert sorted(saved.column("user_id").to_pylist()) == [1, 2, 9]
    ask().persist(storage, allow_overwrite=True)
    assert DeltaTable(tmp_path / "lake" / "saved").version() == 1


def test_few_labels_leave_out_rows_of_other_keys(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = plain(ask().to_arrow())
    monkeypatch.setattr(spark_join, "FEWEST_FILTERED", 0)
    monkeypatch.setattr(spark_join, "FEW_LABELS", 1)
    filtered = ask()
    assert "BroadcastHashJoin" in plan_of(filtered)
    assert plain(filtered.to_arrow()) == whole


def plan_of(asked: SparkJob) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        asked.to_spark_df().explain()
    return out.getvalue()


@pytest.mark.parametrize("folder", ["a table", "{a} table*"])
@pytest.mark.parametrize("partition_by", [None, ["part"]])
def test_a_delta_table_is_read_at_its_version(
    spark: SparkSession, tmp_path: Path, folder: str, partition_by: list[str] | None
) -> None:
    path = tmp_path / folder
    first = pa.table({"part": ["x", "y"], "value": [1.5, None]})
    write_deltalake(path, first, partition_by=partition_by)
    write_deltalake(
        path, pa.table({"part": ["x"], "value": [2.5], "more": [1]}), mode="append", schema_mode="merge"
    )
    write_deltalake(
        path, first.slice(0, 0), mode="overwrite", schema_mode="overwrite", partition_by=partition_by
    )
    wanted = [[], [("x", 1.5), ("y", None)], [("x", 1.5, None), ("x", 2.5, 1), ("y", None, None)]]
    for version, rows in ((2, wanted[0]), (0, wanted[1]), (1, wanted[2])):
        frame = read_delta(spark, DeltaTable(path, version=version), str(path))
        in_order = frame.select(sorted(frame.columns, key=["part", "value", "more"].index))
        assert sorted(map(tuple, in_order.collect()), key=str) == rows


def test_workers_import_from_folders_only(spark: SparkSession) -> None:
    def archives(_: int) -> list[str]:
        import sys
        from pathlib import Path

        return [place for place in sys.path if Path(place).is_file()]

    assert spark.sparkContext.parallelize([0], 1).map(archives).collect() == [[]]
    assert not [place for place in sys.path if place.endswith(".jar")]


def test_a_session_in_another_zone_is_refused(ask: Ask, spark: SparkSession) -> None:
    spark.conf.set("spark.sql.session.timeZone", "Europe/Berlin")
    try:
        with pytest.raises(MarqueeError, match="Europe/Berlin"):
            ask()
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")


def test_both_engines_agree_on_ten_thousand_labels_of_unequal_keys(
    tmp_path: Path, spark: SparkSession
) -> None:
    """One key has a third of all rows, so that its stream spans many batches."""
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "1000")
    rng = np.random.default_rng(0)
    rows, labels = 20_000, 10_000

    def keys(n: int) -> np.ndarray:
        return np.where(rng.random(n) < 0.33, 1, rng.integers(1, 200, n))

    at = rng.integers(0, 5_000, rows)
    table = pa.table(
        {
            "user_id": keys(rows),
            "event_timestamp": pa.array(at).cast(INSTANT),
            "created_timestamp": pa.array(rng.permutation(rows)).cast(INSTANT),
            "mean": rng.random(rows),
            "count": pa.array(np.arange(rows), mask=rng.random(rows) < 0.1),
        }
    )
    write_deltalake(tmp_path / "lake" / "stats", table)
    asked = pa.table(
        {
            "user_id": pa.array(keys(labels), mask=rng.random(labels) < 0.01),
            "event_timestamp": pa.array(rng.integers(-100, 5_500, labels)).cast(INSTANT),
        }
    )
    try:
        for only_created in (False, True):
            view = AskedView("stats", ["user_id"], ["mean", "count"], ttl=400)
            case = Case({"stats": Table(STATS.columns, [])}, [view], LABELS, only_created=only_created)
            one, other = (
                job(open_battery_store(tmp_path, engine), engine, case, asked).to_arrow()
                for engine in (AsOfSparkOfflineStore, AsOfDuckDBOfflineStore)
            )
            assert one.equals(other)
            assert 0 < one.column("mean").null_count < labels
    finally:
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
