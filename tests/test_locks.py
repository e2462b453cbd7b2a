"""A lock is one process's at a time, says whose, and ends with its process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.home import writing
from common.errors import MarqueeError
from common.locks import BusyError, locked

pytestmark = pytest.mark.process

HOLD = """
import sys
from pathlib import Path
from common.locks import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(file: Path) -> subprocess.Popen[str]:
    """A process that holds a lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_another_process_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    file = tmp_path / "deep" / ".lock"
    with holder(file) as process:
        with pytest.raises(BusyError) as caught, locked(file):
            pass
        assert caught.value.holder == str(process.pid)
        process.communicate("")
    with locked(file):
        assert file.read_text() == str(os.getpid())


def test_a_killed_process_leaves_no_lock_behind(tmp_path: Path) -> None:
    file = tmp_path / ".lock"
    with holder(file) as process:
        process.kill()
    with locked(file):
        pass


def test_who_comes_next_is_told_of_one_that_was_killed_or_failed(tmp_path: Path) -> None:
    file = tmp_path / ".lock"

    def told() -> bool:
        with locked(file) as cut_off:
            return cut_off

    with holder(file) as process:
        process.communicate("")
    assert not told()
    with holder(file) as process:
        process.kill()
    assert told()
    assert not told()
    with pytest.raises(OSError, match="mine"), locked(file):
        raise OSError("mine")
    assert told()


def test_who_writes_in_a_home_next_removes_what_a_killed_one_had_not_finished(tmp_path: Path) -> None:
    log = tmp_path / "lake" / "ratings" / "_delta_log"
    log.mkdir(parents=True)
    (tmp_path / ".models.abc.partial").mkdir()
    unfinished = (
        tmp_path / ".models.abc.partial" / "weights",
        tmp_path / ".source.json.abc.partial",
        log / "00000000000000000001.json#1",
        log / ".00000000000000000001.json.abc.tmp",
        log.with_name("part-0.parquet#2"),
    )
    whole = (log / "00000000000000000000.json", log.with_name("part-0.parquet"), tmp_path / "source.json")
    for file in (*unfinished, *whole):
        file.write_text("")
    with holder(tmp_path / ".lock") as process:
        process.communicate("")
    with writing(tmp_path):
        assert all(file.exists() for file in unfinished), "nobody was killed"
    with holder(tmp_path / ".lock") as process:
        process.kill()
    with writing(tmp_path):
        left = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"]
    assert sorted(left) == sorted(whole)


def test_who_waits_gets_it_when_the_other_ends(tmp_path: Path) -> None:
    file = tmp_path / ".lock"
    with holder(file) as process:
        waiting = subprocess.Popen(
            [sys.executable, "-c", HOLD.replace("sys.argv[1])", "sys.argv[1]), wait=True"), str(file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(timeout=1)
        process.communicate("")
    assert waiting.communicate(timeout=30)[0] == "held\n"


def test_an_error_of_the_body_is_the_bodys_and_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(BusyError, match="other"), locked(tmp_path / ".lock"):
        raise BusyError("other")
    with pytest.raises(OSError, match="mine"), writing(tmp_path):
        raise OSError("mine")
    with locked(tmp_path / ".lock"):
        pass


def test_a_home_that_is_being_written_names_the_writer(tmp_path: Path) -> None:
    with holder(tmp_path / ".lock") as process:
        with pytest.raises(MarqueeError, match=rf"process {process.pid}\) is writing in"), writing(tmp_path):
            pass
        process.communicate("")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MarqueeError, match="Cannot write"), locked(tmp_path / "file" / ".lock"):
        pass
