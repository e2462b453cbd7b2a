"""A server that misbehaves in the midst of a command costs that command only, and it says so.

`python -m tests.toxic` tries all commands with all that servers may do.
"""

from collections.abc import Iterator

import pytest

from tests.servers import servers_at_scale
from tests.toxic.proxy import installed
from tests.toxic.site import Site, site_with
from tests.toxic.trials import Point, Trial

pytestmark = pytest.mark.scale

TRIED = {
    "apply": [Point("postgres", "closed in mid-answer", 0.4)],
    "push": [Point("redis", "answers lost", 0.5), Point("postgres", "reset", 0.5)],
    "lookup": [Point("postgres", "answers lost", 0.6)],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    installed()
    with servers_at_scale("stores") as servers:
        folder = tmp_path_factory.mktemp("toxic").resolve()
        with site_with(folder, servers) as site:
            yield site


def test_a_server_that_misbehaves_costs_one_command_which_says_so(site: Site) -> None:
    home, wrong = None, {}
    for name, points in TRIED.items():
        trial = Trial(site, name, home)
        home = trial.task.home
        for point in points:
            ended, faults = trial.disturbed(point)
            if faults or ended.code != 2:
                wrong[f"{name}, {point}"] = faults or ended
    assert wrong == {}
