"""Lets servers misbehave while commands work, and says what became of each.

python -m tests.toxic --only push,lookup --faults down,reset --parts 5 --seed 0
"""

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.reliability import record
from tests.servers import servers_at_scale
from tests.toxic.site import SERVERS, site_with
from tests.toxic.tasks import TASKS
from tests.toxic.trials import FAULTS, Point, Trial


def main() -> None:
    """Disturb commands and print what became of each."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--only", help="commands, by comma", default=",".join(TASKS))
    asked.add_argument("--servers", help="by comma", default=",".join(SERVERS))
    asked.add_argument("--faults", help="by comma", default=",".join(FAULTS))
    asked.add_argument("--parts", help="of what a server answers, each with a trial", type=int, default=5)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--json", help="where to write what was found", type=Path)
    options = asked.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which stops the servers, as Ctrl-C does
    faults, asked_servers = options.faults.split(","), options.servers.split(",")
    every: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory(prefix="marquee-toxic-") as folder,
        servers_at_scale("stores") as servers,
        site_with(Path(folder).resolve(), servers) as site,
    ):
        for name in options.only.split(","):
            trial = Trial(site, name)
            answered = ", ".join(f"{SERVERS[of]} {bytes:,} B" for of, bytes in trial.answered.items())
            print(f"{name}: {trial.usual.seconds:.1f} s, {answered}", flush=True)
            points = [
                point
                for point in trial.points(faults, options.parts, options.seed)
                if point.server in asked_servers
            ]
            counts = {server: {fault: Counter[str]() for fault in faults} for server in asked_servers}
            for point in points:
                found = tried(trial, name, point)
                counts[point.server][point.fault] += found
                every += found
            trial.task.close()
            for server, of in counts.items():
                row = {
                    fault: {what: of[fault][what] for what in ("tried", "wrong", "done")} for fault in faults
                }
                kind = f"{name}, {SERVERS[server]}"
                if options.json:
                    record(options.json, "commands", {"command": kind, "seed": options.seed, "faults": row})
    print(f"{every['tried']} points tried, {every['wrong']} wrong; {every['done']} were done all the same")
    sys.exit(every["wrong"] > 0)


def tried(trial: Trial, name: str, point: Point) -> Counter[str]:
    """Try one point, and print what became of it."""
    began = time.monotonic()
    ended, wrong = trial.disturbed(point)
    said = "; ".join(wrong) or "right"
    whole = time.monotonic() - began
    print(
        f"{name:12}{point!s:60} {ended.code} after {ended.seconds:4.1f} s, {whole:4.1f} in all: {said}",
        flush=True,
    )
    return Counter(tried=1, wrong=int(bool(wrong)), done=int(ended.code == 0))


if __name__ == "__main__":
    main()
