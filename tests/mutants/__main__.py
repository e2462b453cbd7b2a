"""Changes one small thing after another in the modules that must be exact: some test has to see each.

python -m tests.mutants [--only FILES | --only FILE:FUNCTION] [--again] [--json FILE]

Each is tried by the tests that run the changed lines (`groups`), with a sixteenth of the examples that these
draw otherwise. What changes nothing is listed in `same.yaml`, with the reason; an entry whose mutant is
killed, or of which there is none, is an error.

mutmut makes the mutants (`made`). It does not try them: it changes no constants of a module and no decorated
functions, keeps no list of what changes nothing, and numbers its mutants, so that such a list would not last.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.mutants import same
from tests.mutants.groups import GROUPS
from tests.mutants.same import Name
from tests.mutants.trial import ROOT, Test, all_tests, killed_by, prepared
from tests.reliability import record

MUTMUT = "mutmut==3.8.1"
Mutants = dict[Name, dict[str, Any]]


def main() -> int:
    """Exit code 1 where a mutant is left, or the list of those that change nothing is not right."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="files by comma, or a file and one of its functions")
    parser.add_argument(
        "--again", action="store_true", help="only those that were left, after tests were added"
    )
    parser.add_argument("--json", help="where to write what was found, beside other modules", type=Path)
    asked = parser.parse_args()
    files, _, function = asked.only.partition(":")
    only = files.split(",")
    chosen = {
        name: [file for file in group.modules if any(part in file for part in only)]
        for name, group in GROUPS.items()
    }
    made = {module: mutants(module) for modules in chosen.values() for module in modules}
    wrong = 0
    with prepared():
        for name, modules in chosen.items():
            tests = all_tests(GROUPS[name].tests, modules) if modules else []
            for module in modules:
                known = {n for n in same.names() if n.module == module and function in n.function}
                before = left_before(asked.json, module) - known if asked.again else made[module]
                tried = {n: of for n, of in made[module].items() if n in before and function in n.function}
                alive = survivors(tried, tests)
                if asked.again:
                    alive += [name for name in made[module] if name in known]
                wrong += report(module, len(tried), alive, known, made[module])
                if asked.json and not function:
                    keep(asked.json, module, len(made[module]), alive)
    return wrong > 0


def mutants(module: str) -> Mutants:
    """All of a module, as `made` makes them with mutmut, in an environment of its own."""
    uv = Path(sys.executable).with_name("uv")
    command: list[str | Path] = [uv, "tool", "run", "--quiet", "--python", sys.executable, "--from", MUTMUT]
    command += ["python", ROOT / "tests/mutants/made.py", ROOT / module]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return {Name(module, of["function"], of["was"], of["now"]): of for of in found}


def survivors(tried: Mutants, tests: Sequence[Test]) -> list[Name]:
    """The mutants that no test sees; the tests of a changed line are those that run its statement."""
    alive = []
    for number, (name, mutant) in enumerate(tried.items(), 1):
        lines, started = set(mutant["lines"]), time.perf_counter()
        # Lines that no test runs may be run when the module is imported.
        concerned = [test for test in tests if lines & test.lines[name.module]] or tests
        killer = killed_by(name.module, mutant["source"], concerned)
        took = f"{number}/{len(tried)} {time.perf_counter() - started:.1f} s of {len(concerned)} tests"
        print(f"{took}: {name.function}: {name.was!r} -> {name.now!r}: {killer or 'ALIVE'}", flush=True)
        if killer is None:
            alive.append(name)
    return alive


def report(module: str, tried: int, alive: Iterable[Name], known: set[Name], made: Mutants) -> int:
    """Say what was found; how much of it is wrong."""
    left = [name for name in alive if name not in known]
    killed = [name for name in known if name in made and name not in alive]
    gone = [name for name in known if name not in made]
    print(f"{module}: {tried} tried, {len(left)} left", flush=True)
    for word, names in (("left", left), ("listed, but killed", killed), ("listed, but not made", gone)):
        for name in names:
            print(f"  {word}: {name.function}\n    {name.was}\n    {name.now}")
    return len(left) + len(killed) + len(gone)


def left_before(file: Path, module: str) -> set[Name]:
    """The mutants that were alive when a module was last tried, and not in the list."""
    (of,) = (of for of in json.loads(file.read_text())["modules"] if of["module"] == module)
    return {Name(module, *words) for words in of["left"]}


def keep(file: Path, module: str, made: int, alive: Sequence[Name]) -> None:
    """Write what was found of a module in place of what was found before."""
    known = same.names()
    mine = {
        "module": module,
        "mutants": made,
        "killed": made - len(alive),
        "same": sum(name in known for name in alive),
        "left": [list(name[1:]) for name in alive if name not in known],
    }
    record(file, "modules", mine)


if __name__ == "__main__":
    sys.exit(main())
