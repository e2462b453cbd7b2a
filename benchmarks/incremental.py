"""What 1 % more ratings cost: added to the lake and taken in by the jobs, against building all anew.

    python benchmarks/incremental.py [--quick] [--json FILE] [--ratings N]

The lake holds all ratings but the last hundredth in time. Then, for each variant in a copy of its own, that
hundredth is added (`pipelines.ingest.add`: checked, compared with what the lake has, appended)
and each feature table but those of posters is brought up to date. `in time`: the ratings as they come.
`late`: one in a hundred more, held back from the three days before. A full build of the grown
tables by the same jobs, in the same process, is what both are compared with, and what they must equal.

The share counts the jobs, which is what building anew would cost; adding is shown beside it. Imports and the
start of Spark are excluded; peak memory is that of the process and its children.
"""

import argparse
import json
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from events import catalogue, ratings, write_lake
from feature_build import TABLES, our_spark
from measure import Timer, machine, run_child, warn_if_busy

sys.path.insert(0, str(Path(__file__).parents[1]))

RATINGS, QUICK_RATINGS = 5_000_000, 100_000
SHARE, LATE_SHARE, LATE_DAYS = 0.01, 0.01, 3
VARIANTS = ("in time", "late")


def cut(events: pa.Table, variant: str) -> tuple[pa.Table, pa.Table]:
    """The ratings that the lake begins with, and those that come later; both together are all."""
    n = events.num_rows
    new = np.zeros(n, bool)
    new[n - int(n * SHARE) :] = True
    if variant == "late":
        at = events.column("event_timestamp").cast(pa.int64()).to_numpy()
        since = at[int(np.flatnonzero(new)[0])] - LATE_DAYS * 86_400 * 1_000_000
        recent = np.flatnonzero((at >= since) & ~new)
        held_back = max(int(new.sum() * LATE_SHARE), 1)
        new[np.random.default_rng(1).choice(recent, min(held_back, len(recent)), replace=False)] = True
    return events.filter(pa.array(~new)), events.filter(pa.array(new))


def as_source(table: pa.Table, movies: pa.Table) -> Any:
    """Rows in memory as a source, as `Source` wants them."""
    from feature_repo.domains.movies.tables import MOVIES, RATINGS
    from pipelines.sources.new_events import raw_events
    from pipelines.sources.readings import as_it_is
    from pipelines.sources.source import Raw, Source, rows_of

    origin = {"record": "", "source": "memory"}
    for name, value in origin.items():
        movies = movies.append_column(name, pa.repeat(value, movies.num_rows))
    movies = movies.append_column("row", pa.array(range(1, movies.num_rows + 1), pa.int64()))
    catalogue = Raw(rows_of(movies), tuple(as_it_is(name) for name in MOVIES.column_names))
    tables = {RATINGS.name: raw_events(RATINGS, table, "memory"), MOVIES.name: catalogue}
    return Source("memory", "rows in memory", tables)


def content(lake: Path, view: Any) -> tuple[int, int]:
    """The number of rows that readers see and a sum of hashes of all that they hold but when they were
    written."""
    from deltalake import DeltaTable

    from lake.duckdb import connection

    columns = f"{view.by.name}, event_timestamp, {', '.join(column.name for column in view.columns)}"
    newest_first = (
        f"row_number() OVER (PARTITION BY {view.by.name}, event_timestamp ORDER BY created_timestamp DESC)"
    )
    with connection("6GB") as con:
        con.register("rows", DeltaTable(lake / view.name).to_pyarrow_dataset())
        query = f"SELECT {columns} FROM rows QUALIFY {newest_first} = 1"
        found = con.execute(f"SELECT count(*), coalesce(sum(hash(r)), 0) FROM ({query}) r").fetchone()
    assert found is not None
    return int(found[0]), int(found[1])


def measure(folder: Path, n: int, variant: str) -> dict[str, Any]:
    """In the child: begin, add, compare."""
    from feature_repo.define.table import QUARANTINE_COLUMNS
    from feature_repo.domains.movies import DOMAIN
    from feature_repo.domains.movies.tables import POSTERS
    from feature_repo.spark import spark_schema, spark_schema_of
    from lake import spark_tables as tables
    from pipelines.features.jobs import run_job
    from pipelines.ingest import add

    rng = np.random.default_rng(0)
    events, movies = ratings(rng, n), catalogue(rng)
    before, after = cut(events, variant)
    lake = folder / "lake"
    write_lake(lake, before, movies)
    spark = our_spark(folder)
    empty = {"posters": spark_schema(POSTERS), "quarantine": spark_schema_of(QUARANTINE_COLUMNS)}
    for name, schema in empty.items():
        tables.overwrite(spark.createDataFrame([], schema), lake, name, schema)
    for name in TABLES:
        run_job(lambda: spark, lake, DOMAIN, name, full=True, created=datetime(2020, 1, 1, tzinfo=UTC))
    with Timer() as adding:
        report = add(lambda: spark, as_source(after, movies), lake, DOMAIN)
    if report.tables["ratings"].accepted != after.num_rows:
        raise RuntimeError(f"{report.tables['ratings'].accepted} of {after.num_rows} ratings were added")
    updates, by_table = {}, {}
    for name in TABLES:
        with Timer() as timer:
            updates[name] = run_job(lambda: spark, lake, DOMAIN, name)
        by_table[name] = {
            "update": timer.seconds,
            "update_cpu": timer.cpu_seconds,
            "rows": updates[name].rows,
        }
    for name in TABLES:
        (lake / name).rename(folder / name)
        with Timer() as timer:
            rows = run_job(lambda: spark, lake, DOMAIN, name, full=True).rows
        by_table[name] |= {"full": timer.seconds, "full_cpu": timer.cpu_seconds, "full_rows": rows}
    equal = all(content(folder, DOMAIN.view(name)) == content(lake, DOMAIN.view(name)) for name in TABLES)
    return {
        "new": after.num_rows,
        "add": adding.seconds,
        **{
            part: sum(table[part] for table in by_table.values())
            for part in ("update", "full", "update_cpu", "full_cpu")
        },
        "late_keys": {name: update.late_keys for name, update in updates.items()},
        "tables": by_table,
        "equal": equal,
    }


def child(folder: Path, n: int, variant: str) -> None:
    import contextlib
    import warnings

    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(sys.stderr):
        found = measure(folder, n, variant)
    print(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RATINGS:,} ratings")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--ratings", type=int, default=RATINGS)
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for one measurement")
    parser.add_argument("--memory", type=float, default=14, help="GB for one measurement")
    parser.add_argument("--spark-memory", default="4g", help="heap of the Spark driver")
    parser.add_argument("--child", nargs=3, metavar=("FOLDER", "N", "VARIANT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        folder, rows, variant = arguments.child
        child(Path(folder), int(rows), variant)
        return
    os.environ["MARQUEE_SPARK_MEMORY"] = arguments.spark_memory
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    warn_if_busy()
    n = QUICK_RATINGS if arguments.quick else arguments.ratings
    print(f"\n{int(n * SHARE):,} ratings added to {n - int(n * SHARE):,}; tables {', '.join(TABLES)}")
    print(
        f"{'':10}{'add s':>8}{'jobs s':>8}{'full s':>8}{'share':>8}{'of CPU':>8}{'peak GB':>9}  result",
        flush=True,
    )
    results = []
    for variant in VARIANTS:
        with tempfile.TemporaryDirectory(prefix="marquee-incremental-") as folder:
            measured = run_child(
                [__file__, "--child", folder, str(n), variant], arguments.timeout, arguments.memory
            )
        found = measured.report
        result = {"ratings": n, "variant": variant, "peak_gb": round(measured.peak_gb, 2), **found}
        if measured.failure:
            result["result"] = measured.failure
            print(f"{variant:10}{'':40}{measured.peak_gb:>9.1f}  {measured.failure}", flush=True)
        else:
            result["share"] = found["update"] / found["full"]
            result["cpu_share"] = found["update_cpu"] / found["full_cpu"]
            result["result"] = "equal" if found["equal"] else "DIFFERENT TABLES"
            print(
                f"{variant:10}{found['add']:>8.1f}{found['update']:>8.1f}{found['full']:>8.1f}"
                f"{result['share']:>8.1%}{result['cpu_share']:>8.1%}{measured.peak_gb:>9.1f}"
                f"  {result['result']}",
                flush=True,
            )
            for name, table in found["tables"].items():
                print(
                    f"  {name:20}{table['update']:>6.1f} of {table['full']:.1f} s, "
                    f"{table['rows']:,} of {table['full_rows']:,} rows",
                    flush=True,
                )
        results.append(result)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": about, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
