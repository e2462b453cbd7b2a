"""The road's data stages on synthetic ratings of any number, each in a process of its own.

    python benchmarks/road.py [--quick] [--json FILE] [--ratings N] [--home FOLDER [--stages a,b,…]]

From the generator to the online store, without training; as many users and movies a rating as MovieLens'
`ml-latest` of 2018 has (27.8 M ratings, 283,228 users, 58,098 movies). Each stage is what the command of that
name does, imports and the start of Spark included; peak memory is that of the process and its children.
`--home` keeps what the stages leave, so that single stages can be measured again; `--json` then replaces
theirs and keeps the others.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import machine, names_of, run_child, warn_if_busy

sys.path.insert(0, str(Path(__file__).parents[1]))

RATINGS, QUICK_RATINGS = 27_000_000, 30_000
RATINGS_A_USER, MOST_MOVIES, RATINGS_A_MOVIE = 98, 58_098, 250


def config(ratings: int) -> Any:
    from pipelines.sources.synthetic import SyntheticConfig

    movies = min(max(ratings // RATINGS_A_MOVIE, 1_000), MOST_MOVIES)
    return SyntheticConfig(ratings=ratings, users=ratings // RATINGS_A_USER, movies=movies)


def generate(home: Path, ratings: int) -> None:
    from app.sources import synthesise
    from cli.console import stages
    from common.settings import load_settings

    synthesise(load_settings(home), config(ratings), stages())


def ingest(home: Path, ratings: int) -> None:
    from app.ingest import ingest_stage
    from app.sources import synthetic_folder
    from app.spark import start_spark
    from cli.console import stages
    from common.settings import load_settings
    from feature_repo.domains.movies import DOMAIN
    from pipelines.sources.synthetic import read_synthetic

    settings = load_settings(home)
    spark = start_spark(settings)
    source = read_synthetic(synthetic_folder(settings, config(ratings)))
    ingest_stage(lambda: spark, settings, DOMAIN, source, stages())


def features(home: Path, ratings: int) -> None:  # noqa: ARG001
    from cli.pipeline import run

    run([], full=True, home=home)


def validate(home: Path, ratings: int) -> None:  # noqa: ARG001
    from cli import pipeline as commands

    commands.validate(home)


def apply(home: Path, ratings: int) -> None:  # noqa: ARG001
    from cli import features as commands

    commands.apply(home)


def materialize(home: Path, ratings: int) -> None:  # noqa: ARG001
    from cli import features as commands

    commands.materialize(home)


STAGES: dict[str, Callable[[Path, int], None]] = {
    stage.__name__: stage for stage in (generate, ingest, features, validate, apply, materialize)
}


def measure(stage: str, home: Path, ratings: int) -> None:
    """In the child: run one stage; what it says goes to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        STAGES[stage](home, ratings)
    # The console was made before the redirection: its lines come first, the report last.
    print(json.dumps({"bytes": size(home)}))


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RATINGS:,} ratings")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--ratings", type=int, default=RATINGS)
    parser.add_argument("--home", type=Path, help="keep what the stages leave here; a temporary one if none")
    parser.add_argument(
        "--stages", type=names_of(STAGES), default=[*STAGES], help="comma-separated, of a home that was kept"
    )
    parser.add_argument("--spark-memory", default="4g", help="heap of the Spark driver")
    parser.add_argument("--duckdb-memory", default="3GB", help="memory limit of DuckDB")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds for one stage")
    parser.add_argument("--memory", type=float, default=14, help="GB for one stage")
    parser.add_argument("--child", nargs=3, metavar=("STAGE", "HOME", "RATINGS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        stage, home, ratings = arguments.child
        measure(stage, Path(home), int(ratings))
        return
    ratings = QUICK_RATINGS if arguments.quick else arguments.ratings
    os.environ["MARQUEE_SPARK_MEMORY"] = arguments.spark_memory
    os.environ["MARQUEE_DUCKDB_MEMORY"] = arguments.duckdb_memory
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    warn_if_busy()
    with contextlib.ExitStack() as stack:
        home = arguments.home or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="marquee-road-"))
        )
        results = go(home, ratings, arguments.stages, arguments.timeout, arguments.memory)
    if arguments.json:
        if arguments.json.exists():
            before = json.loads(arguments.json.read_text())["results"]
            kept = {result["stage"]: result for result in before if result["ratings"] == ratings}
            results = list((kept | {result["stage"]: result for result in results}).values())
            results.sort(key=lambda result: list(STAGES).index(result["stage"]))
        arguments.json.write_text(json.dumps({"machine": about, "results": results}, indent=2) + "\n")


def go(home: Path, ratings: int, stages: list[str], timeout: float, memory: float) -> list[dict[str, Any]]:
    print(f"\n{ratings:,} ratings by {config(ratings).users:,} users of {config(ratings).movies:,} movies")
    print(f"{'':14}{'seconds':>9}{'peak GB':>9}{'home GB':>9}", flush=True)
    results = []
    for stage in stages:
        measured = run_child([__file__, "--child", stage, str(home), str(ratings)], timeout, memory)
        held = measured.report.get("bytes", 0) / 1e9
        print(
            f"{stage:14}{measured.seconds:>9.1f}{measured.peak_gb:>9.1f}{held:>9.1f}  {measured.failure}",
            flush=True,
        )
        results.append(
            {
                "stage": stage,
                "ratings": ratings,
                "seconds": measured.seconds,
                "peak_gb": round(measured.peak_gb, 2),
                "home_gb": round(held, 2),
                "failure": measured.failure,
            }
        )
        if measured.failure:
            break
    return results


if __name__ == "__main__":
    main()
