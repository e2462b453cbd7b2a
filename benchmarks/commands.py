"""What commands cost from their start to their end, beside another commit.

    python benchmarks/commands.py [--beside COMMIT] [--ratings N] [--rounds N] [--json FILE] [--quick]

Each of the two has a home of its own with N synthetic ratings, on which the whole road was gone once. Then,
in each round, each command runs on both, one after the other; medians count. Imports are included. A push
brings ratings that are newer than all that are there, the same ones to both.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import machine, warn_if_busy

ROOT = Path(__file__).parents[1]
RATINGS, QUICK_RATINGS, ROUNDS = 100_000, 5_000, 5
USERS, MOVIES = 100, 500
ROAD = (
    f"data synth --ratings {{ratings}} --users {{users}} --movies {MOVIES}",
    "pipeline ingest",
    "pipeline run",
    "features apply",
    "features materialize",
)
MANY = 1_000
COMMANDS = {
    "lookup": "features lookup --user 1 --movie 1",
    "materialize, nothing new": "features materialize",
    "push, 1 rating": "features push {one}",
    f"push, {MANY:,} ratings": "features push {many}",
    "pipeline run, nothing new": "pipeline run",
}
AFTER = 1_750_000_000
"""Seconds of Unix time, in 2025, that no synthetic rating comes to."""
HEADINGS = f"{'':40}{'s':>8}{'CPU s':>8}{'peak GB':>9}{'ratio':>8}"


@dataclass(frozen=True)
class Cost:
    """What a command cost: seconds on the wall and of processors, and its largest process in GB."""

    seconds: float
    cpu: float
    peak_gb: float


@dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    Args:
        name: in the table.
        sources: the folder of its sources.
        home: its home.
    """

    name: str
    sources: Path
    home: Path

    def run(self, words: str) -> Cost:
        """Run a command to its end.

        Raises:
            RuntimeError: it failed; with what it said.
        """
        started = time.perf_counter()
        with tempfile.TemporaryFile("w+") as said:
            child = subprocess.Popen(
                [sys.executable, "-m", "cli.main", *words.split()],
                cwd=self.sources,
                env={**os.environ, "PYTHONPATH": str(self.sources), "MARQUEE_HOME": str(self.home)},
                stdout=said,
                stderr=subprocess.STDOUT,
            )
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.perf_counter() - started
            if child.returncode:
                said.seek(0)
                raise RuntimeError(f"{self.name}, {words}: {said.read().strip()[-500:]}")
        return Cost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e9)


def pushed(folder: Path, number: int, rows: int) -> Path:
    """A file of ratings that no home has, of the `number`-th push."""
    file = folder / f"{number}.csv"
    lines = [
        f"{1 + row % USERS},{1 + row % MOVIES},4.0,{AFTER + 10_000 * number + row // 10}"
        for row in range(rows)
    ]
    file.write_text("\n".join(["userId,movieId,rating,timestamp", *lines]) + "\n")
    return file


@contextlib.contextmanager
def sides(folder: Path, beside: str | None, ratings: int) -> Iterator[list[Side]]:
    """This commit's sources, and another's as they were, each with a home."""
    found = [Side("now", ROOT, folder / "now")]
    git = ["git", "-C", str(ROOT), "worktree"]
    if beside:
        subprocess.run([*git, "add", "--quiet", "--detach", str(folder / "sources"), beside], check=True)
        found.insert(0, Side(beside, folder / "sources", folder / "before"))
    try:
        for side in found:
            for words in ROAD:
                side.run(words.format(ratings=ratings, users=max(ratings // 50, USERS)))
        yield found
    finally:
        if beside:
            subprocess.run([*git, "remove", "--force", str(folder / "sources")], check=True)


def measured(folder: Path, both: list[Side], rounds: int) -> list[dict[str, Any]]:
    """Of each command and side, the median of what it cost; the first round warms up and does not count."""
    costs: dict[tuple[str, str], list[Cost]] = {}
    for turn in range(rounds + 1):
        files = {"one": pushed(folder, 2 * turn, 1), "many": pushed(folder, 2 * turn + 1, MANY)}
        for name, words in COMMANDS.items():
            for side in both if turn % 2 else reversed(both):
                cost = side.run(words.format(**files))
                if turn:
                    costs.setdefault((name, side.name), []).append(cost)
    return [
        {
            "command": name,
            "commit": side,
            "seconds": statistics.median(cost.seconds for cost in found),
            "cpu": statistics.median(cost.cpu for cost in found),
            "peak_gb": max(cost.peak_gb for cost in found),
        }
        for (name, side), found in costs.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--beside", metavar="COMMIT", help="what to run the same commands with, in turn")
    parser.add_argument("--ratings", type=int, default=RATINGS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RATINGS:,} ratings, one round")
    asked = parser.parse_args()
    ratings, rounds = (QUICK_RATINGS, 1) if asked.quick else (asked.ratings, asked.rounds)
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    warn_if_busy()
    with tempfile.TemporaryDirectory(prefix="marquee-commands-") as name:
        folder = Path(name)
        with sides(folder, asked.beside, ratings) as both:
            results = measured(folder, both, rounds)
    print(f"\n{ratings:,} ratings, median of {rounds}\n{HEADINGS}")
    before = {of["command"]: of["seconds"] for of in results if of["commit"] != "now"}
    for of in sorted(results, key=lambda of: list(COMMANDS).index(of["command"])):
        ratio = before.get(of["command"])
        said = f"{of['seconds'] / ratio:>8.2f}" if ratio and of["commit"] == "now" else ""
        print(
            f"{of['command']:28}{of['commit'][:10]:12}{of['seconds']:>8.2f}{of['cpu']:>8.2f}"
            f"{of['peak_gb']:>9.2f}{said}"
        )
    if asked.json:
        found = {"machine": about, "ratings": ratings, "results": results}
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
