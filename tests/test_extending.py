"""The examples of `docs/extending.md`, run as they stand there, in a copy of the sources."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.marquee import ROOT
from tests.test_architecture import ALLOWED

GUIDE = ROOT / "docs" / "extending.md"


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources after each file was written, and each difference applied, that the guide gives."""
    folder = tmp_path_factory.mktemp("extended")
    for package in (*ALLOWED, "tests"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for kind, file, text in re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", GUIDE.read_text(), re.M | re.S):
        if kind == "diff":
            subprocess.run(["git", "apply", "-"], cwd=folder, input=text, text=True, check=True)
        elif file:
            (folder / file).write_text(text)
    return folder


def run(folder: Path, *arguments: str) -> str:
    """What this Python, with the extended sources before all others, says on standard output."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.process
def test_feature_of_the_guide_is_published_and_read_by_models(extended: Path) -> None:
    run(extended, "-m", "tests.extended_feature")


@pytest.mark.process
def test_model_of_the_guide_passes_the_suite_of_every_network(extended: Path) -> None:
    chosen = ["tests/test_models.py", "-k", "fm and not deepfm and not ablations"]
    said = run(extended, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen)
    assert re.search(r"[1-9]\d* passed", said)


@pytest.mark.process
def test_model_of_the_guide_has_its_committed_configuration(extended: Path) -> None:
    run(extended, "-c", "from app.train import configuration\nassert configuration('fm', 'honest')")
