"""The arrows between packages are those of the architecture, and no others."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ALLOWED = {
    "common": set[str](),
    "lake": {"common"},
    "feature_repo": {"common", "lake"},
    "pipelines": {"common", "lake", "feature_repo"},
    "validation": {"common", "lake", "feature_repo"},
    "training": {"common", "lake", "feature_repo"},
    "app": {"common", "lake", "feature_repo", "pipelines", "validation", "training"},
    "serving": {"common", "lake", "feature_repo", "pipelines", "validation", "training", "app"},
    "cli": {"common", "lake", "feature_repo", "pipelines", "validation", "training", "app", "serving"},
}
FORBIDDEN = {
    "training": {"pyspark", "delta"},
    "pipelines": {"tensorflow", "keras", "jax", "torch", "sklearn"},
}
LATE = {"app": {"pyspark", "delta", "pipelines"}}
"""What a package may import for types and in function bodies only: looking up features needs no Spark."""


def modules_of(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports_of(module: Path) -> Iterator[str]:
    """Every module imported anywhere in a file; `from a import b` counts as `a.b`."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def loaded_by(module: Path) -> Iterator[str]:
    """Every module imported when a file is."""
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


def within(name: str, allowed: set[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in allowed)


@pytest.mark.parametrize("package", ALLOWED)
def test_packages_import_only_along_the_allowed_arrows(package: str) -> None:
    assert modules_of(package), f"no modules in {package}"
    for module in modules_of(package):
        for name in imports_of(module):
            if name.split(".")[0] in ALLOWED and not within(name, {package}):
                assert within(name, ALLOWED[package]), f"{module.relative_to(ROOT)} imports {name}"
            assert not within(name, FORBIDDEN.get(package, set())), f"{module.relative_to(ROOT)}: {name}"


@pytest.mark.parametrize("package", LATE)
def test_what_is_heavy_is_imported_late(package: str) -> None:
    for module in modules_of(package):
        for name in loaded_by(module):
            assert not within(name, LATE[package]), f"{module.relative_to(ROOT)} imports {name} when loaded"


def test_every_package_of_the_distribution_is_held_to_the_rules() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert packages == set(ALLOWED)


@pytest.mark.parametrize("folder", ["define", "domains"])
def test_declarations_use_the_standard_library_only(folder: str) -> None:
    for module in modules_of(f"feature_repo/{folder}"):
        for name in imports_of(module):
            allowed = {"feature_repo.define"} | ({"feature_repo.domains"} if folder == "domains" else set())
            assert name.split(".")[0] in sys.stdlib_module_names or within(name, allowed), name


def test_help_imports_no_heavy_library() -> None:
    heavy = (
        "{'pyspark', 'tensorflow', 'keras', 'feast', 'great_expectations', 'pandas', 'duckdb', 'pydantic'}"
    )
    check = (
        "import sys\nfrom typer.testing import CliRunner\nfrom cli.main import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        f"sys.exit(str(sorted({heavy} & set(sys.modules))) if {heavy} & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
