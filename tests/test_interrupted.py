# ruff: noqa: F811 (fixtures that another module has are named as arguments)
"""A signal ends any command by its exit code and one line; no process stays, and the next command ends right.

`python -m tests.interruptions` tries all commands at many instants.
"""

import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from common.signals import GRACE, ONE_PRESS, STATE
from tests.home_state import differences, remains, state
from tests.interruptions import ON_SPARK, Ending, interrupted
from tests.marquee import COMMAND, ROOT, in_process
from tests.small_home import dataset, home, ingest, small_home, whole  # noqa: F401
from tests.small_movielens import write_small_movielens

pytestmark = pytest.mark.process

CTRL_C, TERM = signal.SIGINT, signal.SIGTERM
CHANCE = random.Random(23)
BY_TIME = [(delay, number) for delay in (0, 0.04, 0.1, 0.3, 0.5) for number in (CTRL_C, TERM)]
"""Seconds from the start of a command that takes one."""
BY_LINE = {
    "ADD": ("▸ ingest", 0.1, TERM),
    "pipeline run --full": ("▸ features", CHANCE.random() / 5, CTRL_C),
    "features materialize": ("▸ materialize", CHANCE.random() / 5, CTRL_C),
    "features push --user 1 --movie 1 --rating 4 --at 2021-01-01": ("▸ push", CHANCE.random() / 5, CTRL_C),
    "DATASET": ("▸ dataset", 0.05, TERM),
    "audit leakage": ("▸ leakage", CHANCE.random(), CTRL_C),
    "audit consistency --events 60 --instants 2": ("▸ consistency", CHANCE.random(), CTRL_C),
    "train gbt": ("▸ train gbt", 0.3 + CHANCE.random(), CTRL_C),
    "tune gbt --trials 3": ("▸ tune gbt", 1 + CHANCE.random(), CTRL_C),
    "data synth --ratings 3000 --users 100 --movies 200": ("▸ generate", 0.2 + CHANCE.random(), CTRL_C),
    "data synth --ratings 3001 --users 100 --movies 200": ("▸ generate", 0.2 + CHANCE.random(), TERM),
}
"""The first line to wait for, seconds from it, and the signal."""


@pytest.mark.parametrize(("delay", "number"), BY_TIME)
def test_a_command_ends_by_a_signal_at_any_instant(delay: float, number: int, whole: Path) -> None:
    ending = interrupted([*COMMAND, "data", "describe"], whole, number, delay)
    assert ending.early or not ending.faults(number), ending


@pytest.mark.parametrize("words", BY_LINE)
def test_an_interrupted_command_leaves_nothing_half_done(words: str, whole: Path, home: Path) -> None:
    after, delay, number = BY_LINE[words]
    undisturbed = Path(shutil.copytree(whole, home.with_name("undisturbed") / "home"))
    for each in (home, undisturbed):
        shutil.copy(whole.with_name("labels.parquet"), each.parent)
        if words == "features materialize":
            (each / "online.db").unlink()
    assert in_process(undisturbed, *typed(words, undisturbed)).code == 0
    ending = interrupted([*COMMAND, *typed(words, home)], home, number, delay, after)
    assert ending.early or not ending.faults(number), ending
    assert in_process(home, *typed(words, home)).code == 0
    assert differences(state(home), state(undisturbed)) == []
    assert remains(home) == []


def typed(words: str, home: Path) -> list[str]:
    """A command's words for a home."""
    if words == "ADD":
        more = home.with_name("more") / "data"
        if not more.exists():
            write_small_movielens(more.parent, users=30, movies=40, seed=1)
        return [*ingest(more).split(), "--add"]
    return (dataset(home) if words == "DATASET" else words).split()


@pytest.mark.parametrize(("delay", "number"), [(0.6 + 1.2 * CHANCE.random(), CTRL_C), (1.0, TERM)])
def test_java_ends_with_the_command_though_it_was_only_starting(
    delay: float, number: int, home: Path
) -> None:
    ending = interrupted([*COMMAND, "pipeline", "maintain"], home, number, delay, "▸ Spark")
    assert not ending.early
    assert not ending.faults(number), ending


def test_java_ends_with_the_command_in_the_midst_of_a_job(home: Path) -> None:
    command = [sys.executable, "-c", ON_SPARK, "pipeline", "run", "--full"]
    ending = interrupted(command, home, CTRL_C, 5 + CHANCE.random(), "▸ features")
    assert ending.early or not ending.faults(CTRL_C), ending


# --- what answers signals ---------------------------------------------------------------------------------


def started(body: str, **options: object) -> subprocess.Popen[str]:
    """A program that takes signals, prints "ready" when it has, and does something."""
    code = f"import atexit, time\nfrom common import signals\nsignals.take()\n{body}"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(CTRL_C, options.get("answer", signal.default_int_handler)),  # type: ignore[arg-type]
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def ended(process: subprocess.Popen[str], began: float) -> Ending:
    _, errors = process.communicate(timeout=60)
    return Ending(process.returncode, tuple(errors.splitlines()), time.monotonic() - began, ())


SWALLOWS = """
said = ["ready"]
while True:
    try:
        while said:
            print(said.pop())
        time.sleep(60)
    except KeyboardInterrupt:
        pass
"""


def test_work_that_does_not_stop_is_ended_after_a_while() -> None:
    process, began = started(SWALLOWS), time.monotonic()
    process.send_signal(TERM)
    ending = ended(process, began)
    assert not ending.faults(TERM)
    assert ending.seconds > GRACE - 0.1


def test_a_second_signal_ends_it_at_once() -> None:
    process, began = started(SWALLOWS), time.monotonic()
    process.send_signal(CTRL_C)
    time.sleep(ONE_PRESS + 0.1)
    process.send_signal(CTRL_C)
    ending = ended(process, began)
    assert not ending.faults(CTRL_C)
    assert ending.seconds < GRACE


def test_one_key_press_that_comes_twice_leaves_time_to_clean_up() -> None:
    process = started(
        """
try:
    print("ready")
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(1)
    print("clean")
signals.leave(0)
"""
    )
    for _ in range(3):
        process.send_signal(CTRL_C)
        time.sleep(0.1)
    output, errors = process.communicate(timeout=60)
    assert output == "clean\n"
    assert errors == f"Interrupted: {STATE}\n"
    assert process.returncode == 130


OTHERS = {
    "code in a string": """
exec('print("ready")\\ntime.sleep(60)')
""",
    "a thread that goes on": """
import threading
threading.Thread(target=time.sleep, args=(60,)).start()
print("ready")
time.sleep(60)
""",
    "an error that hides it": """
try:
    print("ready")
    time.sleep(60)
except KeyboardInterrupt:
    print(1 / 0)
""",
    "an object that is let go": """
class Slow:
    def __del__(self):
        print("ready")
        time.sleep(60)
Slow()
time.sleep(60)
""",
}


@pytest.mark.parametrize("case", OTHERS)
def test_whatever_goes_on_the_end_is_one_line_and_the_code(case: str) -> None:
    work = textwrap.indent(OTHERS[case], "    ")
    program = f"try:\n{work}\nexcept BaseException:\n    pass\nsignals.leave(0)"
    processes = {number: started(program) for number in (CTRL_C, TERM)}
    began = time.monotonic()
    for number, process in processes.items():
        process.send_signal(number)
    for number, process in processes.items():
        assert not ended(process, began).faults(number)


@pytest.mark.parametrize("number", [CTRL_C, TERM])
def test_a_command_whose_work_is_over_ends_at_once(number: int) -> None:
    process = started(
        "atexit.register(lambda: (print('ready'), time.sleep(60)))\nsignals.work_ends()\nsignals.leave(0)"
    )
    began = time.monotonic()
    process.send_signal(number)
    ending = ended(process, began)
    assert not ending.faults(number)
    assert ending.seconds < 1


@pytest.mark.parametrize("number", [CTRL_C, TERM])
def test_a_signal_while_python_takes_itself_apart_changes_nothing(number: int) -> None:
    process = started(
        """
import os
class Last:
    def __del__(self, say=os.write, wait=time.sleep):
        say(1, b"ready\\n")
        wait(1)
last = Last()
signals.leave(2)"""
    )
    process.send_signal(number)
    assert process.wait(GRACE) == 2
    assert process.stderr is not None and process.stderr.read() == ""


def test_ctrl_c_that_is_ignored_stays_so() -> None:
    """As for what a shell runs behind."""
    process = started("print('ready')\ntime.sleep(1)\nsignals.leave(0)", answer=signal.SIG_IGN)
    process.send_signal(CTRL_C)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


AT_THE_FIRST_FILE = """
import os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)
del sys.modules["signal"]

class Interrupts:
    def find_spec(name, *_):
        if not name.startswith("cli"):
            os.kill(os.getpid(), 2)

sys.meta_path.insert(2, Interrupts)  # after what finds modules that are in no file
import cli.main
"""


def test_ctrl_c_while_the_first_file_is_read_leaves_no_traceback() -> None:
    command = [sys.executable, "-c", AT_THE_FIRST_FILE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
