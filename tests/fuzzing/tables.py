"""Tables of typed files, changed column by column."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pyarrow as pa

from tests.fuzzing.columns import NAMES, neither, retyped, with_odd_values


@dataclass
class Typed:
    """A table of a typed file.

    Args:
        names: of the columns.
        columns: their values.
        roles: what each column is; None for one that nobody reads.
        must: whether all that was done to it leaves it a file that can be read.
        known: whether it can be said what its rows mean.
    """

    names: list[str]
    columns: list[pa.Array]
    roles: list[str | None]
    must: bool = True
    known: bool = True
    bases: dict[str, list[object]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    @property
    def table(self) -> pa.Table:
        return pa.Table.from_arrays(self.columns, names=self.names)

    def role(self, name: str) -> pa.Array | None:
        """The first column of a role."""
        return next(
            (column for column, role in zip(self.columns, self.roles, strict=True) if role == name), None
        )


Change = Callable[[Random, Typed], None]


def another_type(random: Random, typed: Typed) -> None:
    at = _read(random, typed)
    if at is not None and typed.roles[at] in typed.bases:
        typed.columns[at] = retyped(random, typed.bases[typed.roles[at] or ""][: typed.rows])


def other_values(random: Random, typed: Typed) -> None:
    at = _read(random, typed)
    if at is not None and typed.rows:
        typed.columns[at] = with_odd_values(random, typed.columns[at])


def another_column(random: Random, typed: Typed) -> None:
    at = random.randrange(len(typed.names) + 1)
    name = random.choice(NAMES)
    typed.names.insert(at, name)
    typed.roles.insert(at, None)
    typed.columns.insert(at, neither(random, typed.rows))


def reorder(random: Random, typed: Typed) -> None:
    order = random.sample(range(len(typed.names)), len(typed.names))
    for row in (typed.names, typed.columns, typed.roles):
        row[:] = [row[at] for at in order]  # type: ignore[index]


KEPT: tuple[Change, ...] = (another_type, another_type, other_values, other_values, another_column, reorder)


def less_one_column(random: Random, typed: Typed) -> None:
    at = random.randrange(len(typed.names))
    for row in (typed.names, typed.columns, typed.roles):
        del row[at]


def a_column_twice(random: Random, typed: Typed) -> None:
    at = random.randrange(len(typed.names))
    for row in (typed.names, typed.columns, typed.roles):
        row.append(row[at])  # type: ignore[attr-defined]


def of_no_use(random: Random, typed: Typed) -> None:
    """A column that is read, of a type that it cannot be of."""
    at = _read(random, typed)
    if at is not None:
        typed.columns[at] = neither(random, typed.rows)


def no_rows(_: Random, typed: Typed) -> None:
    typed.columns = [column.slice(0, 0) for column in typed.columns]


def nulls(random: Random, typed: Typed) -> None:
    at = _read(random, typed)
    if at is not None:
        typed.columns[at] = pa.nulls(typed.rows, random.choice((pa.null(), typed.columns[at].type)))


def another_name(random: Random, typed: Typed) -> None:
    typed.names[random.randrange(len(typed.names))] = random.choice(NAMES)


REFUSED: tuple[Change, ...] = (less_one_column, a_column_twice, of_no_use, no_rows, nulls, another_name)


def change(random: Random, typed: Typed) -> None:
    """Change a table, most often so that it can still be read."""
    for _ in range(random.randrange(4)):
        random.choice(KEPT)(random, typed)
    if random.random() < 0.25 and typed.names:
        typed.must = False
        random.choice(REFUSED)(random, typed)


def _read(random: Random, typed: Typed) -> int | None:
    """The place of a column that is read."""
    places = [at for at, role in enumerate(typed.roles) if role is not None]
    return random.choice(places) if places else None
