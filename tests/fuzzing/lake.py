"""A home on which the whole road was gone, for all tries that need one."""

import shutil
from functools import cache
from pathlib import Path

from tests.folders import until_exit
from tests.promises.home import template


@cache
def home() -> Path:
    """A copy of the home of `tests.promises`, which tries may write to."""
    folder = until_exit("fuzzing-home")
    return Path(shutil.copytree(template(), folder / "home"))


def lake() -> Path:
    """Its lake."""
    return home() / "lake"
