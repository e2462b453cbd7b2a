"""The examples of `docs/extending.md`, run as they stand there, in a copy of the sources."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path
from typing import get_args

import pytest

from feature_repo.define.column import Column
from feature_repo.define.operation import Operation
from tests.marquee import ROOT
from tests.test_architecture import ALLOWED
from tests.toy_features import toy_home

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


def call(kind: type) -> str:
    """How a declaration is written: its arguments, with their defaults."""
    told = [f.name if f.default is MISSING else f"{f.name}={f.default!r}" for f in fields(kind)]
    return f"{kind.__name__}({', '.join(told)})"


def test_guide_gives_the_arguments_of_operations_and_of_columns() -> None:
    guide = GUIDE.read_text()
    for kind in get_args(Operation):
        assert f"`{call(kind)}`" in guide
    _, table = guide.split("| argument of `Column`")
    rows = [line.split("|")[1:3] for line in table.split("\n\n")[0].splitlines()[2:]]
    told = {name: default.strip(" `") for names, default in rows for name in re.findall(r"\w+", names)}
    for field in fields(Column):
        default = "" if field.default is MISSING else str(field.default) or '""'
        assert told.pop(field.name) == default, field.name
    assert not told


@pytest.mark.process
def test_feature_of_the_guide_is_published_and_read_by_models(extended: Path) -> None:
    run(extended, "-m", "tests.extended_feature")


@pytest.mark.process
def test_model_of_the_guide_passes_the_suite_of_every_network(extended: Path) -> None:
    chosen = ["tests/test_models.py", "-k", "fwfm and not ablations"]
    said = run(extended, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen)
    assert re.search(r"[1-9]\d* passed", said)


@pytest.mark.process
def test_own_model_of_the_guide_is_trained_and_repeated_by_its_path(extended: Path, tmp_path: Path) -> None:
    home = toy_home(tmp_path / "home", ratings=300)
    (tmp_path / "here").mkdir()
    for name in ("my_model.py", "linear.honest.yaml"):
        shutil.move(extended / name, tmp_path / "here")

    def marquee(command: str) -> str:
        said = subprocess.run(
            [sys.executable, "-P", "-m", "cli.main", *command.split(), "--home", str(home)],
            cwd=tmp_path / "here",
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 0, said.stderr
        return said.stdout

    marquee("train my_model:ENTRY --service din_v1")
    manifest = json.loads((home / "models" / "linear" / "manifest.json").read_text())
    assert manifest["recipe"]["model"] == "my_model:ENTRY"
    assert manifest["recipe"]["config"]["training"]["learning_rate"] == 0.01
    assert "identical, to the last bit" in marquee(f"train --like {home / 'models' / 'linear'}")


@pytest.mark.process
def test_model_of_the_guide_has_its_committed_configuration(extended: Path) -> None:
    run(extended, "-c", "from app.train import configuration\nassert configuration('fwfm', 'honest')")
