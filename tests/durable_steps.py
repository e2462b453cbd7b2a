"""Killing or failing commands at each step that makes something durable, and judging what comes after.

`python -m tests.durable_steps` finds the steps of each command, and at each of them kills it, lets the disk
be full from there on, or lets the step alone fail as a broken disk does. Then the same command must end
right, and so must what brings the home up to date, in either order; and the home must be as after a command
that nothing disturbed. `tests/test_durable_steps.py` tries a few.

A step is whatever changes the names, the length or the content of a file below the home's folder, or waits
for the disk to have it: what a reader of the home, or the next command, could find done or not done. Some
stand for others (see `tests.telling_steps`).
"""

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from app.spark import start_spark
from common.settings import Settings
from tests.forks import Forks
from tests.home_state import differences, made_ready, online_differs, remains, state
from tests.marquee import COMMAND, ROOT, Refused, environment, in_process
from tests.reliability import record
from tests.servers import SHORT_JOBS
from tests.small_home import dataset, small_home
from tests.small_movielens import write_small_movielens
from tests.steps import (
    EIO,
    ENOSPC,
    JOURNAL,
    KILLED,
    TAKES_SPACE,
    Begin,
    Ended,
    Step,
    spawned,
    watched,
)
from tests.telling_steps import telling

UP_TO_DATE = ("pipeline run", "features apply", "features materialize")
JOURNALS = {"home/lake/.unfinished.json", *(f"home/{name}.db{JOURNAL}" for name in ("registry", "online"))}
"""Of a home, out of which the next command undoes what the last one did not end."""
REMOVES = ("unlink", "rmdir")
FAULTS = {"kill": KILLED, "ENOSPC": ENOSPC, "EIO": EIO}


@dataclass(frozen=True)
class Task:
    """A command to be disturbed.

    Args:
        words: as they are typed; names in capitals stand for what `Site` has.
        before: what to do to the home first: commands, or "rm FILE".
        program: whose words they are.
        whole: whether it is done or not done; else it has parts that stay, from which it goes on.
        spark: whether it needs Spark.
        but: where places begin that another task is about.
    """

    words: str
    before: Sequence[str] = ()
    program: Sequence[str] = tuple(COMMAND)
    whole: bool = True
    spark: bool = False
    but: str = ""


OTHERS = "pipeline ingest --source movielens --path MORE --posters POSTERS"
"""Fewer keys than there were: what is online of the others goes."""
ADD = "pipeline ingest --add --source movielens --path MORE"
REPRODUCE = "reproduce mmdin --source movielens --path DATA --seeds 1 --protocols honest"
REDUCED = (sys.executable, "-m", "tests.reduced_paper")
TASKS = {
    "push": Task("features push NEW"),
    "ingest": Task(OTHERS),
    "add": Task(ADD),
    "run": Task("pipeline run", before=(ADD,)),
    "apply": Task("features apply", before=("rm registry.db",)),
    "materialize": Task("features materialize", before=("rm online.db",)),
    "exchange": Task("features materialize", before=(OTHERS, "pipeline run")),
    "dataset": Task("DATASET"),
    "train": Task("train gbt --config QUICK"),
    "retrain": Task("train gbt --config OTHER", before=("train gbt --config QUICK",)),
    "road": Task(REPRODUCE, program=REDUCED, whole=False, but="home/reproduce"),
    "reproduce": Task(REPRODUCE, before=(REPRODUCE, "rm reproduce"), program=REDUCED, whole=False),
    "maintain": Task("pipeline maintain ratings --retain-days 0", before=(ADD, "pipeline run"), spark=True),
}


class Site:
    """A home in which everything is made, the files that commands read, and copies to do things to.

    Args:
        folder: for all of it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with contextlib.redirect_stdout(io.StringIO()):
            self.home = small_home(folder / "first")
        more, posters = write_small_movielens(folder / "more", users=10, movies=45, seed=1)
        new, quick, other = (folder / name for name in ("new.csv", "quick.yaml", "other.yaml"))
        late = "1,1,4.5,1500000000\n2,3,2.0,1500000001\n1,5,4.0,950000000\n99,2,0.5,1500000002\n"
        new.write_text(f"userId,movieId,rating,timestamp\n{late}")
        quick.write_text("model: gbt\nconfig:\n  iterations: 5\n")
        other.write_text("model: gbt\nconfig:\n  iterations: 6\n")
        self.places = {
            "DATA": folder / "first" / "data",
            "MORE": more,
            "POSTERS": posters,
            "NEW": new,
            "QUICK": quick,
            "OTHER": other,
        }

    def typed(self, words: str, home: Path) -> list[str]:
        """A command's words for a home."""
        words = dataset(home) if words == "DATASET" else words
        return [str(self.places.get(word, word)) for word in words.split()]

    def copy(self, home: Path) -> Path:
        """A copy of a home, in a folder of its own, with the labels."""
        folder = self.folder / uuid4().hex[:8]
        shutil.copytree(home, folder / "home")
        shutil.copy(self.home.with_name("labels.parquet"), folder)
        return folder / "home"

    def do(self, words: str, home: Path) -> Refused:
        """A command, in this process."""
        from tests.reduced_paper import MMDIN

        with contextlib.redirect_stdout(io.StringIO()), patch("training.papers.mmdin.MMDIN", MMDIN):
            return in_process(home, *self.typed(words, home))


class Trial:
    """A command, undisturbed once, to be disturbed many times.

    Args:
        site: where.
        task: which.
        begin: begins it.
    """

    def __init__(self, site: Site, task: Task, begin: Begin = spawned) -> None:
        self.site, self.task, self.begin = site, task, begin
        if task.spark:  # the session of this process must outlive the homes that it is used on
            start_spark(Settings(home=site.home.with_name("spark")))
        self.home = made_ready(site.copy(site.home), task.before, self.must)
        self.not_done = self.brought_up_to_date(site.copy(self.home))
        self.models = [file.relative_to(self.home) for file in self.home.rglob("metrics.json")]
        home = site.copy(self.home)
        done = self.run(home)
        assert done.code == 0, done
        others = self.task.but
        self.steps = [step for step in telling(done.steps) if not others or not step.place.startswith(others)]
        self.after = state(home)
        self.up_to_date = self.brought_up_to_date(home)
        assert not (left := remains(home.parent)), left
        # What others are compared with is itself what a computation of all anew gives, and what is online.
        self.must("pipeline run --full", home)
        assert not (found := differences(self.up_to_date, state(home))), found
        assert not (found := online_differs(home)), found

    def must(self, words: str, home: Path) -> None:
        """A command that nothing disturbs."""
        done = self.site.do(words, home)
        assert done.code == 0, (words, done)

    def brought_up_to_date(self, home: Path) -> dict[str, Any]:
        """What a home has once all that follows from its sources is made."""
        for words in UP_TO_DATE:
            self.must(words, home)
        return state(home)

    def run(self, home: Path, judge: Callable[[Step], int | None] = lambda _: None) -> Ended:
        """The command, as a process that is watched."""
        words = self.site.typed(self.task.words, home)
        command = [*self.task.program, *words]
        return watched(command, home.parent, environment(home), judge, ROOT, self.begin)

    def disturbed(self, at: Step, fault: str) -> list[str] | None:
        """Disturb the command at a step; all that is not right. None where it did not come so far."""
        home = self.site.copy(self.home)
        try:
            disturb = Disturbance(at, fault)
            ended = self.run(home, disturb)
            if not disturb.done:
                return None
            wrong = faults_of_ending(ended, fault)
            if ended.code == 0 and (found := differences(state(home), self.after)):
                wrong.append(f"it ended as if nothing had happened, but without {', '.join(found)}")
            wrong += [f"lost: {model}" for model in self.models if not (home / model).is_file()]
            # What cannot be removed stays; for want of space, what cannot be undone, with the journal for it.
            left = [] if at.call in REMOVES or fault == "kill" else remains(home.parent)
            if left and not (fault == "ENOSPC" and set(left) <= JOURNALS):
                wrong.append(f"remains: {left}")
            return wrong + self.faults_afterwards(at, fault, home)
        except Exception as error:
            return [f"afterwards: {error!r}"]
        finally:
            shutil.rmtree(home.parent)

    def faults_afterwards(self, at: Step, fault: str, home: Path) -> list[str]:
        """What the next commands do not make good: at every other point the same one comes first."""
        wrong = []
        at_once = not self.task.whole or (self.steps.index(at) + list(FAULTS).index(fault)) % 2 == 0
        if not at_once:
            done = self.brought_up_to_date(home)
            if all(differences(done, wanted) for wanted in (self.not_done, self.up_to_date)):
                half = ", ".join(differences(done, self.not_done))
                wrong.append(f"brought up to date, it is neither done nor not done: {half}")
        again = self.site.do(self.task.words, home)
        if again.code != 0:
            return [*wrong, f"the same command again: {again}"]
        if at_once and (found := differences(state(home), self.after)):
            wrong.append(f"the same command again left another {', '.join(found)}")
        # What a broken disk does not let go of stays; what a kill did not come to is removed.
        if (at.call not in REMOVES or fault == "kill") and (left := remains(home.parent)):
            wrong.append(f"remains after the same command again: {left}")
        if found := differences(self.brought_up_to_date(home), self.up_to_date):
            wrong.append(f"brought up to date, it has another {', '.join(found)}")
        return wrong


@dataclass
class Disturbance:
    """What happens at a step: once for a step that fails as on a broken disk; a full disk stays full.

    Args:
        at: the step.
        fault: "kill", "ENOSPC" or "EIO".
    """

    at: Step
    fault: str
    done: bool = field(default=False, init=False)

    def __call__(self, step: Step) -> int | None:
        if self.done:
            return ENOSPC if self.fault == "ENOSPC" and step.call in TAKES_SPACE else None
        self.done = step == self.at
        return FAULTS[self.fault] if self.done else None


def faults_of_ending(ended: Ended, fault: str) -> list[str]:
    """What is not as it ought to be in how a disturbed command ended."""
    if fault == "kill":
        return [] if ended.code == -9 else [f"exit code {ended.code}"]
    lines = ended.errors.strip().splitlines()
    if ended.code == 0:
        return []
    if ended.code == 2 and len(lines) == 1 and lines[0].startswith("Error: "):
        return []
    return [f"exit code {ended.code}, {len(lines)} lines: {ended.errors.strip()[-400:]}"]


def points(trial: Trial, faults: Sequence[str], share: float, seed: int) -> Iterator[tuple[Step, str]]:
    """The steps to disturb, with the faults, drawn by chance; a full disk refuses what takes space alone."""
    every = [
        (step, fault)
        for step in trial.steps
        for fault in faults
        if fault != "ENOSPC" or step.call in TAKES_SPACE
    ]
    chance = random.Random(f"{seed} {trial.task.words}")
    chosen = set(chance.sample(range(len(every)), round(share * len(every))))
    yield from (point for place, point in enumerate(every) if place in chosen)


def beside(file: Path, mine: dict[str, Any], part: str) -> dict[str, Any]:
    """What a part found, added to what the file has of other parts of the same command.

    A part that the file has already changes nothing.
    """
    of_all: list[dict[str, Any]] = json.loads(file.read_text())["commands"] if file.is_file() else []
    alike = [other for other in of_all if all(other[name] == mine[name] for name in ("command", "steps"))]
    for other in alike:
        if part in other.get("parts", ()):
            return other
        if "parts" in other:
            counts = {
                fault: {of: mine[fault][of] + other[fault][of] for of in ("tried", "wrong")}
                for fault in FAULTS
            }
            told = [*other["told"], *mine["told"]]
            return {**mine, **counts, "told": told, "parts": [*other["parts"], part]}
    return {**mine, "parts": [part]}


def main() -> None:
    """Disturb commands and print what became of each."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--only", help="commands, by comma", default=",".join(TASKS))
    asked.add_argument("--faults", help="by comma", default=",".join(FAULTS))
    asked.add_argument("--share", help="of all points, drawn by chance", type=float, default=1.0)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--part", help="3/8: the third of eight parts, which the file keeps beside others")
    asked.add_argument("--json", help="where to write what was found", type=Path)
    options = asked.parse_args()
    os.environ.setdefault("MARQUEE_SPARK_SHUFFLE_PARTITIONS", "2")
    os.environ.setdefault("SPARK_SUBMIT_OPTS", SHORT_JOBS)
    tried: Counter[tuple[str, str]] = Counter()
    wrong: Counter[tuple[str, str]] = Counter()
    missed = 0
    steps: dict[str, int] = {}
    faults = options.faults.split(",")
    with tempfile.TemporaryDirectory(prefix="marquee-steps-") as folder, Forks() as forks:
        site = Site(Path(folder).resolve())
        for name in options.only.split(","):
            trial = Trial(site, TASKS[name], forks.begin)
            steps[name] = len(trial.steps)
            told: list[dict[str, Any]] = []
            chosen = list(points(trial, faults, options.share, options.seed))
            part, of = map(int, (options.part or "1/1").split("/"))
            for step, fault in chosen[part - 1 :: of]:
                began = time.monotonic()
                found = trial.disturbed(step, fault)
                if found is None:
                    print(f"{name:12}{fault:7}{step}  was not reached", flush=True)
                    missed += 1
                    continue
                tried[name, fault] += 1
                wrong[name, fault] += bool(found)
                said = "; ".join(found) or "right"
                print(f"{name:12}{fault:7}{step}  {said}  {time.monotonic() - began:.1f} s", flush=True)
                if found:
                    told.append({"fault": fault, "step": str(step), "wrong": found})
            if options.json:
                counts = {
                    fault: {"tried": tried[name, fault], "wrong": wrong[name, fault]} for fault in FAULTS
                }
                mine = {"command": name, "steps": steps[name], **counts, "told": told}
                record(
                    options.json, "commands", mine if of == 1 else beside(options.json, mine, f"{part}/{of}")
                )
    print(f"\n{'':12}{'steps':>8}" + "".join(f"{fault:>16}" for fault in faults))
    for name, number in steps.items():
        cells = (f"{tried[name, fault]:8} {wrong[name, fault]:3} wrong" for fault in faults)
        print(f"{name:12}{number:8}" + "".join(f"{cell:>18}" for cell in cells))
    print(f"{tried.total()} points tried, {wrong.total()} wrong, {missed} not reached")
    sys.exit(wrong.total() + missed > 0)


if __name__ == "__main__":
    main()
