"""A column: its name, type, range and role, and the rules that follow from them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Literal

from feature_repo.define.role import Role

BEGINNING = datetime(1990, 1, 1, tzinfo=UTC)
"""No event is older; facts are known since."""
KNOWN_AFTER = timedelta(microseconds=1)
"""From its last event to the instant at which a feature row is known."""

EVENT_TIMESTAMP = "event_timestamp"
CREATED_TIMESTAMP = "created_timestamp"
STATE = "state"
"""A column of feature tables that grow, of no view: what an update goes on from, on each key's newest row."""

Value = int | float | str
Side = Literal["user", "item", "context", ""]
"""Whom a column tells of: who acts, what is acted on, or the circumstances; "" where it is no feature."""


def quoted(name: str) -> str:
    """A name as it stands in SQL, of Spark and of DuckDB, whatever words and characters it is made of."""
    return "`" + name.replace("`", "``") + "`"


class Type(Enum):
    """A column's type, named as in Feast."""

    INT64 = "Int64"
    FLOAT64 = "Float64"
    STRING = "String"
    TIMESTAMP = "UnixTimestamp"
    INT64_LIST = "Array(Int64)"
    FLOAT64_LIST = "Array(Float64)"
    STRING_LIST = "Array(String)"

    @property
    def is_list(self) -> bool:
        """Whether a value is a list."""
        return self in (Type.INT64_LIST, Type.FLOAT64_LIST, Type.STRING_LIST)

    @property
    def is_number(self) -> bool:
        """Whether a value is one number."""
        return self in (Type.INT64, Type.FLOAT64)


PADDING: dict[Type, int | str] = {
    Type.INT64: 0,
    Type.INT64_LIST: 0,
    Type.STRING: "",
    Type.STRING_LIST: "",
}
"""What fills a short list, and stands for "none" among ids: real ids start at 1, real words are not empty."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Args:
        name: `{entity}_{input}_{operation}[_{window}]` for a feature.
        type: its type.
        description: what it holds, for people.
        unit: of its values, "" where it has none.
        low, high: the inclusive range of its values (of each element, for a list of numbers).
        nullable: whether a stored row may lack it.
        fill: what a reader puts where there is no row yet. None leaves it missing: a bucketised input has a
            bucket for that, a standardised one reads 0, its training mean. A list is filled to `length`.
        length: the fixed length of a padded list; None for a list of any length.
        role: what it is to a model; None for a column of an event or a catalogue, which no model reads.
        side: of a key, whose features a view by it holds; other columns have their view's.
        step: values are multiples of it, so that sums of them and of their squares are exact; None where they
            may lie anywhere.
    """

    name: str
    type: Type
    description: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    nullable: bool = False
    fill: Value | None = None
    length: int | None = None
    role: Role | None = None
    side: Side = ""
    step: float | None = None

    @property
    def vocabulary(self) -> str:
        """The space that its values belong to; "" where its role has none."""
        return getattr(self.role, "vocabulary", "")


EVENT = Column(EVENT_TIMESTAMP, Type.TIMESTAMP, "When it happened, or from when the row is known (UTC).")
CREATED = Column(CREATED_TIMESTAMP, Type.TIMESTAMP, "When the row was written (UTC).")
