"""Interrupting commands, and judging how they end.

`python -m tests.interruptions` does so for every command, by Ctrl-C and by SIGTERM, at five instants each
that are spread over its run, and says how many ended right; `tests/test_interrupted.py` tries a few of them.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from common.signals import GRACE, STATE, WORDS
from tests.home_state import differences, made_ready, remains, state
from tests.marquee import COMMAND, ROOT, environment
from tests.reliability import record
from tests.small_movielens import write_small_movielens

USERS, MOVIES = 60, 80
MARK = "MARQUEE_TEST_PROCESSES"
"""A variable by which all processes of a command are known, whoever their parent is."""
PATIENCE = 3.0
"""Seconds in which children must have ended, too."""
AT_ITS_END = 0.1
"""Seconds that a command whose work is done takes to end."""
ON_SPARK = "import lake.session\nlake.session.FEW = 0\nfrom cli.main import main\nmain()"
"""The command where few rows are many."""


@dataclass(frozen=True)
class Task:
    """A command to be interrupted.

    Args:
        words: as they are typed; DATA, MORE, LABELS, NEW and OUT stand for files, MODEL for a trained model.
        spark: let Spark do it, though rows are few.
        before: what to do to the home first.
    """

    words: str
    spark: bool = False
    before: Sequence[str] = ()

    @property
    def name(self) -> str:
        """As people call it."""
        return f"{self.words} on Spark" if self.spark else self.words


ADD = "pipeline ingest --add --source movielens --path MORE"
TASKS = (
    Task("data synth --ratings 4000 --users 100 --movies 200"),
    Task("data describe"),
    Task("pipeline ingest --source movielens --path DATA --posters POSTERS"),
    Task("pipeline ingest --source movielens --path DATA", spark=True),
    Task(ADD),
    Task("pipeline run", before=(ADD,)),
    Task("pipeline run --full", spark=True),
    Task("pipeline maintain ratings user_rating_stats --retain-days 0", before=(ADD,)),
    Task("validate"),
    Task("validate", spark=True),
    Task("features plan"),
    Task("features apply", before=("rm registry.db",)),
    Task("features materialize", before=("rm online.db",)),
    Task("features push NEW"),
    Task("features push NEW", spark=True),
    Task("features lookup --user 1 --movie 1"),
    Task("features dataset --service mmdin_v1 --labels LABELS --out OUT"),
    Task("audit leakage"),
    Task("audit consistency --events 60 --instants 2"),
    Task("train gbt"),
    Task("train din"),
    Task("train --like MODEL"),
    Task("tune gbt --trials 3"),
    Task("evaluate MODEL"),
    Task("report"),
    Task("reproduce mmdin --source movielens --path DATA --seeds 1 --protocols honest"),
    Task("run --source movielens --path DATA --models gbt"),
    Task("doctor"),
)


@dataclass(frozen=True)
class Ending:
    """How an interrupted command ended.

    Args:
        code: its exit code, negative for that of a signal that ended it.
        errors: lines on standard error.
        seconds: from the signal to the end.
        left: processes that did not end.
        early: whether it was over before the signal.
    """

    code: int
    errors: tuple[str, ...]
    seconds: float
    left: tuple[str, ...]
    early: bool = False
    spoke: bool = False
    """Whether a line of it had come before the signal."""

    def is_young(self, number: int) -> bool:
        """Whether the command ended before any code of ours ran: the system ends it, without a line, and the
        interpreter, while it starts, with a traceback of its own."""
        if self.spoke:
            return False
        if not self.errors:
            return self.code == -number
        ours = any(place in line for place in (str(ROOT), "<string>") for line in self.errors)
        ended = self.code in (1, -signal.SIGINT) and self.errors[-1:] == (KeyboardInterrupt.__name__,)
        return number == signal.SIGINT and ended and not ours

    def faults(self, number: int) -> list[str]:
        """What is not as it ought to be after this signal."""
        found = []
        young = self.is_young(number)
        if not young and self.code != 128 + number:
            found.append(f"exit code {self.code}")
        if not young and self.errors != (f"{WORDS[number]}: {STATE}",):
            found.append(f"{len(self.errors)} lines: {' | '.join(self.errors)[-300:]}")
        if self.seconds > GRACE + 2:
            found.append(f"{self.seconds:.1f} s until it ended")
        return found + [f"left: {process}" for process in self.left]


def interrupted(command: Sequence[str], home: Path, number: int, delay: float, after: str = "") -> Ending:
    """Start a command, and send it a signal.

    Ctrl-C goes to all of its processes, as a terminal sends it, SIGTERM to the command alone.

    Args:
        delay: seconds from the start, or from the first line that begins with `after`.
    """
    mark = uuid4().hex
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**environment(home), MARK: mark, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        # Whoever started us may have ignored Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        for line in process.stdout if after else ():
            if line.startswith(after):
                break
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            pass
        else:
            still_running(mark)  # the JVM removes its files when the command has ended
            return Ending(process.returncode, (), 0, (), early=True)
        began = time.monotonic()
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        is_deaf = ignores(process.pid, number)
        _, errors = process.communicate(timeout=120)
        seconds = time.monotonic() - began
    # It may have been at its very end, which takes Python a while on a busy machine: then it ignores signals.
    over = process.returncode == 0 and not errors and (is_deaf or seconds < AT_ITS_END)
    left = still_running(mark)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    told = tuple(errors.strip().splitlines())
    return Ending(process.returncode, told, seconds, tuple(left.values()), early=over, spoke=bool(after))


def ignores(pid: int, number: int) -> bool:
    """Whether a process ignores a signal."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next((line.split()[1] for line in lines if line.startswith("SigIgn:")), "0")
    return bool(int(mask, 16) >> (number - 1) & 1)


def still_running(mark: str) -> dict[int, str]:
    """The processes that have a mark and do not end in time."""
    until = time.monotonic() + PATIENCE
    while (left := processes(mark)) and time.monotonic() < until:
        time.sleep(0.1)
    return left


class Site:
    """A home in which everything was done once, and copies of it to do things to.

    Args:
        folder: for all of it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        data, posters = write_small_movielens(folder / "data", USERS, MOVIES)
        more, _ = write_small_movielens(folder / "more", USERS, MOVIES, seed=1)
        self.places = {
            "DATA": data,
            "POSTERS": posters,
            "MORE": more,
            "LABELS": folder / "labels.parquet",
            "NEW": folder / "new.csv",
        }
        shutil.copy(data / "movies.csv", more / "movies.csv")
        _write_labels(self.places["LABELS"])
        rows = "".join(f"{user},{1 + user % MOVIES},4.5,{1_400_000_000 + user}\n" for user in range(1, 30))
        self.places["NEW"].write_text(f"userId,movieId,rating,timestamp\n{rows}")
        self.home = folder / "home"
        self.must("run --source movielens --path DATA --posters POSTERS --models gbt", self.home)

    def copy(self, before: Sequence[str] = ()) -> Path:
        """A copy of the home, to which something is done first."""
        home = self.folder / f"copy-{uuid4().hex[:8]}" / "home"
        shutil.copytree(self.home, home)
        return made_ready(home, before, self.must)

    def must(self, words: str, home: Path) -> None:
        """A command that nothing disturbs."""
        done = self.run(words, home)
        assert done.returncode == 0, done.stderr

    def command(self, words: str, home: Path, spark: bool) -> list[str]:
        """A command as the system takes it."""
        places = {**self.places, "OUT": home.parent / "out.parquet"}
        if "MODEL" in words:
            (places["MODEL"],) = self.home.glob("runs/*/models/gbt")
        typed = [str(places.get(word, word)) for word in words.split()]
        return [*([sys.executable, "-c", ON_SPARK] if spark else COMMAND), *typed]

    def run(self, words: str, home: Path, spark: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(words, home, spark),
            cwd=ROOT,
            env=environment(home),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )


def _write_labels(file: Path) -> None:
    users = [1 + i % USERS for i in range(200)]
    movies = [1 + i % MOVIES for i in range(200)]
    at = pa.array([datetime(2010, 1, 1, tzinfo=UTC)] * 200, pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"user_id": users, "movie_id": movies, "event_timestamp": at}), file)


def processes(mark: str) -> dict[int, str]:
    """The processes that have a mark in their environment, with their command lines."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found[int(folder.name)] = words[:120] or "a process that has ended"
        except OSError:
            continue
    return {pid: words for pid, words in found.items() if words != "a process that has ended"}


@dataclass
class Trial:
    """A task, undisturbed once, to be interrupted many times.

    Args:
        site: where.
        task: which.
    """

    site: Site
    task: Task

    def __post_init__(self) -> None:
        home = self.site.copy(self.task.before)
        began = time.monotonic()
        done = self.site.run(self.task.words, home, self.task.spark)
        self.seconds = time.monotonic() - began
        assert done.returncode == 0 or self.task.words == "doctor", f"{self.task.name}: {done.stderr}"
        self.code = done.returncode
        self.expected = state(home)
        shutil.rmtree(home.parent, ignore_errors=True)  # the JVM may be removing its files, too

    def interrupted(self, number: int, share: float) -> list[str]:
        """Interrupt the task at a share of its run, then run it again; all that is not right.

        Returns:
            "over" alone where it ended before the signal.
        """
        home = self.site.copy(self.task.before)
        try:
            command = self.site.command(self.task.words, home, self.task.spark)
            ending = interrupted(command, home, number, share * self.seconds)
            if ending.early:
                return ["over"]
            faults = ending.faults(number)
            again = self.site.run(self.task.words, home, self.task.spark)
            if again.returncode != self.code:
                faults.append(f"the next command: {again.returncode}, {again.stderr[-300:]}")
            elif found := differences(state(home), self.expected):
                faults.append(f"the next command left another {', '.join(found)}")
            if left := remains(home):
                faults.append(f"remains: {left}")
            return faults
        finally:
            shutil.rmtree(home.parent, ignore_errors=True)  # the JVM may be removing its files, too


def trials(
    site: Site, tasks: Sequence[Task], signals: Sequence[int], instants: int, seed: int
) -> Iterator[tuple[str, int, float, list[str]]]:
    """Interrupt each task by each signal at instants spread over its run, by chance within each part.

    Yields:
        The task's name, the signal, the share of the run, and what was not right.
    """
    for task in tasks:
        chance = random.Random(f"{seed} {task.name}")
        trial = Trial(site, task)
        for number in signals:
            for part in range(instants):
                share = (part + chance.random()) / instants
                faults = trial.interrupted(number, share)
                while faults == ["over"] and share > 0.01:
                    share *= 0.8  # the machine is quicker than it was
                    faults = trial.interrupted(number, share)
                yield task.name, number, share, faults


def main() -> None:
    """Interrupt commands and print what became of each."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--only", help="Tasks whose name holds one of these words, by comma.", default="")
    asked.add_argument("--instants", type=int, default=5)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--json", help="Where to write what was found, beside other tasks.", type=Path)
    options = asked.parse_args()
    words = options.only.split(",")
    tasks = [task for task in TASKS if any(word in task.name for word in words)]
    tried: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="marquee-interruptions-") as folder:
        numbers = (signal.SIGINT, signal.SIGTERM)
        for name, number, share, faults in trials(
            Site(Path(folder)), tasks, numbers, options.instants, options.seed
        ):
            tried[name] += 1
            wrong[name] += bool(faults)
            if options.json:
                mine = {"tried": tried[name], "wrong": wrong[name], "seed": options.seed}
                record(options.json, "commands", {"command": name, **mine})
            said = "; ".join(faults) or "right"
            print(f"{name:70} {signal.Signals(number).name:8} at {share:4.0%}  {said}", flush=True)
    print(f"{tried.total()} interrupted, {wrong.total()} wrong")
    sys.exit(wrong.total() > 0)


if __name__ == "__main__":
    main()
