"""The house keeps to its plan: arrows, no circles, small files, and a domain named at the edge only."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()

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

EDGE = ("app/", "cli/", "feature_repo/definitions.py", "pipelines/sources/", "training/papers/")
"""Who may name a domain; all others take one as an argument."""
MOST_LINES = 400

DOMAIN_WORDS = {
    *("movie", "movies", "movielens", "film", "films", "imdb", "tmdb", "genre", "genres"),
    *("poster", "posters", "rating", "ratings", "liked", "likes", "stars"),
}
SPEAKS_OF_MOVIES = (
    # The declarations themselves, what reads their files, and the papers about them.
    "feature_repo/definitions.py",
    "feature_repo/domains/",
    "pipelines/sources/",
    "training/papers/",
    # Options that people type, and what stands behind them.
    "app/domains.py",
    "app/sources.py",
    "cli/data.py",
    "cli/features.py",
    "cli/commands.py",
    "cli/options.py",
    "cli/pipeline.py",
    "cli/reproduce.py",
    "cli/run.py",
)
"""Where a word of the movies may stand."""
PAPERS_CONFIGURATIONS = tuple(f"training/configs/{name}.yaml" for name in ("*.paper", "*.iarm", "mmdin.*"))
"""These say on which data they were found, and those of the papers were found on movies."""
WITH_WORDS = {".py", ".html", ".css", ".yaml"}
OTHER_MEANING = {"common/page.py": {"poster"}}
"""Words that mean something else there: HTML's attribute."""


def modules_of(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def place(path: Path) -> str:
    """A file's path within the repository."""
    return path.relative_to(ROOT).as_posix()


@cache
def imports_of(module: Path) -> tuple[str, ...]:
    """Every module imported anywhere in a file; `from a import b` counts as `a.b`."""
    found: list[str] = []
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(found)


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
                assert within(name, ALLOWED[package]), f"{place(module)} imports {name}"
            assert not within(name, FORBIDDEN.get(package, set())), f"{place(module)}: {name}"


@pytest.mark.parametrize("package", LATE)
def test_what_is_heavy_is_imported_late(package: str) -> None:
    for module in modules_of(package):
        for name in loaded_by(module):
            assert not within(name, LATE[package]), f"{place(module)} imports {name} when loaded"


def test_every_package_of_the_distribution_is_held_to_the_rules() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert packages == set(ALLOWED)


def graph() -> dict[str, set[str]]:
    """Which modules of the house each of them imports, in bodies and for types too."""
    names = {}
    for package in ALLOWED:
        for module in modules_of(package):
            parts = module.relative_to(ROOT).with_suffix("").parts
            names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = module
    return {
        name: {
            next(known for known in (found, found.rpartition(".")[0]) if known in names)
            for found in imports_of(module)
            if found in names or found.rpartition(".")[0] in names
        }
        - {name}
        for name, module in names.items()
    }


def circles(arrows: dict[str, set[str]]) -> set[str]:
    """One name for each circle found, such as "a > b > a"; each circle is then cut where it closes."""
    found = set()
    arrows = {name: set(others) for name, others in arrows.items()}
    while True:
        try:
            TopologicalSorter(arrows).prepare()
        except CycleError as error:
            way = error.args[1][::-1]  # each imports the next; the first is the last
            arrows[way[0]].discard(way[1])
            first = way.index(min(way))
            found.add(" > ".join([*way[first:-1], *way[:first], way[first]]))
        else:
            return found


def test_modules_import_one_another_in_no_circle() -> None:
    assert circles(graph()) == set()


def test_a_circle_would_be_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == {"a > b > c > a"}
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == set()


def test_only_the_edge_imports_a_domain() -> None:
    offending = {
        place(module)
        for package in ALLOWED
        for module in modules_of(package)
        if not place(module).startswith((*EDGE, "feature_repo/domains/"))
        and any(within(name, {"feature_repo.domains"}) for name in imports_of(module))
    }
    assert offending == set()


def test_the_readme_says_who_may_import_a_domain() -> None:
    (said,) = re.findall(r"the domain is an argument, and only (.*?) may import one", README, re.DOTALL)
    assert set(re.findall("`(.*?)`", said)) == set(EDGE)


def test_no_file_is_long() -> None:
    long = {
        place(module)
        for package in (*ALLOWED, "tests", "benchmarks")
        for module in modules_of(package)
        if len(module.read_text().splitlines()) > MOST_LINES
    }
    assert long == set()


def words(text: str) -> set[str]:
    """Its words in lower case: of sentences, and of names_like_this, likeThis and LikeThis."""
    return {
        word.lower()
        for run in re.findall(r"[A-Za-z]+", text)
        for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", run)
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("iterating over movie_ids", {"iterating", "over", "movie", "ids"}),
        ("def MovieLens(userRatings):", {"def", "movie", "lens", "user", "ratings"}),
        ("POSTER_GRID, HTMLPage", {"poster", "grid", "html", "page"}),
    ],
)
def test_words_are_told_apart(text: str, expected: set[str]) -> None:
    assert words(text) == expected


def speaks_of_movies(file: Path) -> bool:
    return place(file).startswith(SPEAKS_OF_MOVIES) or any(
        file.relative_to(ROOT).match(pattern) for pattern in PAPERS_CONFIGURATIONS
    )


def test_general_code_speaks_of_no_domain() -> None:
    """Names, strings, docstrings, comments, the pages' templates, and configurations."""
    offending = {}
    for package in ALLOWED:
        for file in sorted((ROOT / package).rglob("*")):
            if file.suffix in WITH_WORDS and not speaks_of_movies(file):
                found = (words(file.read_text()) & DOMAIN_WORDS) - OTHER_MEANING.get(place(file), set())
                if found:
                    offending[place(file)] = found
    assert offending == {}


RUNS_CODE = {"pickle", "joblib", "dill", "shelve", "marshal", "cloudpickle"}
"""Modules that run what a file says."""
SENDS_FUNCTIONS = {"feature_repo/offline/spark_join.py", "pipelines/features/in_spark.py"}
"""Where functions go to Spark's workers, as Spark sends them; nothing is read from a file there."""


def code_runners(source: str) -> set[str]:
    """What in a source may run code that is not its own: imports, and calls."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found |= {name.name for name in names if RUNS_CODE & set(name.name.split("."))}
            case ast.ImportFrom(module=module, names=names):
                parts = {*(module or "").split("."), *(name.name for name in names)}
                found |= {module or "" for _ in (1,) if RUNS_CODE & parts}
            case ast.Call(func=ast.Name(id="eval" | "exec" as name)):
                found.add(name)
            case ast.keyword(arg="shell" | "allow_pickle" as name, value=ast.Constant(value=True)):
                found.add(name)
    return found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import joblib", {"joblib"}),
        ("from pyspark import cloudpickle", {"pyspark"}),
        ("from sklearn.externals.joblib import load", {"sklearn.externals.joblib"}),
        ("eval('1')", {"eval"}),
        ("run('ls', shell=True)", {"shell"}),
        ("np.load(path, allow_pickle=True)", {"allow_pickle"}),
        ("pipe.eval(SCRIPT)\nnp.load(path, allow_pickle=False)", set()),
    ],
)
def test_what_runs_foreign_code_is_seen(source: str, found: set[str]) -> None:
    assert code_runners(source) == found


def test_no_file_runs_code() -> None:
    offending = {
        place(module): found
        for package in ALLOWED
        for module in modules_of(package)
        if place(module) not in SENDS_FUNCTIONS and (found := code_runners(module.read_text()))
    }
    assert offending == {}


FEASTS_OWN = re.compile(r"\._get_provider\(|\._get_conn\(|\b(?:store|registry|online|offline)\._(?!_)\w+\(")
"""Calls of what Feast keeps to itself, and may change at any time."""


@pytest.mark.parametrize(
    ("source", "is_private"),
    [
        ("store._get_provider().offline_store", True),
        ("return online._get_conn(config)", True),
        ("registry._refresh_cached_registry_if_necessary()", True),
        ("self._store(x)", False),
        ("online_store(store).tallies(config)", False),
    ],
)
def test_private_calls_of_feast_are_seen(source: str, is_private: bool) -> None:
    assert bool(FEASTS_OWN.search(source)) is is_private


def test_private_calls_of_feast_stand_in_one_file() -> None:
    offending = {
        place(module)
        for package in ALLOWED
        for module in modules_of(package)
        if FEASTS_OWN.search(module.read_text())
    }
    assert offending == {"feature_repo/feast_internals.py"}


@pytest.mark.parametrize("folder", ["define", "domains"])
def test_declarations_use_the_standard_library_only(folder: str) -> None:
    errors = ROOT / "common" / "errors.py"  # what a mistake reaches people with
    for module in (*modules_of(f"feature_repo/{folder}"), errors):
        for name in imports_of(module):
            allowed = {"feature_repo.define", "common.errors"}
            allowed |= {"feature_repo.domains"} if folder == "domains" else set()
            assert name.split(".")[0] in sys.stdlib_module_names or within(name, allowed), name


@pytest.mark.process
def test_help_imports_no_heavy_library() -> None:
    heavy = (
        "{'pyspark', 'tensorflow', 'keras', 'feast', 'great_expectations', 'pandas', 'duckdb', 'pydantic'}"
    )
    check = (
        "import sys\nfrom typer.testing import CliRunner\nfrom cli.commands import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        f"sys.exit(str(sorted({heavy} & set(sys.modules))) if {heavy} & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
