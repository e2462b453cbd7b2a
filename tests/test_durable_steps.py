"""A command that is killed or failed at a step that makes something durable is made good by the next ones.

Here a tenth of the steps is tried; `python -m tests.durable_steps` tries all commands at all steps.
"""

from collections.abc import Iterator

import pytest

from tests.durable_steps import FAULTS, TASKS, Site, Trial, points
from tests.forks import Forks
from tests.steps import why_not

pytestmark = pytest.mark.process

SEED = 12
TRIED = [name for name in TASKS if name not in ("road", "reproduce", "maintain")]
"""The commands; the other three take too long."""
SHARE = 0.1
"""Of their points, drawn by chance."""


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
    drawn = list(points(trial, list(FAULTS), SHARE, SEED))
    found = {(fault, str(step)): trial.disturbed(step, fault) for step, fault in drawn}
    assert {point: wrong for point, wrong in found.items() if wrong} == {}
    # How many pages a transaction writes differs from run to run by a few.
    reached = [wrong for wrong in found.values() if wrong is not None]
    assert len(reached) >= max(0.8 * len(drawn), 1)
