"""What tables and views must satisfy: each check says in one sentence what contradicts what.

Names are free, whatever words and characters they are made of, but for those of features that are taken, or
that Feast could not refer to.
"""

import math
from collections.abc import Iterable
from typing import get_args

from feature_repo.define import role
from feature_repo.define.column import (
    CREATED_TIMESTAMP,
    EVENT_TIMESTAMP,
    STATE,
    Column,
    Side,
    Type,
)
from feature_repo.define.fields import Fields
from feature_repo.define.mistake import DeclarationError, refused
from feature_repo.define.operation import (
    AtLeast,
    Count,
    Fact,
    FirstAt,
    LastAt,
    LastK,
    MeanStd,
    Operation,
    TopK,
    made_by,
)
from feature_repo.define.table import Table
from feature_repo.define.view import Over, View

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

COMPUTED: dict[type[Operation], dict[Type | None, Type]] = {
    Count: {None: Type.INT64},
    FirstAt: {None: Type.TIMESTAMP},
    LastAt: {None: Type.TIMESTAMP},
    MeanStd: {Type.INT64: Type.FLOAT64, Type.FLOAT64: Type.FLOAT64},
    TopK: {Type.STRING_LIST: Type.STRING_LIST},
    LastK: {
        Type.INT64: Type.INT64_LIST,
        Type.STRING: Type.STRING_LIST,
        Type.STRING_LIST: Type.STRING_LIST,
    },
    Fact: {kind: kind for kind in Type},
}
"""By operation, the types that it can be computed from (None for no column), each with that of the result."""

INNER = "_"
"""Begins the names of columns that there are only while features are computed, joined or audited."""
REFERS = ":"
"""Parts the name of a view from that of a feature where Feast refers to it."""

FILLS: dict[Type, tuple[type, ...]] = {
    Type.INT64: (int,),
    Type.INT64_LIST: (int,),
    Type.STRING: (str,),
    Type.STRING_LIST: (str,),
}
"""What may be filled in where it is not any number."""


# --- tables -----------------------------------------------------------------------------------------------


def check_table(table: Table) -> None:
    """Refuse a table of events, a catalogue or a log that contradicts itself.

    Raises:
        DeclarationError: it has no key, two columns have one name, what it names is no column of it, events
            have no instant, what is ordered by has no order, or a column contradicts itself.
    """
    if table.kind not in ("event", "catalogue", "log"):
        raise refused(table.name, f"it comes from outside, so it is no table of kind {table.kind!r}")
    if not table.key:
        raise refused(table.name, "it has no key")
    _check_different(table.name, [column.name for column in table.all_columns], "column")
    instants = [column for column in table.all_columns if column.type is Type.TIMESTAMP]
    if table.kind == "event" and EVENT_TIMESTAMP not in [column.name for column in instants]:
        raise refused(table.name, f"events need a column {EVENT_TIMESTAMP} of type {Type.TIMESTAMP.value}")
    for name in (*table.unique, *(reference.column for reference in table.references)):
        if name not in table.column_names:
            raise refused(table.name, f"it has no column {name}")
    if table.kind == "log":
        order = [column.type for column in table.all_columns if column.name == table.in_time]
        if order not in ([Type.INT64], [Type.TIMESTAMP]):
            raise refused(table.name, f"it has no place or instant {table.in_time} to be ordered by")
    for column in table.all_columns:
        check_column(table.name, column)


def check_column(where: str, column: Column) -> None:
    """Refuse a column whose type does not go with the rest of it.

    Args:
        where: its table or view, for the sentence.

    Raises:
        DeclarationError: it has no name, its range is empty, no number has the range or step, no list has the
            length, or what it is filled with is no value of it.
    """
    name, kind = column.name, column.type
    if not name:
        raise refused(where, "a column has no name")
    if not isinstance(kind, Type):
        raise refused(where, f"the type of {name} is {kind!r}, not one of Type")
    is_numbers = kind.is_number or kind in (Type.INT64_LIST, Type.FLOAT64_LIST)
    if not is_numbers and (column.low, column.high) != (None, None):
        raise refused(where, f"{name} is {kind.value}, and only numbers have a range (low, high)")
    if column.low is not None and column.high is not None and column.low > column.high:
        raise refused(where, f"the range of {name} is empty: low {column.low:g} is over high {column.high:g}")
    if column.step is not None and not (kind.is_number and 0 < column.step < math.inf):
        raise refused(where, f"the step of {name} is {column.step}: it is above 0, and of a number")
    if column.length is not None and not (kind.is_list and column.length >= 1):
        raise refused(where, f"the length of {name} is {column.length}: it is at least 1, and of a list")
    if column.fill is not None and not isinstance(column.fill, FILLS.get(kind, (int, float))):
        raise refused(where, f"{name} is {kind.value}, which {column.fill!r} does not fill")


# --- views ------------------------------------------------------------------------------------------------


def check_view(view: View) -> None:
    """Refuse a view that contradicts itself.

    Raises:
        DeclarationError: the key has no side or is no `Id`; something is joined that cannot be; an operation
            reads a column that is not there or of which it cannot be computed, or makes one of another type;
            a feature has no role or one that its type cannot play; a name is taken; sums are not exact; a
            list has no length.
    """
    _check_key(view)
    _check_rows(view)
    for operation in view.features:
        _check_read(view, operation)
    _check_names(view)
    for column in (view.by, *view.columns):
        check_column(view.name, column)
        check_role(view.name, column)
    for operation in view.features:
        _check_made(view, operation)


def _check_key(view: View) -> None:
    by, table = view.by, view.over.table
    if not by.side:
        raise refused(view.name, f"its key {by.name} has no side")
    if by.side not in get_args(Side):
        raise refused(view.name, f"the side of its key {by.name} is {by.side!r}, not user, item or context")
    if not isinstance(by.role, role.Id):
        raise refused(view.name, f"the role of its key {by.name} is not Id")
    if by.name not in table.column_names:
        raise refused(view.name, f"{table.name} has no column {by.name}")
    if by.type is not table.column(by.name).type:
        has = table.column(by.name).type.value
        raise refused(view.name, f"its key {by.name} is {by.type.value}, which {table.name} holds as {has}")


def _check_rows(view: View) -> None:
    """The rows that features are computed from."""
    over, joined = view.over, view.over.joined
    if view.is_timeless and joined is not None:
        raise refused(view.name, "facts come from one catalogue, nothing is joined to it")
    if joined is not None:
        if joined.kind != "catalogue" or len(joined.key) != 1:
            raise refused(view.name, f"{joined.name} is no catalogue of one key, so it cannot be joined")
        (key,) = joined.key
        if key.name not in over.table.column_names or over.column(key.name).type is not key.type:
            raise refused(view.name, f"{over.table.name} has no {key.name} by which to join {joined.name}")
    if over.where is not None:
        _check_condition(view.name, over, over.where)


def _check_condition(where: str, over: Over, condition: AtLeast) -> None:
    column, value = condition.column, condition.value
    if column not in over.column_names:
        raise refused(where, f"there is no column {column} to compute from")
    if not over.column(column).type.is_number:
        raise refused(
            where, f"{column} is {over.column(column).type.value}, so no value of it is at least {value}"
        )
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise refused(where, f"{column} is compared with {value!r}, which is no number")


def _check_read(view: View, operation: Operation) -> None:
    """What an operation is computed from."""
    kind = type(operation).__name__
    if isinstance(operation, Fact) != view.is_timeless:
        raise refused(view.name, "facts come from a catalogue, all other features from events")
    of = _of(operation)
    if of is not None:
        if of not in view.over.column_names:
            raise refused(view.name, f"there is no column {of} to compute from")
        found = view.over.column(of).type
        if found not in COMPUTED[type(operation)]:
            types = _either(COMPUTED[type(operation)])
            raise refused(view.name, f"{of} is {found.value}, but {kind} is computed from {types}")
    if isinstance(operation, MeanStd):
        if view.over.column(operation.of).step is None:
            raise refused(view.name, f"{of} has no step, so sums of it would not be exact")
        if not math.isfinite(operation.origin):
            raise refused(view.name, f"the origin of {of} is {operation.origin}, which is no number")
    if isinstance(operation, TopK) and operation.where is not None:
        _check_condition(view.name, view.over, operation.where)


def _check_made(view: View, operation: Operation) -> None:
    """What an operation makes."""
    of = _of(operation)
    read = None if of is None else view.over.column(of)
    wanted = COMPUTED[type(operation)][None if read is None else read.type]
    kind = type(operation).__name__
    for column in made_by(operation):
        if isinstance(operation, TopK | LastK) and not column.length:
            raise refused(view.name, f"{column.name} needs a length, which is the k")
        if column.type is not wanted:
            what = kind if read is None else f"{kind} of {read.name}, {read.type.value},"
            raise refused(view.name, f"{column.name} is {column.type.value}, but {what} makes {wanted.value}")
        if (
            read is not None
            and read.nullable
            and isinstance(operation, MeanStd | Fact)
            and not column.nullable
        ):
            raise refused(
                view.name, f"{read.name} may be missing, and {column.name} with it, so that must be nullable"
            )
        separator = getattr(column.role, "separator", "")
        if isinstance(operation, LastK) and read is not None and read.type.is_list and not separator:
            raise refused(
                view.name,
                f"{column.name} makes one word of each list of {read.name}, so its role needs a separator",
            )


def _check_names(view: View) -> None:
    """The names of features."""
    features = [column.name for column in view.columns]
    _check_different(view.name, features, "feature")
    taken = {
        view.by.name: "its key",
        EVENT_TIMESTAMP: "its instant",
        CREATED_TIMESTAMP: "when it was written",
    }
    if not view.is_timeless:
        if STATE in _names_read(view):
            raise refused(view.name, f"no column may be called {STATE}, where totals are kept")
        taken = dict.fromkeys(_names_read(view), "what it is computed from") | taken
        taken |= {STATE: "where totals are kept"}
    told = {name.lower(): what for name, what in taken.items()}
    for name in features:
        if name.lower() in told:
            raise refused(view.name, f"no feature may be called {name}, which is {told[name.lower()]}")
        if name.startswith(INNER):
            raise refused(view.name, f"{name} begins with {INNER}, as only what is computed in between does")
        if REFERS in name:
            raise refused(view.name, f"{name} has a {REFERS} in it, which parts view and feature in Feast")


def _names_read(view: View) -> set[str]:
    """The columns that a view of events is computed from."""
    conditions = [view.over.where, *(getattr(operation, "where", None) for operation in view.features)]
    columns = [_of(operation) for operation in view.features]
    columns += [condition.column for condition in conditions if condition is not None]
    keys = [column.name for column in view.over.table.key]
    return {EVENT_TIMESTAMP, *keys, *(name for name in columns if name is not None)}


def _of(operation: Operation) -> str | None:
    return getattr(operation, "of", None)


def _check_different(where: str, names: list[str], what: str) -> None:
    """Spark and DuckDB tell no capital from a small letter."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise refused(
                where, f"{other} and {name} differ by capitals only, which engines do not tell apart"
            )
    if len(seen) != len(names):
        (first, *_) = (name for name in names if names.count(name) > 1)
        raise refused(where, f"a {what} is declared twice: {first}")


def _either(types: Iterable[Type | None]) -> str:
    return " or ".join(kind.value for kind in types if kind is not None)


# --- fields ----------------------------------------------------------------------------------------------


def check_fields(where: str, fields: Iterable[Fields]) -> None:
    """Refuse fields of a log that no model could read.

    Args:
        where: the log, for the sentence.
        fields: its groups.

    Raises:
        DeclarationError: a group has no side, a column no role or one that its type cannot play, two have one
            name, or a vocabulary holds both numbers and words.
    """
    groups = tuple(fields)
    columns = [column for group in groups for column in group.columns]
    for group in groups:
        if not group.side or group.side not in get_args(Side):
            raise refused(where, f"the side of {group.name} is {group.side!r}, not user, item or context")
    _check_different(where, [column.name for column in columns], "field")
    for column in columns:
        check_role(where, column)
    check_vocabularies(columns)


# --- roles ------------------------------------------------------------------------------------------------


def check_role(where: str, column: Column) -> None:
    """Refuse a feature whose role does not go with its type.

    Args:
        where: the view, for the sentence.
        column: the feature.

    Raises:
        DeclarationError: naming both.
    """
    if column.role is None:
        raise refused(where, f"{column.name} has no role, so no model would read it")
    if isinstance(column.role, type):
        raise refused(where, f"the role of {column.name} is a class: write {column.role.__name__}(…)")
    name = type(column.role).__name__
    if type(column.role) not in TYPES_OF:
        raise refused(where, f"no model reads a column of role {name}, which {column.name} has")
    allowed = TYPES_OF[type(column.role)]
    if column.type not in allowed:
        raise refused(
            where, f"{column.name} is {column.type.value}, but its role {name} needs {_either(allowed)}"
        )
    match column.role:
        case role.Sequence() if column.length is None:
            raise refused(where, f"{column.name} is a sequence, so it needs a length")
        case role.Sequence(separator=joins) if joins and column.type is not Type.STRING_LIST:
            raise refused(where, f"{column.name} has a separator, but it is no list of words")
        case role.Vector(width=width) if column.length not in (None, width):
            raise refused(where, f"{column.name} is a vector of {width} numbers, not {column.length}")


def check_vocabularies(columns: Iterable[Column]) -> None:
    """Refuse columns of one vocabulary of which some hold whole numbers and others words.

    Raises:
        DeclarationError: naming the vocabulary and two of its columns.
    """
    first: dict[str, Column] = {}
    for column in columns:
        if column.vocabulary:
            other = first.setdefault(column.vocabulary, column)
            if _is_words(column) != _is_words(other):
                raise DeclarationError(
                    f"{other.name} and {column.name} share the vocabulary {column.vocabulary}, but only one"
                    " holds words."
                )


def _is_words(column: Column) -> bool:
    return column.type in (Type.STRING, Type.STRING_LIST)
