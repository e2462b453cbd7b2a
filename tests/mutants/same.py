"""The mutants that change nothing, each with the reason: `same.yaml`.

A list of entries with `module`, `function`, `reason`, and `mutants`: pairs of what a text was and is now, as
`made` tells them.
"""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

FILE = Path(__file__).with_name("same.yaml")


class Name(NamedTuple):
    """What a mutant is called: where it is, and what the lines that differ were and are now."""

    module: str
    function: str
    was: str
    now: str


def entries() -> list[dict[str, Any]]:
    """The list as it is written."""
    return list(yaml.safe_load(FILE.read_text()))


def names() -> set[Name]:
    """The mutants of the list."""
    return {
        Name(entry["module"], entry["function"], was, now)
        for entry in entries()
        for was, now in entry["mutants"]
    }
