"""The wheel works by itself: in an environment without this repository, from another folder."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.marquee import ROOT
from tests.test_architecture import ALLOWED

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder: the wheel, and the packages that it depends on, but not this repository."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    purelib, scripts = (
        Path(subprocess.check_output([folder / "bin/python", "-c", ask], text=True).strip())
        for ask in (
            "import sysconfig; print(sysconfig.get_path('purelib'))",
            "import sysconfig; print(sysconfig.get_path('scripts'))",
        )
    )
    # A path that a .pth file adds is not searched for further ones, such as that of an editable install.
    (purelib / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = ["uv", "pip", "install", "--offline", "--no-deps", "--python", str(folder), str(wheel)]
    subprocess.run([sys.executable, "-m", *install], check=True, capture_output=True)
    assert (scripts / "marquee").is_file()
    return folder


def run(environment: Path, folder: Path, *command: str) -> str:
    """What a command of the environment says on standard output."""
    done = subprocess.run(
        [environment / "bin" / command[0], *command[1:]],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    expected = {
        file.relative_to(ROOT).as_posix()
        for package in ALLOWED
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == expected
    assert {"feature_repo/feature_store.yaml", "feature_repo/.feastignore"} <= held


def test_every_module_is_imported_from_the_wheel(environment: Path, tmp_path: Path) -> None:
    every = (
        "import importlib, pkgutil, sys\n"
        f"assert {str(ROOT)!r} not in sys.path\n"
        f"for package in {sorted(ALLOWED)}:\n"
        "    found = importlib.import_module(package)\n"
        "    for module in pkgutil.walk_packages(found.__path__, package + '.'):\n"
        "        file = importlib.import_module(module.name).__file__\n"
        "        assert file.startswith(sys.prefix), file\n"
        "from app.train import configuration\n"
        "assert configuration('din', 'paper'), 'no committed configuration'\n"
    )
    run(environment, tmp_path, "python", "-c", every)


def test_command_of_the_wheel_publishes_the_definitions(environment: Path, tmp_path: Path) -> None:
    said = run(environment, tmp_path, "marquee", "features", "apply", "--home", str(tmp_path / "home"))
    assert "changes in the registry" in said
