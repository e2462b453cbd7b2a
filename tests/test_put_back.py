# ruff: noqa: F811 (fixtures that another module has are named as arguments)
"""A lake, or what is online, that went back to an earlier state is told from what came since, though versions
count on."""

import contextlib
import io
import shutil
from pathlib import Path

import pytest

from common.errors import MarqueeError
from lake.tables import commit_digests, newest_version, require_versions
from tests.home_state import differences, online_differs, state
from tests.marquee import content, in_process
from tests.small_home import home, whole  # noqa: F401


def run(home: Path, words: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        done = in_process(home, *words.split())
    assert done.code == 0, done


def push(home: Path, user: int) -> None:
    run(home, f"features push --user {user} --movie 2 --rating 4 --at 2026-01-02T03:04:05")


def assert_right(home: Path) -> None:
    """Tables are those of a full run, and online is what they say."""
    assert online_differs(home) == []
    found = state(home)
    run(home, "pipeline run --full")
    assert differences(found, state(home)) == []


def test_a_lake_that_was_put_back_before_another_push(home: Path) -> None:
    copy = Path(shutil.copytree(home / "lake", home.with_name("copy")))
    push(home, 1)
    shutil.rmtree(home / "lake")
    copy.rename(home / "lake")
    push(home, 2)
    run(home, "features materialize")
    assert_right(home)


def test_events_whose_newest_commit_was_lost_before_another_push(home: Path) -> None:
    push(home, 3)
    stored = content(home, "ratings")
    max((home / "lake" / "ratings" / "_delta_log").glob("*.json")).unlink()
    assert len(content(home, "ratings")) == len(stored) - 1
    push(home, 4)
    assert_right(home)


def test_online_rows_of_a_copy_that_went_its_own_way(home: Path) -> None:
    other = Path(shutil.copytree(home, home.with_name("other")))
    push(home, 1)
    push(other, 2)
    shutil.copy(other / "online.db", home)
    run(home, "features materialize")
    assert_right(home)


def test_a_recorded_version_is_told_from_another_of_its_number(home: Path) -> None:
    lake = home / "lake"
    push(home, 1)
    versions = {"ratings": newest_version(lake, "ratings")}
    commits = commit_digests(lake, versions)
    require_versions(lake, versions, "The run", commits)
    max((lake / "ratings" / "_delta_log").glob("*.json")).unlink()
    push(home, 2)
    assert newest_version(lake, "ratings") == versions["ratings"]
    require_versions(lake, versions, "The run")
    with pytest.raises(MarqueeError, match=r"of table ratings in .* is not the one that The run was made of"):
        require_versions(lake, versions, "The run", commits)
