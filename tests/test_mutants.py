"""What is said of mutants that change nothing is said of code that is there."""

import pytest

from tests.mutants.groups import GROUPS
from tests.mutants.same import entries
from tests.mutants.trial import ROOT

MODULES = [module for group in GROUPS.values() for module in group.modules]


def test_modules_and_tests_are_there_and_named_once() -> None:
    assert len(set(MODULES)) == len(MODULES)
    for group in GROUPS.values():
        assert all((ROOT / file).is_file() for file in (*group.modules, *group.tests))


@pytest.mark.parametrize("module", MODULES)
def test_mutants_that_change_nothing_are_of_lines_that_are_there_with_a_reason(module: str) -> None:
    lines = " ".join(line.strip() for line in (ROOT / module).read_text().splitlines())
    for entry in entries():
        if entry["module"] == module:
            assert entry["reason"].strip().endswith(".")
            for was, now in entry["mutants"]:
                assert was in lines, (
                    f"{entry['function']} has changed: python -m tests.mutants tells its mutants"
                )
                assert was != now


def test_mutants_that_change_nothing_are_of_modules_that_are_tried() -> None:
    assert {entry["module"] for entry in entries()} <= set(MODULES)
