"""As `test_machine.py`, and between the steps models are trained, and audits made."""

import pytest

from tests.promises.search import search
from tests.promises.test_machine import PARTS, SEQUENCES, STEPS

pytestmark = pytest.mark.process


@pytest.mark.parametrize("part", range(PARTS, 20))
def test_promises_hold_between_audits_and_trainings(part: int) -> None:
    search(SEQUENCES, STEPS, start=part)
