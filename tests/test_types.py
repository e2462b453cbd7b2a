"""The type checker has nothing to say; it is asked among the tests, beside which it leaves a core to them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.marquee import ROOT

pytestmark = pytest.mark.process


def test_types_agree() -> None:
    program = Path(sys.executable).with_name("mypy")
    done = subprocess.run([program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
