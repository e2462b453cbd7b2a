"""A table of the lake, and the quarantine of rows that broke a rule."""

from dataclasses import dataclass
from typing import Literal

from feature_repo.define.column import CREATED, EVENT, EVENT_TIMESTAMP, Column, Type
from feature_repo.define.rule import Reference, Rule, column_rules

Kind = Literal["event", "catalogue", "log", "feature"]


@dataclass(frozen=True, slots=True)
class Table:
    """One Delta table.

    Args:
        name: of the table, and its folder in the lake.
        kind: "event" (rows happen at instants), "catalogue" (facts, one row a key), "log" (labelled rows that
            bring along all that is known of them, see `Fields`), or "feature" (the rows of a `View`, which
            also have `event_timestamp` and `created_timestamp`).
        key: the columns that a row is about; of a feature table, the join keys.
        columns: all others.
        description: what it holds, for people.
        unique: columns whose combination occurs once.
        references: to other tables.
        rules: row rules beyond those that the columns imply.
        may_be_empty: whether a lake is sound where it has no rows.
        order: the column that says which row came first: of a log its key, unless another is named.
    """

    name: str
    kind: Kind
    key: tuple[Column, ...]
    columns: tuple[Column, ...]
    description: str
    unique: tuple[str, ...]
    references: tuple[Reference, ...] = ()
    rules: tuple[Rule, ...] = ()
    may_be_empty: bool = False
    order: str = ""

    @property
    def in_time(self) -> str:
        """The column that says which row came first: an instant, or a log's place."""
        return self.order or (self.key[0].name if self.kind == "log" else EVENT_TIMESTAMP)

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """Key, values and, for a feature table, the two timestamps, in stored order."""
        times = (EVENT, CREATED) if self.kind == "feature" else ()
        return self.key + self.columns + times

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, in stored order."""
        return tuple(column.name for column in self.all_columns)

    def column(self, name: str) -> Column:
        """A column by its name.

        Raises:
            KeyError: there is none.
        """
        for column in self.all_columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name}")

    @property
    def row_rules(self) -> tuple[Rule, ...]:
        """The rules that the columns imply, then the table's own."""
        return tuple(rule for column in self.all_columns for rule in column_rules(column)) + self.rules

    @property
    def feature_columns(self) -> tuple[Column, ...]:
        """The columns that a feature table adds to its keys; none of other tables."""
        return self.columns if self.kind == "feature" else ()


QUARANTINE = "quarantine"
QUARANTINE_COLUMNS: tuple[Column, ...] = (
    Column("table", Type.STRING, "The table that the row was meant for."),
    Column("rule", Type.STRING, "The first rule that it broke."),
    Column("reason", Type.STRING, "What is wrong with it, as a sentence."),
    Column("source", Type.STRING, "The file that it came from."),
    Column(
        "row",
        Type.INT64,
        "Its row in that file, counted from 1; null where the file is the row.",
        nullable=True,
    ),
    Column("record", Type.STRING, "The row as it was read."),
)
