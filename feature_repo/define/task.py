"""What is to be predicted: how an event's value becomes a label."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Binary:
    """A label of 0 or 1: 1 where the value is at least `at_least`, else 0.

    Args:
        name: of the label's column.
        of: the events' column.
        at_least: from which value on the label is 1.
        below: where given, the label is 0 only below this value, and events from here up to `at_least` are
            left out.
        says: what 1 means, for people, such as "finished".
    """

    name: str
    of: str
    at_least: float
    below: float | None = None
    says: str = ""


@dataclass(frozen=True, slots=True)
class Regression:
    """A label that is the value itself.

    Args:
        name: of the label's column.
        of: the events' column.
    """

    name: str
    of: str


@dataclass(frozen=True, slots=True)
class Ordinal:
    """A label that is one of a few ordered values.

    Args:
        name: of the label's column.
        of: the events' column.
        values: ascending.
    """

    name: str
    of: str
    values: tuple[float, ...]


Task = Binary | Regression | Ordinal


def rule_of(task: Task) -> str:
    """How a task makes a label, in words."""
    if isinstance(task, Binary):
        if task.below is None or task.below == task.at_least:
            return f"{task.of} of at least {task.at_least:g} against all others"
        return f"{task.of} of at least {task.at_least:g} against below {task.below:g}, the rest left out"
    if isinstance(task, Ordinal):
        return f"{task.of}, one of {', '.join(f'{value:g}' for value in task.values)}"
    return f"{task.of} itself"
