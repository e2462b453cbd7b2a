"""The promises hold under sequences of whatever people, clocks and disks do to a home.

`python -m tests.promises` draws as many as one likes. Half of those that are drawn here are in
`test_machine_with_proofs.py`, so that two processes share them.
"""

import pytest

from tests.promises import planted
from tests.promises.home import template
from tests.promises.search import search

# They go the whole road, again and again.
pytestmark = pytest.mark.process
PARTS, SEQUENCES, STEPS = 5, 10, 20


@pytest.mark.parametrize("part", range(PARTS))
def test_promises_hold_under_any_sequence(part: int) -> None:
    search(SEQUENCES, STEPS, start=part, proofs=False)


def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are planted by `python -m tests.promises --planted`."""
    template()  # by the code as it is
    planted.a_key_is_not_sent(monkeypatch)
    with pytest.raises(AssertionError):
        search(SEQUENCES, STEPS, start=0, shrink=False, proofs=False)
