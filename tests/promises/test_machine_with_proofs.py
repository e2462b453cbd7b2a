"""As `test_machine.py`, and in some sequences models are trained, and audits made."""

import pytest

from tests.promises.search import search
from tests.promises.test_machine import PARTS, SEQUENCES, STEPS

pytestmark = pytest.mark.process
WITH_PROOFS = 1
"""Parts of the search; a training takes as long as a sequence without one."""


@pytest.mark.parametrize("part", range(PARTS, 2 * PARTS))
def test_promises_hold_under_any_sequence(part: int) -> None:
    search(SEQUENCES, STEPS, start=part, proofs=part < PARTS + WITH_PROOFS)
