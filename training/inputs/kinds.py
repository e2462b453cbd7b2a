"""The kinds of input: what each array of a model's dictionary holds, as plain data (JSON).

Ids: 0 is padding or "no row yet", 1 is any value unseen in training, real values start at 2.
"""

from typing import Annotated, Literal

from pydantic import Field

from feature_repo.define.view import BEHAVIOUR
from training.config import Config

PADDING_ID, UNSEEN_ID, FIRST_ID = 0, 1, 2
"""Indices of padding, of any value unseen in training, and of the first value seen."""
MISSING_BUCKET = 0
HOURS, WEEKDAYS = 24, 7
USER, ITEM, CONTEXT = "user", "item", "context"
"""The sides: who acts, what is acted on, and the circumstances, such as the request itself."""
REQUEST = "request"
"""The name of the input that holds the time of the request."""


class _Input(Config):
    """What all inputs have.

    Args:
        name: the key in the dictionary.
        side: "user", "item" or "context".
        modality: that of the view.
    """

    name: str
    side: str
    modality: str = BEHAVIOUR


class NumericColumn(Config):
    """One standardised column: z = (f(x) - mean) / std, with f(x) = log(1 + x) for a count or days,
    sign(x) log(1 + |x|) for a number of a heavy tail, else x.

    A column that is the same in all training rows teaches nothing, and reads 0 whatever it holds; one without
    any value in them reads as missing.

    Args:
        column: its name.
        fill: what stands for a missing value; None keeps it missing.
        log: whether f is log(1 + x).
        heavy: whether f is sign(x) log(1 + |x|).
        mean: of f(x) over the training rows; 0 where none has a value.
        std: deviation of f(x); 0 where all values are one.
        known: training rows that have a value, the filled ones included.
        count: the column with the number n of events behind it: the input is z · n / (n + shrinkage). None
            where it is no statistic of events.
        since: whether the column holds an instant, and x is the days from it to the request.
    """

    column: str
    fill: float | None
    log: bool
    mean: float
    std: float
    known: int
    count: str | None = None
    since: bool = False
    heavy: bool = False


class Numeric(_Input):
    """Standardised numbers of one side and modality, float32 (rows, columns).

    Args:
        columns: in order.
        shrinkage: see `NumericColumn.count`.
        missing: what a missing number reads: "mean" (0) or "nan".
    """

    kind: Literal["numeric"] = "numeric"
    columns: tuple[NumericColumn, ...]
    shrinkage: float
    missing: Literal["mean", "nan"]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return (len(self.columns),)


class BucketColumn(Config):
    """One bucketised column: bucket 1 + (number of edges <= x); 0 where missing.

    Args:
        column: its name.
        fill: what stands for a missing value; None keeps it missing.
        edges: ascending. None where no training row has a value: every value reads as missing.
    """

    column: str
    fill: float | None
    edges: tuple[float, ...] | None

    @property
    def size(self) -> int:
        """Number of buckets, the one for missing values included."""
        return 1 if self.edges is None else len(self.edges) + 2


class Bucketised(_Input):
    """Buckets of the numbers of one side and modality, uint8 (rows, columns).

    Args:
        columns: in order.
    """

    kind: Literal["bucketised"] = "bucketised"
    columns: tuple[BucketColumn, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return (len(self.columns),)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of buckets of each column."""
        return tuple(column.size for column in self.columns)


class Categorical(_Input):
    """One id a row, (rows,).

    Args:
        column: its name.
        vocabulary: whose ids it has.
        identity: whether it tells who or what the row is about, as a key does; a category does not.
        fill: what stands for a missing value; None reads it as padding.
        padding: the value that means "none"; None where every value is one.
        logarithmic: whether the column has numbers, and their squared logarithms are the values.
    """

    kind: Literal["categorical"] = "categorical"
    column: str
    vocabulary: str
    identity: bool
    fill: int | str | None = None
    padding: int | str | None = None
    logarithmic: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return ()


class MultiValued(_Input):
    """A bag of ids a row, padded, (rows, length).

    Args:
        column: its name.
        vocabulary: whose ids it has.
        length: of the input.
        fixed: whether the column itself always has that length.
        padding: the value that means "none".
    """

    kind: Literal["multi_valued"] = "multi_valued"
    column: str
    vocabulary: str
    length: int
    fixed: bool
    padding: int | str

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return (self.length,)


class ValueSequence(_Input):
    """An ordered, padded list: of ids (rows, length), or of bags of ids (rows, length, bag).

    Args:
        column: its name; it always has that length.
        vocabulary: whose ids it has.
        length: of the list.
        separator: what joins the values of an element; "" where an element is one value.
        bag: values of an element; 0 where an element is one value.
        padding: the value that means "none".
    """

    kind: Literal["sequence"] = "sequence"
    column: str
    vocabulary: str
    length: int
    separator: str = ""
    bag: int = 0
    padding: int | str

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return (self.length, self.bag) if self.bag else (self.length,)


class Vector(_Input):
    """A vector that was computed elsewhere, as it is, float32 (rows, width); zero where it is missing.

    Args:
        column: its name.
        width: of the vector.
    """

    kind: Literal["vector"] = "vector"
    column: str
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return (self.width,)


class Clock(_Input):
    """Hour and weekday (Monday first) of the request, in UTC, from 1, and the bucket of the days since each
    instant, uint8 (rows, 2 + instants); 0 is unknown, as for a new user.

    Args:
        column: the instant of the request.
        since: the instants.
    """

    kind: Literal["clock"] = "clock"
    column: str
    since: tuple[BucketColumn, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return (len(self.sizes),)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of values of each column, the one for "unknown" included."""
        return (HOURS + 1, WEEKDAYS + 1, *(instant.size for instant in self.since))


Input = Annotated[
    Numeric | Bucketised | Categorical | MultiValued | ValueSequence | Vector | Clock,
    Field(discriminator="kind"),
]
