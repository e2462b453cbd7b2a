"""Point-in-time joins side by side: ours, Feast's own stores, and bare DuckDB and Polars.

    python benchmarks/pit_join.py [--quick] [--json FILE] [--sizes 100000/100000,…] [--contenders a,b,…]

A size is labels/feature rows: N labels are joined to two views of F rows each (one per user, one per movie,
four floats a row), over Delta; Feast's own stores read the same rows as Parquet, since on Delta they fail or
are wrong. Users and movies are as unequal as MovieLens': a user has 149 rows on average, activity being
19 plus a log-normal number; of 10,000 movies, rank r has weight (r + 60)^-1.1. Labels come from the same
distribution as rows, as they do where both are ratings. With `--equal-users` every user has about 100 rows.
Instants are unique, so that no store has a tie to get wrong.

Each measurement runs in a process of its own. Time goes from labels in memory to the result as an Arrow table
(stock Spark and ours: as a Spark DataFrame written to nothing), imports and the start of Spark excluded; on
Spark `again` is the same once more in the same process, when Java has compiled what it runs. Peak memory is
that of the process and its children. `result` checks every value against bare DuckDB's. Feast's DuckDB store
needs the extra feast[duckdb].
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measure import Measured, Timer, machine, names_of, run_child, warn_if_busy
from pit_join_data import FEATURES, VIEWS, make

sys.path.insert(0, str(Path(__file__).parents[1]))

Outcome = tuple[list[float], pa.Table]

BARE = ("bare duckdb", "bare polars")
OURS = ("ours duckdb", "ours spark")
STOCK = ("feast dask", "feast duckdb", "feast spark")
QUICK = [
    ("20000/20000", (*BARE, "ours duckdb", "feast dask", "feast duckdb")),
    ("200000/500000", (*BARE, "ours duckdb")),
]
FULL = [
    ("100000/100000", (*BARE, *OURS, *STOCK)),
    ("100000/500000", (*BARE, *OURS, *STOCK)),
    ("500000/5000000", (*BARE, *OURS)),
    ("5000000/5000000", (*BARE, *OURS)),
]


def checksum(table: pa.Table) -> list[float]:
    """One number per feature that every value and its label goes into; the same for equal results."""
    label = table.column("label_id").to_numpy().astype(np.float64)
    weight = np.sin(label)
    sums = []
    for view in VIEWS:
        for i in range(FEATURES):
            values = table.column(f"{view}_{i}").to_numpy(zero_copy_only=False).astype(np.float64)
            sums.append(float(np.nansum(values * weight) + np.isnan(values) @ np.cos(label)))
    return sums


# --- contenders: each returns the seconds of its runs and the result as Arrow ------------------------------


def ours_duckdb(folder: Path, labels: pa.Table) -> Outcome:
    store = feast_store(folder, {"type": "feature_repo.offline.duckdb_asof.AsOfDuckDBOfflineStore"})
    return retrieve(store, labels, lambda job: job.to_arrow())


def ours_spark(folder: Path, labels: pa.Table) -> Outcome:
    store = feast_store(folder, {"type": "feature_repo.offline.spark_asof.AsOfSparkOfflineStore"})
    return spark_retrieve(store, labels)


def feast_dask(folder: Path, labels: pa.Table) -> Outcome:
    return retrieve(feast_store(folder, {"type": "dask"}, delta=False), labels, lambda job: job.to_arrow())


def feast_duckdb(folder: Path, labels: pa.Table) -> Outcome:
    return retrieve(feast_store(folder, {"type": "duckdb"}, delta=False), labels, lambda job: job.to_arrow())


def feast_spark(folder: Path, labels: pa.Table) -> Outcome:
    settings = {
        "spark.master": "local[2]",
        "spark.driver.memory": "8g",
        "spark.sql.shuffle.partitions": "8",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.log.level": "ERROR",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
    }
    return spark_retrieve(feast_store(folder, {"type": "spark", "spark_conf": settings}, delta=False), labels)


def bare_duckdb(folder: Path, labels: pa.Table) -> Outcome:
    import duckdb
    from deltalake import DeltaTable

    with Timer() as timer:
        con = duckdb.connect()
        con.register("labels", labels)
        for view in VIEWS:
            con.register(f"{view}_rows", DeltaTable(folder / "lake" / view).to_pyarrow_dataset())
        columns = ", ".join(f"{view}_rows.{view}_{i}" for view in VIEWS for i in range(FEATURES))
        joins = " ".join(
            f"ASOF LEFT JOIN {view}_rows ON l.{key} = {view}_rows.{key}"
            f" AND l.event_timestamp >= {view}_rows.event_timestamp"
            for view, key in VIEWS.items()
        )
        result = con.sql(f"SELECT l.*, {columns} FROM labels l {joins}").to_arrow_table()
    return [timer.seconds], result


def bare_polars(folder: Path, labels: pa.Table) -> Outcome:
    import polars as pl
    from deltalake import DeltaTable

    with Timer() as timer:
        frame = pl.from_arrow(labels)
        assert isinstance(frame, pl.DataFrame)
        frame = frame.sort("event_timestamp")
        for view, key in VIEWS.items():
            columns = [key, "event_timestamp", *(f"{view}_{i}" for i in range(FEATURES))]
            rows = pl.from_arrow(DeltaTable(folder / "lake" / view).to_pyarrow_table(columns=columns))
            assert isinstance(rows, pl.DataFrame)
            frame = frame.join_asof(rows.sort("event_timestamp"), on="event_timestamp", by=key)
        result = frame.to_arrow()
    return [timer.seconds], result


CONTENDERS: dict[str, Callable[[Path, pa.Table], Outcome]] = {
    "bare duckdb": bare_duckdb,
    "bare polars": bare_polars,
    "ours duckdb": ours_duckdb,
    "ours spark": ours_spark,
    "feast dask": feast_dask,
    "feast duckdb": feast_duckdb,
    "feast spark": feast_spark,
}


def feast_store(folder: Path, offline: dict[str, Any], delta: bool = True) -> Any:
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.data_format import DeltaFormat, ParquetFormat
    from feast.types import Float64, Int64

    if offline["type"].startswith("feature_repo"):
        offline = offline | {"lake": str(folder / "lake")}
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(folder / f"{offline['type']}.pb"),
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        offline_store=offline,
        entity_key_serialization_version=3,
    )
    config.repo_path = folder
    store = FeatureStore(config=config)
    objects: list[Any] = []
    for view, key in VIEWS.items():
        times = {"timestamp_field": "event_timestamp", "created_timestamp_column": "created_timestamp"}
        if offline["type"] == "spark":
            from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource

            source: Any = SparkSource(
                name=view, path=str(folder / f"{view}.parquet"), file_format="parquet", **times
            )
        elif delta:
            source = FileSource(name=view, path=view, file_format=DeltaFormat(), **times)
        else:
            source = FileSource(
                name=view, path=str(folder / f"{view}.parquet"), file_format=ParquetFormat(), **times
            )
        entity = Entity(name=view, join_keys=[key], value_type=ValueType.INT64)
        fields = [
            Field(name=key, dtype=Int64),
            *(Field(name=f"{view}_{i}", dtype=Float64) for i in range(FEATURES)),
        ]
        objects += [
            entity,
            FeatureView(name=view, entities=[entity], schema=fields, source=source, ttl=timedelta(0)),
        ]
    store.apply(objects)
    return store


REFERENCES = [f"{view}:{view}_{i}" for view in VIEWS for i in range(FEATURES)]


def retrieve(store: Any, labels: pa.Table, result: Callable[[Any], pa.Table]) -> Outcome:
    stock = not store.config.offline_store.type.startswith("feature_repo")
    given = labels.to_pandas() if stock else labels
    with Timer() as timer:
        table = result(store.get_historical_features(given, REFERENCES))
    return [timer.seconds], table


def spark_retrieve(store: Any, labels: pa.Table) -> Outcome:
    """Time a write to nothing; write the result to Parquet afterwards, for the check."""
    from pyspark.sql import SparkSession

    stock = store.config.offline_store.type == "spark"
    if stock:
        from feast.infra.offline_stores.contrib.spark_offline_store.spark import (
            get_spark_session_or_start_new_with_repoconfig,
        )

        get_spark_session_or_start_new_with_repoconfig(store.config.offline_store)
    else:
        from feature_repo.offline.spark_asof import spark_session

        spark_session(store.config)
    session = SparkSession.getActiveSession()
    assert session is not None
    session.range(10).count()
    given = labels.to_pandas() if stock else labels
    seconds = []
    for _ in range(2):
        with Timer() as timer:
            job = store.get_historical_features(given, REFERENCES)
            frame = job.to_spark_df()
            frame.write.format("noop").mode("overwrite").save()
        seconds.append(timer.seconds)
    with tempfile.TemporaryDirectory() as written:
        frame.write.mode("overwrite").parquet(written)
        return seconds, pq.read_table(written)


# --- side by side -----------------------------------------------------------------------------------------


def measure(folder: Path, contender: str) -> None:
    """In the child: run one contender and print what it took."""
    import contextlib
    import io
    import warnings

    warnings.simplefilter("ignore")
    labels = pq.read_table(folder / "labels.parquet")
    with contextlib.redirect_stdout(io.StringIO()):
        seconds, table = CONTENDERS[contender](folder, labels)
    first, *more = seconds
    print(
        json.dumps(
            {
                "seconds": first,
                "again": more[0] if more else None,
                "rows": table.num_rows,
                "sums": checksum(table),
            }
        )
    )


def compare(
    size: str, contenders: tuple[str, ...], timeout: float, memory: float, equal_users: bool
) -> list[dict[str, Any]]:
    labels, rows = (int(part) for part in size.split("/"))
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="marquee-pit-join-") as name:
        make(Path(name), labels, rows, equal_users)
        print(f"\n{labels:,} labels, two views of {rows:,} rows", flush=True)
        print(f"{'':14}{'seconds':>9}{'again':>9}{'× bare':>9}{'peak GB':>9}  result", flush=True)
        bare: Measured | None = None
        for contender in contenders:
            measured = run_child([__file__, "--child", contender, name], timeout, memory)
            if contender == "bare duckdb":
                bare = measured
            result = {
                "labels": labels,
                "rows": rows,
                "contender": contender,
                "seconds": measured.report.get("seconds"),
                "again": measured.report.get("again"),
                "peak_gb": round(measured.peak_gb, 2),
                "result": judge(measured, bare, labels),
            }
            result["ratio"] = ratio(result["seconds"], bare.report.get("seconds") if bare else None)
            results.append(result)
            first, again = (_number(result[name], 2) for name in ("seconds", "again"))
            times = _number(result["ratio"], 1)
            print(
                f"{contender:14}{first:>9}{again:>9}{times:>9}{measured.peak_gb:>9.1f}  {result['result']}",
                flush=True,
            )
    return results


def _number(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"


def ratio(seconds: float | None, bare: float | None) -> float | None:
    return None if seconds is None or not bare else seconds / bare


def judge(measured: Measured, bare: Measured | None, labels: int) -> str:
    if measured.failure:
        return measured.failure
    if measured.report["rows"] != labels:
        return f"{measured.report['rows']:,} rows for {labels:,} labels"
    if bare is None or bare.failure:
        return "not checked"
    same = np.allclose(measured.report["sums"], bare.report["sums"], rtol=1e-9, atol=1e-6)
    return "equal" if same else "DIFFERENT VALUES"


def _place(result: dict[str, Any]) -> tuple[int, int, int]:
    return result["rows"], result["labels"], list(CONTENDERS).index(result["contender"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, no Spark: under a minute")
    parser.add_argument("--json", type=Path, help="also write the figures to this file, and keep its others")
    parser.add_argument("--sizes", help="labels/rows, comma-separated")
    parser.add_argument(
        "--contenders", type=names_of(CONTENDERS), help=f"comma-separated, of: {', '.join(CONTENDERS)}"
    )
    parser.add_argument("--equal-users", action="store_true", help="about 100 rows for every user")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for one measurement")
    parser.add_argument("--memory", type=float, default=14, help="GB for one measurement")
    parser.add_argument("--child", nargs=2, metavar=("CONTENDER", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        measure(Path(arguments.child[1]), arguments.child[0])
        return
    chosen = QUICK if arguments.quick else FULL
    if arguments.sizes:
        chosen = [(size, (*BARE, *OURS)) for size in arguments.sizes.split(",")]
    if arguments.contenders:
        chosen = [(size, tuple(arguments.contenders)) for size, _ in chosen]
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    warn_if_busy()
    results = [
        result
        for size, contenders in chosen
        for result in compare(size, contenders, arguments.timeout, arguments.memory, arguments.equal_users)
    ]
    if arguments.json:
        if arguments.json.exists():
            before = json.loads(arguments.json.read_text())["results"]
            results = list({_place(result): result for result in [*before, *results]}.values())
            results.sort(key=_place)
        arguments.json.write_text(json.dumps({"machine": about, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
