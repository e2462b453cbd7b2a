"""As many fuzzed files as one likes.

python -m tests.fuzzing [--kinds sources,pushed,…] [--tries N] [--seed 0] [--number N] [--keep FOLDER]
                        [--json FILE]
"""

import argparse
import sys
import time
from pathlib import Path

from tests.fuzzing.kinds import KINDS
from tests.fuzzing.tries import Finding, search
from tests.reliability import record


def main() -> int:
    """Exit code 1 where there is a finding."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", default=",".join(KINDS), help="of files")
    parser.add_argument("--tries", type=int, default=1000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn")
    parser.add_argument("--number", type=int, help="make this try only")
    parser.add_argument(
        "--keep", type=Path, default=Path("findings"), help="folder for the files of findings"
    )
    parser.add_argument("--json", type=Path, help="where to write what was found, beside other kinds")
    asked = parser.parse_args()
    found = 0
    for kind in asked.kinds.split(","):
        started, cpu = time.perf_counter(), time.process_time()
        numbers = range(asked.tries) if asked.number is None else (asked.number,)
        outcome = search(kind, KINDS[kind], numbers, asked.seed, asked.keep, tell)
        words = ", ".join(f"{count:,} {word}" for word, count in sorted(outcome.words.items()))
        print(
            f"{kind}, seed {asked.seed}: {len(numbers):,} tries in {time.perf_counter() - started:.0f} s"
            f" ({time.process_time() - cpu:.0f} s of CPU): {words}",
            flush=True,
        )
        found += len(outcome.findings)
        if asked.json:
            mine = {"tries": len(numbers), "seed": asked.seed, "wrong": len(outcome.findings)}
            record(asked.json, "kinds", {"kind": kind, **mine})
    return found > 0


def tell(finding: Finding) -> None:
    """Print a finding."""
    print(
        f"{finding.kind} --seed {finding.seed} --number {finding.number}: {finding.error}\n{finding.where}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
