"""A view: features of one key, declared with how they are computed."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from feature_repo.define import role
from feature_repo.define.column import CREATED_TIMESTAMP, EVENT_TIMESTAMP, Column, Side, Type
from feature_repo.define.operation import AtLeast, Fact, LastK, MeanStd, Operation, TopK, made_by
from feature_repo.define.rule import Reference
from feature_repo.define.table import Table

BEHAVIOUR = "behaviour"
"""The modality of features unless their view says another."""

TYPES_OF: dict[type, tuple[Type, ...]] = {
    role.Id: (Type.INT64, Type.STRING),
    role.Category: (Type.INT64, Type.STRING),
    role.Number: (Type.INT64, Type.FLOAT64),
    role.Count: (Type.INT64, Type.FLOAT64),
    role.Instant: (Type.TIMESTAMP,),
    role.Bag: (Type.INT64_LIST, Type.STRING_LIST),
    role.Sequence: (Type.INT64_LIST, Type.STRING_LIST),
    role.Vector: (Type.FLOAT64_LIST,),
    role.Unread: tuple(Type),
}
"""The types that a column of each role may have."""


@dataclass(frozen=True, slots=True)
class Over:
    """The rows that features are computed from.

    Args:
        table: events, or a catalogue whose facts are the features.
        joined: a catalogue that gives events further columns, by its key; events without a counterpart are
            left out. None for events alone.
        where: only such events; None for all.
    """

    table: Table
    joined: Table | None = None
    where: AtLeast | None = None

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables that are read, events first."""
        return (self.table,) if self.joined is None else (self.table, self.joined)

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns that operations may name."""
        return tuple(dict.fromkeys(name for table in self.tables for name in table.column_names))

    def column(self, name: str) -> Column:
        """A column of the events or of what is joined to them.

        Raises:
            KeyError: there is none.
        """
        for table in self.tables:
            if name in table.column_names:
                return table.column(name)
        raise KeyError(f"{' and '.join(table.name for table in self.tables)} have no column {name}")


@dataclass(frozen=True)
class View:
    """A feature table, and the Feast view of the same name.

    Args:
        name: of the table, its job and its view.
        by: the key.
        over: the rows that the features are computed from.
        features: how; an operation makes one feature or two.
        description: what it holds, for people.
        modality: what kind of thing the features tell; models may treat other modalities than `BEHAVIOUR`
            apart.
    """

    name: str
    by: Column
    over: Over
    features: tuple[Operation, ...]
    description: str
    modality: str = BEHAVIOUR

    @property
    def side(self) -> Side:
        """Whom the features tell of."""
        return self.by.side

    @property
    def is_timeless(self) -> bool:
        """Whether the features are facts, known since the beginning; others change with each event."""
        return self.over.table.kind == "catalogue"

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The features, in stored order."""
        return tuple(column for operation in self.features for column in made_by(operation))

    def without(self, *names: str) -> "View":
        """The view as a service joins it that leaves out some features; the table keeps them.

        Args:
            names: of features; all that one operation makes, or none of them.

        Raises:
            ValueError: there is no such feature, or an operation makes it together with one that stays.
        """
        kept = tuple(made for made in self.features if not {one.name for one in made_by(made)} <= set(names))
        stays = {column.name for made in kept for column in made_by(made)}
        for name in names:
            if name not in {column.name for column in self.columns}:
                raise ValueError(f"{self.name}: there is no feature {name} to leave out")
            if name in stays:
                raise ValueError(f"{self.name}: {name} is made together with a feature that is not left out")
        return replace(self, features=kept)

    @cached_property
    def table(self) -> Table:
        """The table as it is stored."""
        # Catalogues that have this very key: each key of the view must be in them.
        referenced = [
            table for table in self.over.tables if table.kind == "catalogue" and table.key == (self.by,)
        ]
        references = [
            reference for reference in self.over.table.references if reference.column == self.by.name
        ]
        return Table(
            name=self.name,
            kind="feature",
            key=(self.by,),
            columns=self.columns,
            description=self.description,
            # Key and instant, but for a correction: a late event adds a row with a later `created_timestamp`.
            unique=(self.by.name, EVENT_TIMESTAMP, CREATED_TIMESTAMP),
            references=tuple(references)
            or tuple(Reference(self.by.name, table.name) for table in referenced),
            may_be_empty=self.over.where is not None or any(table.may_be_empty for table in self.over.tables),
        )


def check_view(view: View) -> None:
    """Refuse a declaration that contradicts itself.

    Raises:
        ValueError: an operation reads a column that is not there or cannot be used so, a feature has no role
            or one that its type cannot play, a name comes twice, the key has no side or is no `Id`, sums are
            not exact, a list has no length, or something is joined to facts.
    """
    if not view.by.side:
        raise ValueError(f"{view.name}: its key {view.by.name} has no side")
    if not isinstance(view.by.role, role.Id):
        raise ValueError(f"{view.name}: the role of its key {view.by.name} is not Id")
    if view.by.name not in view.over.table.column_names:
        raise ValueError(f"{view.name}: {view.over.table.name} has no column {view.by.name}")
    for operation in view.features:
        if isinstance(operation, Fact) != view.is_timeless:
            raise ValueError(f"{view.name}: facts come from a catalogue, all other features from events")
        for name in (
            getattr(operation, "of", None),
            getattr(getattr(operation, "where", None), "column", None),
        ):
            if name is not None and name not in view.over.column_names:
                raise ValueError(f"{view.name}: there is no column {name} to compute from")
        if isinstance(operation, MeanStd) and view.over.column(operation.of).step is None:
            raise ValueError(f"{view.name}: {operation.of} has no step, so sums of it would not be exact")
        if isinstance(operation, TopK | LastK) and not operation.column.length:
            raise ValueError(f"{view.name}: {operation.column.name} needs a length, which is the k")
    if view.is_timeless and view.over.joined is not None:
        raise ValueError(f"{view.name}: facts come from one catalogue, nothing is joined to it")
    names = [column.name for column in view.columns]
    if len(set(names)) != len(names):
        raise ValueError(f"{view.name}: a feature is declared twice")
    for column in (view.by, *view.columns):
        check_role(view.name, column)


def check_role(where: str, column: Column) -> None:
    """Refuse a feature whose role does not go with its type.

    Args:
        where: the view, for the sentence.
        column: the feature.

    Raises:
        ValueError: naming both.
    """
    if column.role is None:
        raise ValueError(f"{where}: {column.name} has no role, so no model would read it")
    name = type(column.role).__name__
    if type(column.role) not in TYPES_OF:
        raise ValueError(f"{where}: no model reads a column of role {name}, which {column.name} has")
    allowed = TYPES_OF[type(column.role)]
    if column.type not in allowed:
        types = " or ".join(kind.value for kind in allowed)
        raise ValueError(f"{where}: {column.name} is {column.type.value}, but its role {name} needs {types}")
    match column.role:
        case role.Sequence() if column.length is None:
            raise ValueError(f"{where}: {column.name} is a sequence, so it needs a length")
        case role.Sequence(separator=joins) if joins and column.type is not Type.STRING_LIST:
            raise ValueError(f"{where}: {column.name} has a separator, but it is no list of words")
        case role.Vector(width=width) if column.length not in (None, width):
            raise ValueError(f"{where}: {column.name} is a vector of {width} numbers, not {column.length}")


def check_vocabularies(columns: Iterable[Column]) -> None:
    """Refuse columns of one vocabulary of which some hold whole numbers and others words.

    Raises:
        ValueError: naming the vocabulary and two of its columns.
    """
    first: dict[str, Column] = {}
    for column in columns:
        if column.vocabulary:
            other = first.setdefault(column.vocabulary, column)
            if _is_words(column) != _is_words(other):
                raise ValueError(
                    f"{other.name} and {column.name} share the vocabulary {column.vocabulary}, but only one"
                    " holds words"
                )


def _is_words(column: Column) -> bool:
    return column.type in (Type.STRING, Type.STRING_LIST)
