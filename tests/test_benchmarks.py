"""Benchmarks refuse what they cannot measure, before they measure anything."""

import subprocess
import sys

import pytest

from tests.marquee import ROOT

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    ("script", "option", "known"),
    [
        ("feature_build", "--contenders", "polars"),
        ("materialize", "--contenders", "bare write"),
        ("pit_join", "--contenders", "duckdb"),
        ("road", "--stages", "materialize"),
        ("train_cpu", "--contenders", "deepctr"),
        ("train_gpu", "--models", "din, mmdin"),
    ],
)
def test_unknown_name_is_refused_with_those_there_are(script: str, option: str, known: str) -> None:
    done = subprocess.run(
        [sys.executable, f"benchmarks/{script}.py", option, "foo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    sentence = done.stderr.splitlines()[-1]
    assert f"argument {option}: there is no 'foo'" in sentence
    assert known in sentence
