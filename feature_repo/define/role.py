"""What a column is to a model. Nothing is guessed from a name, a length or the data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Id:
    """An identity, such as a user's: embedded; rare ones count as unseen.

    Args:
        vocabulary: the space that the ids belong to. Columns of one space share an embedding.
    """

    vocabulary: str


@dataclass(frozen=True, slots=True)
class Category:
    """One value out of a vocabulary, such as an occupation: embedded.

    Args:
        vocabulary: the space that the values belong to. Columns of one space share an embedding.
    """

    vocabulary: str


@dataclass(frozen=True, slots=True)
class Number:
    """A quantity: standardised, and its quantile bucket. In a view that has a `Count`, a statistic of so many
    events.

    Args:
        heavy: whether a few values are far larger than most, as a log's counts are: it is standardised after
            sign(n) log(1 + |n|).
    """

    heavy: bool = False


@dataclass(frozen=True, slots=True)
class Count:
    """How many events there were: as a number, after log(1 + n)."""


@dataclass(frozen=True, slots=True)
class Instant:
    """A point in time: read as the days from it to the request."""


@dataclass(frozen=True, slots=True)
class Bag:
    """Several values of a vocabulary whose order means nothing, such as topics: the mean of their embeddings.

    Args:
        vocabulary: the space that the values belong to.
    """

    vocabulary: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """A padded list in order, such as the last items chosen: what attention reads.

    Args:
        vocabulary: the space that the values belong to.
        separator: where each element joins several values (a bag), what stands between them; "" where each
            element is one value.
    """

    vocabulary: str
    separator: str = ""


@dataclass(frozen=True, slots=True)
class Vector:
    """An embedding that was computed elsewhere: a list of numbers, read as it is.

    Args:
        width: how many numbers.
    """

    width: int


@dataclass(frozen=True, slots=True)
class Unread:
    """Kept for people and for lookup; no model reads it."""


Role = Id | Category | Number | Count | Instant | Bag | Sequence | Vector | Unread
