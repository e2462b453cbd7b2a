"""Delta tables without Spark, and that Spark reads what this wrote and the other way round."""

import os
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, DoubleType, LongType, MapType, StringType, StructField, StructType

from common.errors import MarqueeError
from lake import spark_tables, tables
from lake.changes import added_rows
from lake.duckdb import connection

STATE = pa.map_(pa.string(), pa.float64())
ROWS = pa.table(
    {
        "key": [1, 2],
        "words": pa.array([["a", "b"], None], pa.list_(pa.string())),
        "state": pa.array([[("n", 1.0)], None], STATE),
    }
)
SCHEMA = StructType(
    [
        StructField("key", LongType()),
        StructField("words", ArrayType(StringType())),
        StructField("state", MapType(StringType(), DoubleType())),
    ]
)


def test_what_one_writes_the_other_reads_and_goes_on_with(spark: SparkSession, tmp_path: Path) -> None:
    tables.overwrite(ROWS, tmp_path, "ours", "first")
    spark_tables.overwrite(spark.createDataFrame([], SCHEMA), tmp_path, "theirs", SCHEMA, "first")
    for name in ("ours", "theirs"):
        spark_tables.append(spark_tables.read(spark, tmp_path, "ours", version=0), tmp_path, name, SCHEMA)
        tables.append(ROWS.select(["state", "words", "key"]), tmp_path, name)
        rows = spark_tables.read(spark, tmp_path, name, ["key"]).collect()
        assert sorted(row.key for row in rows) == ([1, 1, 1, 2, 2, 2] if name == "ours" else [1, 1, 2, 2])
        assert tables.count_rows(tmp_path, name) == len(rows)
        assert tables.newest_version(tmp_path, name) == 2
        assert tables.said_of(tmp_path, name) == "first", "later commits say nothing"
        assert tables.open_table(tmp_path, name, 0).version() == 0
    made = [DeltaTable(tmp_path / name).metadata().configuration for name in ("ours", "theirs")]
    assert made[0] == made[1], "who made a table makes no difference"


def test_replacing_a_table_replaces_its_columns(tmp_path: Path) -> None:
    tables.overwrite(ROWS, tmp_path, "t")
    tables.overwrite(ROWS.select(["key"]), tmp_path, "t", "second")
    assert tables.open_table(tmp_path, "t").to_pyarrow_table() == ROWS.select(["key"])
    assert tables.open_table(tmp_path, "t", 0).to_pyarrow_table().num_columns == 3
    assert tables.last_commit(tmp_path, "t")["version"] == 1


def test_a_table_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    assert not tables.exists(tmp_path, "t")
    for ask in (tables.open_table, tables.count_rows, tables.said_of, tables.newest_version):
        with pytest.raises(MarqueeError, match=r"There is no table t in .*pipeline run"):
            ask(tmp_path, "t")


def test_a_lake_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file, not a folder")
    with pytest.raises(MarqueeError, match="Cannot write"):
        tables.overwrite(ROWS, tmp_path / "lake", "t")


def test_a_connection_is_in_utc_and_keeps_its_limit(tmp_path: Path) -> None:
    with connection("1GB", tmp_path, threads=1) as con:
        found = con.execute(
            "SELECT current_setting('TimeZone'), current_setting('memory_limit'), current_setting('threads'),"
            " current_setting('temp_directory')"
        ).fetchone()
        assert found is not None
        assert found[0] == "UTC"
        assert found[1].startswith("953.6")
        assert found[2] == 1
        assert Path(found[3]).parent == tmp_path
    assert not list(tmp_path.iterdir()), "nothing is left"


def test_what_is_spilled_is_in_the_folder_given_and_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "system").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "system"))
    much = "CREATE TEMP TABLE much AS SELECT range AS n, repeat('x', 100) AS text FROM range(1_000_000)"
    home = tmp_path / "home"
    home.mkdir()
    for folder, place in (
        (home, "home"),
        (home / "lake", "home"),
        (tmp_path / "none" / "lake", "system"),
        (None, "system"),
    ):
        with connection("50MB", folder, threads=1) as con:
            assert not list(home.iterdir()), "nothing is made before it is needed"
            con.execute(much)
            (spilled,) = (tmp_path / place).iterdir()
            assert list(spilled.iterdir())
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["home", "system"]


def test_a_connection_has_nothing_of_the_one_before(tmp_path: Path) -> None:
    rows = pa.table({"n": [1]})
    with connection("1GB", tmp_path) as con:
        con.register("rows", rows)
        con.execute("SET TimeZone = 'Asia/Tokyo'")
        con.execute("CREATE TEMP TABLE held AS SELECT 1 AS n")
        con.execute("CREATE TEMP MACRO twice(n) AS 2 * n")
        con.execute("CREATE TEMP VIEW seen AS SELECT 1 AS n")
    with connection("1GB", tmp_path) as con:
        assert con.sql("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
        for query in ("FROM rows", "FROM held", "SELECT twice(1)", "FROM seen"):
            with pytest.raises(duckdb.CatalogException):
                con.sql(query)


def test_connections_at_once_have_nothing_in_common(tmp_path: Path) -> None:
    with connection("1GB", tmp_path) as first, connection("1GB", tmp_path) as second:
        first.execute("CREATE TABLE held AS SELECT 1 AS n")
        with pytest.raises(duckdb.CatalogException):
            second.sql("FROM held")


def test_after_an_error_or_a_spill_the_next_connection_is_a_new_one(tmp_path: Path) -> None:
    much = "CREATE TEMP TABLE much AS SELECT range AS n, repeat('x', 100) AS text FROM range(1_000_000)"
    with pytest.raises(RuntimeError), connection("50MB", tmp_path) as con:
        con.execute("CREATE TABLE held AS SELECT 1 AS n")
        raise RuntimeError
    with connection("50MB", tmp_path) as con:
        with pytest.raises(duckdb.CatalogException):
            con.sql("FROM held")
        con.execute(much)
        con.execute("CREATE TABLE held AS SELECT 1 AS n")
    with connection("50MB", tmp_path) as con:
        with pytest.raises(duckdb.CatalogException):
            con.sql("FROM held")
        con.execute(much)


@pytest.mark.process
def test_a_fork_opens_a_database_of_its_own(tmp_path: Path) -> None:
    many = "SELECT sum(range) FROM range(10_000_000)"
    with connection("1GB", tmp_path, threads=2) as con:
        con.sql(many).fetchall()
    fork = os.fork()
    if not fork:
        with connection("1GB", tmp_path, threads=2) as con:
            os._exit(con.sql(many).fetchall() != [(49_999_995_000_000,)])
    assert os.waitpid(fork, 0)[1] == 0


@pytest.mark.parametrize(
    "name",
    ["plain", "a b", "p%41", "q?1", "h#1", "a[b]", "<a>^|", "{e,f}", "ü", 'q"x', "co:lon", "st*r", "a@b"],
)
def test_a_lake_may_be_in_a_folder_of_any_name(name: str, tmp_path: Path) -> None:
    lake = tmp_path / name / "lake"
    for version in range(12):  # over a checkpoint
        save = tables.append if version else tables.overwrite
        save(ROWS, lake, "t", str(version))
        assert tables.newest_version(lake, "t") == version
        assert tables.said_of(lake, "t") == str(version)
    assert tables.open_table(lake, "t").to_pyarrow_table().num_rows == tables.count_rows(lake, "t") == 24
    assert tables.open_table(lake, "t").to_pyarrow_dataset().count_rows() == 24
    tables.require_rows(lake, "t")
    tables.overwrite(ROWS, lake, "t")
    assert tables.count_rows(lake, "t") == 2
    added = added_rows(tables.open_table(lake, "t", 11), 9)
    assert added is not None
    assert added.count_rows() == 4
    assert [folder.name for folder in tmp_path.iterdir()] == [name], "nothing is left beside it"
    assert [folder.name for folder in lake.iterdir()] == ["t"]
    (lake / "t" / tables.open_table(lake, "t").files()[0]).unlink()
    with pytest.raises(MarqueeError, match="is gone"):
        tables.require_rows(lake, "t")
