"""How features are computed from rows: the operations that a view is declared with.

Each operation is interpreted three times, independently: by vectorised kernels (the engine), by SQL (the
audit) and by a plain loop (the oracle).

A row of a view holds what is known of a key after all of its events up to and including one instant. Events
of one instant count together; where their order matters, it is that of their other key columns, ascending.

Standard deviations are those of the population (divided by n), so that one event has deviation 0.
"""

from dataclasses import dataclass

from feature_repo.define.column import Column


@dataclass(frozen=True, slots=True)
class AtLeast:
    """Rows whose `column` is at least `value`; rows without a value are not."""

    column: str
    value: float


@dataclass(frozen=True, slots=True)
class Count:
    """How many events there were.

    Args:
        column: the feature, a whole number.
    """

    column: Column


@dataclass(frozen=True, slots=True)
class MeanStd:
    """Mean and standard deviation of a number, events without a value left out; null where none has one.

    Args:
        of: the number, a column with a `step`. Sums are exact: they do not depend on the order of addition.
        mean, std: the features.
        origin: subtracted before squares are summed, which keeps them small; it does not change the result.
    """

    of: str
    mean: Column
    std: Column
    origin: float = 0.0


@dataclass(frozen=True, slots=True)
class FirstAt:
    """When the first event happened, to the second, rounded down: online stores keep no more of an instant.

    Args:
        column: the feature, an instant.
    """

    column: Column


@dataclass(frozen=True, slots=True)
class LastAt:
    """When the last event happened, to the second, rounded down.

    Args:
        column: the feature, an instant.
    """

    column: Column


@dataclass(frozen=True, slots=True)
class TopK:
    """The most frequent values of a list of words, most frequent first, ties in alphabetical order, padded.

    Args:
        of: the list of words; an event counts for each of its words once.
        column: the feature, a list whose `length` is the k.
        where: only values of such events count; None for all.
    """

    of: str
    column: Column
    where: AtLeast | None = None


@dataclass(frozen=True, slots=True)
class LastK:
    """A value of each of the last events, newest first, padded.

    Args:
        of: the value: an id of the events, or a list of words of the joined catalogue, which the separator of
            the column's role (`Sequence`) makes one word.
        column: the feature, a list whose `length` is the k.
    """

    of: str
    column: Column


@dataclass(frozen=True, slots=True)
class Fact:
    """A value of the catalogue, as it stands.

    Args:
        of: the catalogue's column.
        column: the feature.
    """

    of: str
    column: Column


Operation = Count | MeanStd | FirstAt | LastAt | TopK | LastK | Fact


def made_by(operation: Operation) -> tuple[Column, ...]:
    """The features that an operation makes, in order."""
    if isinstance(operation, MeanStd):
        return (operation.mean, operation.std)
    return (operation.column,)
