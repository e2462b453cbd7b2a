"""A command that is killed or failed at a step that makes something durable is made good by the next ones.

`python -m tests.durable_steps` tries all commands at all steps.
"""

import random
from collections.abc import Iterator

import pytest

from tests.durable_steps import FAULTS, TASKS, Site, Trial, points
from tests.forks import Forks
from tests.steps import why_not

pytestmark = pytest.mark.process

SEED = 12
TRIED = {
    "push": 4,
    "ingest": 2,
    "add": 3,
    "run": 2,
    "apply": 3,
    "materialize": 3,
    "train": 2,
    "retrain": 2,
    "dataset": 1,
}
"""How many points of each command, drawn by chance; those of the others take too long."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    if reason := why_not():
        pytest.skip(reason)
    return Site(tmp_path_factory.mktemp("steps").resolve())


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as found:
        yield found


@pytest.mark.parametrize("name", TRIED)
def test_the_next_commands_make_good_what_was_cut_off_anywhere(name: str, site: Site, forks: Forks) -> None:
    trial = Trial(site, TASKS[name], forks.begin)
    every = list(points(trial, list(FAULTS), 1.0, SEED))
    assert len(every) > TRIED[name]
    wrong = {}
    for step, fault in random.Random(f"{SEED} {name}").sample(every, TRIED[name]):
        found = trial.disturbed(step, fault)
        if found != []:
            wrong[fault, str(step)] = found or "was not reached"
    assert wrong == {}
