"""The command imports Feast without run-time checks of its types; else Feast is as it is."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.process

CODE = """
import sys
sys.argv = ["marquee"]
import cli.commands
assert "feast" not in sys.modules and "typeguard" not in sys.modules
from feast import Entity, ValueType
entity = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64, description=7)
assert Entity.__init__.__code__.co_filename.endswith("entity.py")
import typeguard

assert typeguard.check_type(1, int) == 1  # whoever calls it is served
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_types_are_left_unchecked_by_the_command() -> None:
    done = run(CODE)
    assert done.returncode == 0, done.stderr


def test_feast_by_itself_checks_them() -> None:
    done = run(CODE.replace("import cli.commands\n", ""))
    assert "TypeCheckError" in done.stderr
