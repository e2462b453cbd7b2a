"""Puts what the searches for broken promises found into docs/reliability.md.

    python -m tests.promises --json docs/reliability/sequences.json    (and so on for the others)
    python -m tests.reliability

Of the page, what lies between `<!-- NAME -->` and `<!-- /NAME -->` is made of `docs/reliability/NAME.json`; a
search without such a file leaves its place as it is.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import table

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
FIGURES = PAGE.with_suffix("")
FAULTS = {"kill": "killed", "ENOSPC": "no space", "EIO": "input error"}
Found = dict[str, Any]


def steps(found: Found) -> str:
    """Commands down, faults across; each cell has the points tried and how many ended wrong."""
    commands: list[Found] = found["commands"]

    def cell(tried: int, wrong: int) -> str:
        return f"{tried}, {wrong} wrong" if tried else "none"

    rows = [
        [of["command"], str(of["steps"]), *(cell(of[fault]["tried"], of[fault]["wrong"]) for fault in FAULTS)]
        for of in commands
    ]
    sums = [[sum(of[fault][what] for of in commands) for what in ("tried", "wrong")] for fault in FAULTS]
    rows.append(["all", "", *(cell(tried, wrong) for tried, wrong in sums)])
    return table(["command", "steps", *FAULTS.values()], rows)


def sequences(found: Found) -> str:
    """Searches down: how many sequences of how many steps, and how many promises they broke."""
    rows = [
        [of["stores"], f"{of['sequences']:,}", str(of["steps"]), str(of["seed"]), str(of["broken"])]
        for of in found["searches"]
    ]
    return table(["stores", "sequences", "steps of each, at most", "first seed", "promises broken"], rows)


def fuzzing(found: Found) -> str:
    """Kinds of files down: how many were tried, from which seed, and how many ended wrong."""
    rows = [[of["kind"], f"{of['tries']:,}", str(of["seed"]), str(of["wrong"])] for of in found["kinds"]]
    return table(["files", "tried", "seed", "wrong"], rows)


def interruptions(found: Found) -> str:
    """Commands down: how often each was interrupted, and how often what followed was wrong."""
    rows = [[f"`{of['command']}`", str(of["tried"]), str(of["wrong"])] for of in found["commands"]]
    rows.append(["all", *(str(sum(of[what] for of in found["commands"])) for what in ("tried", "wrong"))])
    return table(["command", "interrupted", "wrong"], rows)


def servers(found: Found) -> str:
    """Commands and servers down: how often a server misbehaved, how often that was borne or ended wrong."""
    asked = ("tried", "done", "wrong")
    rows = [
        [of["command"], *(sum(fault[what] for fault in of["faults"].values()) for what in asked)]
        for of in found["commands"]
    ]
    rows.append(["all", *(sum(row[place] for row in rows) for place in range(1, 1 + len(asked)))])
    heads = ["command, server", "tried", "of these done all the same", "wrong"]
    return table(heads, [[str(cell) for cell in row] for row in rows])


def mutants(found: Found) -> str:
    """Modules down: how many mutants there are, and what became of them."""
    counts = [
        [of["module"], of["mutants"], of["killed"], of["same"], len(of["left"])] for of in found["modules"]
    ]
    counts.append(["all", *(sum(count[place] for count in counts) for place in range(1, 5))])
    rows = [[f"`{name}`" if "/" in name else name, *(str(count) for count in of)] for name, *of in counts]
    return table(["module", "mutants", "killed", "changes nothing", "left"], rows)


SEARCHES: dict[str, Callable[[Found], str]] = {
    "steps": steps,
    "sequences": sequences,
    "fuzzing": fuzzing,
    "interruptions": interruptions,
    "servers": servers,
    "mutants": mutants,
}


def record(file: Path, of_all: str, mine: Found, kind: Sequence[str] = ()) -> None:
    """Write what a search found in place of what the file has of the same kind.

    Args:
        of_all: under which name the file lists what was found.
        mine: by name.
        kind: the names by which it is of one kind; the first one by default.
    """
    found = json.loads(file.read_text())[of_all] if file.is_file() else []
    names = kind or [next(iter(mine))]
    by_kind = {tuple(of[name] for name in names): of for of in (*found, mine)}
    file.write_text(json.dumps({of_all: [*by_kind.values()]}, indent=1) + "\n")


def written(page: str, figures: Path) -> str:
    """The page with the figures that are there."""
    for name, shown in SEARCHES.items():
        file = figures / f"{name}.json"
        if file.is_file():
            first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
            block = f"{first}\n{shown(json.loads(file.read_text()))}\n{last}"
            page, n = re.subn(f"{first}.*?{last}", lambda _, block=block: block, page, flags=re.S)
            assert n == 1, f"{first} stands {n} times"
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(), FIGURES))
