"""The machine for as long as one likes, and the faults that it has to find.

python -m tests.promises [--sequences 3000] [--steps 20] [--seed 0] [--no-proofs] [--maintain] [--json FILE]
python -m tests.promises --servers [--sequences 200]
python -m tests.promises --planted [--sequences 200]
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from app.spark import start_spark
from common.settings import Settings
from tests.folders import until_exit
from tests.promises.home import template
from tests.promises.planted import PLANTED, Plant
from tests.promises.search import search
from tests.promises.stores import OnServers, Stores
from tests.reliability import record
from tests.servers import servers_at_scale

AT_ONCE = 50
"""Sequences drawn from one seed; the next ones come from the next."""


def main() -> int:
    """Exit code 1 where a promise was broken, or a planted fault was not found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sequences",
        type=int,
        default=3000,
        help="to draw, in all or for each fault; each 50, which take minutes, are told of",
    )
    parser.add_argument("--steps", type=int, default=20, help="of each")
    parser.add_argument("--seed", type=int, default=0, help="of the first sequences")
    parser.add_argument("--planted", action="store_true", help="plant each fault in turn, and look for it")
    parser.add_argument("--json", help="where to write what was found", type=Path)
    parser.add_argument("--servers", action="store_true", help="in the profile `scale`, without kills")
    parser.add_argument("--no-proofs", action="store_true", help="draw no audits and trainings")
    parser.add_argument("--maintain", action="store_true", help="draw maintenance, by Spark, too")
    asked = parser.parse_args()
    with on_servers() if asked.servers else nullcontext() as stores:
        return hunt(asked, stores)


def hunt(asked: argparse.Namespace, stores: Stores | None) -> int:
    """Draw the sequences, or plant the faults, that were asked for."""
    template()
    if asked.maintain:  # the session must outlive the homes that it is used on
        start_spark(Settings(home=until_exit("promises-spark")))
    if asked.planted:
        missed = [plant.__name__ for plant in PLANTED if not found(plant, asked.sequences, asked.steps)]
        print(
            f"{len(PLANTED) - len(missed)} of {len(PLANTED)} planted faults found",
            *missed,
            sep="\n  missed: ",
        )
        return len(missed) > 0
    done = 0
    for begun in range(0, asked.sequences, AT_ONCE):
        started = time.perf_counter()
        now = min(AT_ONCE, asked.sequences - begun)
        try:
            search(
                *(now, asked.steps, asked.seed + begun),
                on=stores,
                proofs=not asked.no_proofs,
                maintains=asked.maintain,
            )
        except AssertionError:
            note(asked, done, broken=1)
            raise
        done += now
        note(asked, done, broken=0)
        print(f"{done} sequences, no promise broken, {time.perf_counter() - started:.0f} s", flush=True)
    return 0


def note(asked: argparse.Namespace, done: int, broken: int) -> None:
    """Keep how far a search has come."""
    if asked.json:
        stores = "servers" if asked.servers else "files"
        mine = {"sequences": done, "steps": asked.steps, "seed": asked.seed, "broken": broken}
        record(asked.json, "searches", {"stores": stores, **mine}, kind=("stores", "seed"))


@contextmanager
def on_servers() -> Iterator[Stores]:
    """Servers of our own, which commands use as the profile `scale` does."""
    # Data sets are joined by Spark there.
    with servers_at_scale("stores") as found, found.used(MARQUEE_SPARK_MASTER="local[2]"):
        yield OnServers(found)


def found(plant: Plant, sequences: int, steps: int) -> bool:
    """Whether the machine finds a fault that is planted."""
    started = time.perf_counter()
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        try:
            search(sequences, steps, start=0, shrink=False, proofs=False)
            seen = "MISSED"
        except AssertionError as error:
            seen = f"found: {str(error).splitlines()[0][:80] if str(error) else 'a promise is broken'}"
    print(f"{plant.__name__}: {seen}, {time.perf_counter() - started:.0f} s", flush=True)
    return seen != "MISSED"


if __name__ == "__main__":
    sys.exit(main())
