"""As `test_machine.py`, and in some sequences models are trained, and audits made."""

import pytest

from tests.promises.search import search
from tests.promises.test_machine import PARTS, SEQUENCES, STEPS

pytestmark = pytest.mark.process
WITH_PROOFS = 5
"""Sequences among those of the first part; a training takes as long as a sequence without one."""


def test_promises_hold_where_models_are_trained_and_audits_made() -> None:
    search(WITH_PROOFS, STEPS, start=PARTS)


@pytest.mark.parametrize("part", range(PARTS, 2 * PARTS))
def test_promises_hold_under_any_sequence(part: int) -> None:
    sequences = SEQUENCES - WITH_PROOFS if part == PARTS else SEQUENCES
    search(sequences, STEPS, start=2 * PARTS + part, proofs=False)
