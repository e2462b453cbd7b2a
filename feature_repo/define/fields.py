"""Fields: columns of a log that models read as they stand in its rows."""

from collections.abc import Iterable
from dataclasses import dataclass

from feature_repo.define import role
from feature_repo.define.column import Column, Side, Type
from feature_repo.define.view import BEHAVIOUR, View

MISSING, NO_CODE = "missing", -(2**63)
"""What a category that a log lacks is read as, in words or by codes, which may be negative themselves: a
value like any other, which models learn."""


@dataclass(frozen=True)
class Fields:
    """Columns of one side of a log: what a `View` is to events, but that no store joins them.

    Args:
        name: of the group, for people.
        columns: in stored order.
        side: whom they tell of.
        modality: what kind of thing they tell.
    """

    name: str
    columns: tuple[Column, ...]
    side: Side = "context"
    modality: str = BEHAVIOUR

    @property
    def keys(self) -> tuple[Column, ...]:
        """None: a row of a log has all that is known of it."""
        return ()


Block = View | Fields
"""Columns that a model reads together: joined to events by a key, or in the row of a log itself."""


def categories(names: Iterable[str], type_: Type = Type.STRING) -> tuple[Column, ...]:
    """Columns that hold one value each out of a vocabulary of its own; it may be missing.

    Args:
        names: of the columns.
        type_: STRING, or INT64 for codes.
    """
    fill = MISSING if type_ is Type.STRING else NO_CODE
    return tuple(
        Column(name, type_, "A category.", nullable=True, fill=fill, role=role.Category(name))
        for name in names
    )


def numbers(names: Iterable[str]) -> tuple[Column, ...]:
    """Columns that hold a whole number each, a few of them large; it may be missing."""
    heavy = role.Number(heavy=True)
    return tuple(Column(name, Type.INT64, "A number.", nullable=True, role=heavy) for name in names)
