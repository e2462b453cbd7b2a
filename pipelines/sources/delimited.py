"""The fields of a delimited line, as SQL over its `record` (see `lake.dialect`); columns found by name."""

import csv
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lake.dialect import literal
from pipelines.sources.source import Fault

RECORD = "record"


def canonical(name: str) -> str:
    """A column's name without what people vary: `userId`, `user_id` and `USER ID` are one."""
    return "".join(character for character in name.lower() if character.isalnum())


def split_quoted(line: str) -> list[str]:
    """The fields of a line of CSV; none of a line that is blank, or with a field that is absurdly long."""
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


class Columns(NamedTuple):
    """Where columns are among those of a file.

    Args:
        places: of those that are there, by name.
        lacking: those that are not.
        why: not all can be read, in words; "" where they can.
    """

    places: dict[str, int]
    lacking: tuple[str, ...]
    why: str


def find_columns(names: Sequence[str], wanted: Mapping[str, Sequence[str]]) -> Columns:
    """Where the wanted columns are among those of a file.

    Args:
        names: the file's columns, in order.
        wanted: what each may be called; its own name is among these.
    """
    found = [canonical(name) for name in names]
    places = {}
    for column, called in wanted.items():
        here = [
            at for at, name in enumerate(found) if name in {canonical(name) for name in (column, *called)}
        ]
        if len(here) > 1:
            several = ", ".join(names[at] for at in here)
            return Columns({}, (), f"has several columns for {column}: {several}")
        if here:
            places[column] = here[0]
    lacking = tuple(column for column in wanted if column not in places)
    return Columns(places, lacking, f"lacks the column {', '.join(lacking)}" if lacking else "")


def fields(places: Mapping[str, int], width: int, separator: str, quoted: bool = False) -> dict[str, str]:
    """SQL of some fields of a line; null or "" where the line lacks them.

    What follows the last separator stays in the last field, so that a line with too many fields has something
    in it that cannot be read.

    Args:
        places: the fields by name, counted from 0.
        width: how many a line has.
        separator: of ordinary characters.
        quoted: whether a field may stand in quotes, which then may hold separators, and quotes twice.
    """
    found = {}
    for name, place in places.items():
        field = f"get(split({RECORD}, {literal(separator)}, {width}), {place})"
        if quoted:
            value = f"btrim({_extracted(place, width, separator)}, ' ')"
            inner = f"replace(substring({value}, 2, length({value}) - 2), '\"\"', '\"')"
            in_quotes = f"CASE WHEN {value} LIKE '\"%\"' THEN {inner} ELSE {value} END"
            field = f"CASE WHEN instr({RECORD}, '\"') = 0 THEN {field} ELSE {in_quotes} END"
        found[name] = field
    return found


def surplus(places: Mapping[str, int], width: int, separator: str, quoted: bool = False) -> tuple[Fault, ...]:
    """The rule that a line has no more fields than its header, where no field that is read would tell.

    Args:
        quoted: as in `fields`.
    """
    if width - 1 in places.values():
        return ()
    more = f"size(split({RECORD}, {literal(separator)})) > {width}"
    if quoted:
        last = _extracted(width - 1, width, separator)
        goes_on = f"regexp_like({last}, {literal(f'^{_field(separator)}{separator}')})"
        more = f"CASE WHEN instr({RECORD}, '\"') = 0 THEN {more} ELSE {goes_on} END"
    return (Fault("fields_are_those_of_the_header", more, f"'the line has more than {width} fields'"),)


def width_is(width: int, separator: str, quoted: bool = False) -> Fault:
    """The rule that a line has just so many fields.

    Args:
        quoted: as in `fields`.
    """
    found = f"(length({RECORD}) - length(replace({RECORD}, {literal(separator)}, '')) + 1)"
    broken, reason = f"{found} != {width}", _has_columns(found, width)
    if quoted:
        whole = literal(f"^({_field(separator)}{separator}){{{width - 1}}}{_field(separator)}$")
        plain = f"instr({RECORD}, '\"') = 0"
        broken = f"CASE WHEN {plain} THEN {broken} ELSE NOT regexp_like({RECORD}, {whole}) END"
        mixed = f"'the line has other than {width} columns, or a quote that is not closed'"
        reason = f"CASE WHEN {plain} THEN {reason} ELSE {mixed} END"
    return Fault("columns_are_complete", broken, reason)


def _has_columns(found: str, width: int) -> str:
    """SQL of how many columns a line has."""
    return f"concat('the line has ', CAST({found} AS STRING), ' columns, not {width}')"


def _extracted(place: int, width: int, separator: str) -> str:
    """SQL of a field of a line with quotes, "" where it lacks it; of the last field, with all that follows.

    A quote that is not closed ends what can be read of its line.
    """
    field = _field(separator)
    wanted = ".*" if place == width - 1 > 0 else field
    # One group: engines have no names for more than nine.
    pattern = f"^{f'{field}{separator}' * place}({wanted})"
    return f"regexp_extract({RECORD}, {literal(pattern)}, 1)"


def _field(separator: str) -> str:
    """A pattern of one field: in quotes, plain, or empty."""
    return f'(?: *"(?:[^"]|"")*" *| *[^"{separator} ][^{separator}]*| *)'
