"""A view: features of one key, declared with how they are computed."""

from dataclasses import dataclass, replace
from functools import cached_property

from feature_repo.define.column import CREATED_TIMESTAMP, EVENT_TIMESTAMP, Column, Side
from feature_repo.define.mistake import refused
from feature_repo.define.operation import AtLeast, Operation, made_by
from feature_repo.define.rule import Reference
from feature_repo.define.table import Table

BEHAVIOUR = "behaviour"
"""The modality of features unless their view says another."""


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
        needs_rows: why the view may have no row at all, and what to do, as the end of a sentence: a service
            that joins it is then refused. "" where models may do without.

    Raises:
        DeclarationError: the features are no tuple of operations.
    """

    name: str
    by: Column
    over: Over
    features: tuple[Operation, ...]
    description: str
    modality: str = BEHAVIOUR
    needs_rows: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.features, tuple) or not self.features:
            raise refused(self.name, "its features are no tuple of operations, such as (Count(…),)")
        for operation in self.features:
            if not isinstance(operation, Operation):
                raise refused(self.name, f"{operation!r} is no operation")

    @property
    def keys(self) -> tuple[Column, ...]:
        """The key, which a model may read as well."""
        return (self.by,)

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
            DeclarationError: there is no such feature, or an operation makes it together with one that stays.
        """
        kept = tuple(made for made in self.features if not {one.name for one in made_by(made)} <= set(names))
        stays = {column.name for made in kept for column in made_by(made)}
        for name in names:
            if name not in {column.name for column in self.columns}:
                raise refused(self.name, f"there is no feature {name} to leave out")
            if name in stays:
                raise refused(self.name, f"{name} is made together with a feature that is not left out")
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
