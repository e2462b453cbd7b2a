"""A command's steps are seen one by one, and each can be its last or fail; so what is whole or absent is."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.marquee import ROOT
from tests.steps import EIO, ENOSPC, KILLED, Ended, Step, watched, why_not

pytestmark = pytest.mark.process

CHANGES = """
import os, sys
from pathlib import Path
folder = Path(sys.argv[1])
(folder / "read").read_text()
Path("/dev/null").write_text("nothing")
(folder / "deep").mkdir()
with open(folder / "deep" / "new", "wb", buffering=0) as file:
    for part in (b"one", b"two"):
        file.write(part)
    os.fsync(file.fileno())
os.rename(folder / "deep" / "new", folder / "named")
os.chdir(folder)
os.link("named", "linked")
os.unlink("named")
os.truncate("linked", 1)
"""
STEPS = (
    "mkdir deep",
    "open deep/new",
    "write deep/new",
    "write deep/new (2.)",
    "fsync deep/new",
    "rename deep/new to named",
    "link named to linked",
    "unlink named",
    "truncate linked",
)
FILE = "write_atomically(folder / 'it', 'new')"
FOLDER = """
with folder_atomically(folder / "it") as made:
    (made / "content").write_text("new")
"""
ATOMIC = """
import sys
from pathlib import Path
from common.files import folder_atomically, write_atomically
folder = Path(sys.argv[1])
"""


@pytest.fixture(scope="module", autouse=True)
def possible() -> None:
    if reason := why_not():
        pytest.skip(reason)


def run(code: str, folder: Path, judge: Callable[[Step], int | None] = lambda _: None) -> Ended:
    command = [sys.executable, "-c", code, str(folder)]
    return watched(command, folder, {**os.environ, "PYTHONPATH": str(ROOT)}, judge)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "read").write_text("")
    return tmp_path


def test_what_changes_below_the_folder_is_seen_in_order_and_nothing_else(folder: Path) -> None:
    ended = run(CHANGES, folder)
    assert ended.code == 0, ended
    assert tuple(map(str, ended.steps)) == STEPS
    assert (folder / "linked").read_text() == "o"


@pytest.mark.parametrize("last", range(len(STEPS)))
def test_a_step_at_which_it_is_killed_is_not_taken(last: int, folder: Path) -> None:
    ended = run(CHANGES, folder, lambda step: KILLED if str(step) == STEPS[last] else None)
    assert ended.code == -9
    assert tuple(map(str, ended.steps)) == STEPS[: last + 1]
    assert (folder / "deep").exists() == (last > 0)
    assert (folder / "linked").exists() == (last > STEPS.index("link named to linked"))


def test_a_step_fails_by_the_error_that_is_asked_for(folder: Path) -> None:
    ended = run(CHANGES, folder, lambda step: ENOSPC if step.call == "fsync" else None)
    assert ended.code == 1
    assert ended.errors.strip().endswith("OSError: [Errno 28] No space left on device")
    assert (folder / "deep" / "new").read_text() == "onetwo"


def replaced(code: str, folder: Path, at: Step | None = None, verdict: int = KILLED) -> tuple[Ended, str]:
    """Have something old replaced, and be disturbed at a step; what is there then."""
    folder.mkdir()
    it = folder / "it"
    if code is FOLDER:
        it.mkdir()
        it = it / "content"
    it.write_text("old")
    ended = run(ATOMIC + code, folder, lambda step: verdict if step == at else None)
    return ended, it.read_text()


@pytest.mark.parametrize("verdict", [KILLED, ENOSPC, EIO])
@pytest.mark.parametrize("code", [FILE, FOLDER])
def test_at_each_step_of_replacing_the_old_one_or_the_new_one_is_there(
    code: str, verdict: int, tmp_path: Path
) -> None:
    whole, content = replaced(code, tmp_path / "undisturbed")
    assert content == "new"
    assert len(whole.steps) >= 4
    for number, step in enumerate(whole.steps):
        ended, content = replaced(code, tmp_path / str(number), step, verdict)
        assert ended.code != 0 or content == "new", step
        assert content in ("old", "new"), step
