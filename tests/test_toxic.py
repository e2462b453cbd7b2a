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
    "push": [Point("redis", "answers lost", 0.5), Point("postgres", "reset", 0.5)],
    "apply": [Point("postgres", "closed in mid-answer", 0.4)],
    "lookup": [Point("postgres", "answers lost", 0.6)],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    installed()
    with servers_at_scale("stores") as servers:
        folder = tmp_path_factory.mktemp("toxic").resolve()
        with site_with(folder, servers) as site:
            yield site


@pytest.mark.parametrize("name", TRIED)
def test_a_server_that_misbehaves_costs_one_command_which_says_so(name: str, site: Site) -> None:
    trial = Trial(site, name)
    wrong = {}
    for point in TRIED[name]:
        ended, faults = trial.disturbed(point)
        if faults or ended.code != 2:
            wrong[str(point)] = faults or ended
    assert wrong == {}
