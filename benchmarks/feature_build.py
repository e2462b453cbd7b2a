"""All feature tables but those of posters, built side by side: ours, DuckDB, Polars, a plain Spark job.

    python benchmarks/feature_build.py [--quick] [--json FILE] [--ratings N] [--contenders a,b,…]

Each reads the same ratings and movies (Delta) and writes what it computed: ours to Delta by the pipeline's
jobs, the others to Parquet. DuckDB and Polars compute the very same columns, less what lets ours go on from
there. The plain Spark job is what such projects usually have: windows over rows, of which
`collect_list` gathers the last 100, with Spark's default settings; ratings of one second see each other, so
its values are others.

Each measurement runs in a process of its own, imports and the start of Spark excluded; processor time and
peak memory are those of the process and its children. `result` checks every column against DuckDB's.
"""

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from events import catalogue, ratings, write_lake
from feature_build_peers import duckdb_sql, plain_spark, polars_frames
from measure import Measured, Timer, machine, names_of, run_child, warn_if_busy

sys.path.insert(0, str(Path(__file__).parents[1]))

RATINGS, QUICK_RATINGS = 5_000_000, 200_000
TABLES = ("movie_content", "movie_rating_stats", "user_rating_stats", "user_recent_likes")
NUMBERS = {
    "movie_content": ("movie_release_year",),
    "movie_rating_stats": ("movie_rating_count", "movie_rating_mean", "movie_rating_std"),
    "user_rating_stats": (
        *("user_rating_count", "user_rating_mean", "user_rating_std"),
        *("user_release_year_mean", "user_release_year_std", "epoch(user_rating_first_at)"),
    ),
    "user_recent_likes": (),
}
LISTS = {
    "movie_content": ("movie_genres",),
    "movie_rating_stats": (),
    "user_rating_stats": ("user_top_genres",),
    "user_recent_likes": ("user_recent_liked_movie_ids", "user_recent_liked_genres"),
}


# --- contenders: each builds the tables in `out` and returns what this took -------------------------------


def ours(lake: Path, out: Path) -> Timer:
    from feature_repo.domains.movies import DOMAIN
    from pipelines.features.jobs import run_job

    spark = our_spark(out)
    with Timer() as timer:
        for name in TABLES:
            with Timer() as one:
                run_job(lambda: spark, lake, DOMAIN, name, full=True)
            print(f"  {name} {one.seconds:.1f} s, {one.cpu_seconds:.1f} s of processors", file=sys.stderr)
    for name in TABLES:
        (lake / name).rename(out / name)
    return timer


def our_spark(scratch: Path) -> Any:
    from lake.session import spark_session

    spark = spark_session(
        memory=os.environ.get("MARQUEE_SPARK_MEMORY", "2g"),
        scratch=scratch / "scratch",
        log=scratch / "spark.log",
    )
    spark.range(10).count()
    return spark


CONTENDERS: dict[str, Callable[[Path, Path], Timer]] = {
    "duckdb": duckdb_sql,
    "polars": polars_frames,
    "ours": ours,
    "plain spark": plain_spark,
}


# --- side by side -----------------------------------------------------------------------------------------


def checksums(out: Path) -> dict[str, list[float | int]]:
    """Of each table the rows, a number for each column, which every value and its row go into."""
    import duckdb

    found = {}
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        for name in TABLES:
            con.register("built", built(out, name))
            key = "movie_id" if name.startswith("movie") else "user_id"
            row = f"({key} * 31 + epoch_us(event_timestamp) // 1000000) % 997"
            numbers = [f"sum(coalesce({column}, -1) * {row})::DOUBLE" for column in NUMBERS[name]]
            lists = [
                f"sum((hash({key}, epoch_us(event_timestamp), {column}::VARCHAR) % 1000003)::BIGINT)::BIGINT"
                for column in LISTS[name]
            ]
            sums = con.execute(f"SELECT {', '.join(['count(*)', *numbers, *lists])} FROM built").fetchall()
            found[name] = list(sums[0])
    return found


def built(out: Path, name: str) -> Any:
    import pyarrow.dataset as pads
    from deltalake import DeltaTable

    if (out / name / "_delta_log").is_dir():
        return DeltaTable(out / name).to_pyarrow_dataset()
    return pads.dataset(out / f"{name}.parquet")


def measure(lake: Path, contender: str) -> None:
    """In the child: build, and print what it took."""
    import contextlib
    import warnings

    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(dir=lake.parent) as name, contextlib.redirect_stdout(sys.stderr):
        out = Path(name)
        timer = CONTENDERS[contender](lake, out)
        sums = {} if contender == "plain spark" else checksums(out)
    print(json.dumps({"seconds": timer.seconds, "cpu_seconds": timer.cpu_seconds, "sums": sums}))


def judge(measured: Measured, reference: Measured | None, contender: str) -> str:
    if measured.failure:
        return measured.failure
    if contender == "plain spark":
        return "other values: windows over rows"
    if reference is None or reference.failure:
        return "not checked"
    for name, sums in measured.report["sums"].items():
        for value, wanted in zip(sums, reference.report["sums"][name], strict=True):
            if not math.isclose(value, wanted, rel_tol=1e-9):
                return f"DIFFERENT VALUES in {name}"
    return "equal"


def ratio(report: dict[str, Any], reference: dict[str, Any], name: str) -> float | None:
    return report[name] / reference[name] if name in report and name in reference else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RATINGS:,} ratings")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--ratings", type=int, default=RATINGS)
    parser.add_argument("--contenders", type=names_of(CONTENDERS), default=[*CONTENDERS], help="by comma")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for one measurement")
    parser.add_argument("--memory", type=float, default=14, help="GB for one measurement")
    parser.add_argument("--spark-memory", default="4g", help="heap of the Spark driver, ours and the other")
    parser.add_argument("--child", nargs=2, metavar=("CONTENDER", "LAKE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        measure(Path(arguments.child[1]), arguments.child[0])
        return
    os.environ["MARQUEE_SPARK_MEMORY"] = arguments.spark_memory
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    warn_if_busy()
    n = QUICK_RATINGS if arguments.quick else arguments.ratings
    results = []
    with tempfile.TemporaryDirectory(prefix="marquee-feature-build-") as name:
        lake = Path(name) / "lake"
        rng = np.random.default_rng(0)
        write_lake(lake, ratings(rng, n), catalogue(rng))
        print(f"\n{n:,} ratings; tables {', '.join(TABLES)}")
        print(
            f"{'':14}{'seconds':>9}{'× polars':>9}{'CPU s':>9}{'× polars':>9}{'peak GB':>9}  result",
            flush=True,
        )
        done: dict[str, Measured] = {}
        for contender in arguments.contenders:
            measured = run_child(
                [__file__, "--child", contender, str(lake)], arguments.timeout, arguments.memory
            )
            done[contender] = measured
            polars = done["polars"].report if "polars" in done else {}
            result = {
                "ratings": n,
                "contender": contender,
                **{name: measured.report.get(name) for name in ("seconds", "cpu_seconds")},
                "ratio": ratio(measured.report, polars, "seconds"),
                "cpu_ratio": ratio(measured.report, polars, "cpu_seconds"),
                "peak_gb": round(measured.peak_gb, 2),
                "result": judge(measured, done.get("duckdb"), contender),
            }
            results.append(result)
            shown = [
                "" if result[name] is None else f"{result[name]:.{digits}f}"
                for name, digits in (("seconds", 1), ("ratio", 2), ("cpu_seconds", 1), ("cpu_ratio", 2))
            ]
            figures = "".join(f"{text:>9}" for text in shown)
            print(f"{contender:14}{figures}{measured.peak_gb:>9.1f}  {result['result']}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": about, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
