"""Drawing sequences of steps, many or few."""

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.promises.machine import Machine
from tests.promises.stores import Stores


def search(
    sequences: int,
    steps: int,
    start: int,
    shrink: bool = True,
    on: Stores | None = None,
    proofs: bool = True,
    maintains: bool = False,
) -> None:
    """Draw sequences of steps, and check the promises after each step.

    Args:
        sequences: how many are drawn.
        steps: of each, at most.
        start: seed of what is drawn.
        shrink: look for the shortest sequence that breaks the same promise.
        on: where registries and online rows are; in files where None.
        proofs: draw audits and trainings, too.
        maintains: and maintenance, by Spark.

    Raises:
        AssertionError: a promise was broken; the steps are printed.
    """

    class Drawn(Machine):
        """A class of its own: Hypothesis keeps the seed with it."""

        stores = on or Machine.stores

    Drawn.proofs, Drawn.maintains = proofs, maintains
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    run_state_machine_as_test(
        seed(start)(Drawn),
        settings=settings(
            max_examples=sequences,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )
