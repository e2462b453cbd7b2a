"""How a column of a source becomes a typed one: SQL that Spark and DuckDB both run (`lake.dialect`).

A raw column is text, or has numbers in it, or instants; the source knows which, and says it as `of`.
"""

from dataclasses import dataclass
from typing import Literal

from feature_repo.define.column import quoted
from lake.dialect import LARGEST_DOUBLE, double_in_words
from pipelines.sources import written_instants

Kind = Literal["text", "whole", "fraction", "instant"]
"""What a raw column holds: strings, BIGINT, DOUBLE, or TIMESTAMP."""

BLANKS = " \t\r\n"
EARLIEST, LATEST = "-6.2e10", "1e11"
EARLIEST_MICROS, LATEST_MICROS = "-62000000000000000", "100000000000000000"
"""Seconds, and microseconds, since 1970, of the years 5 and 5138; calendars end not far from there. Numbers
that are farther off cannot be read: most are milliseconds. What is written out is brought here, which no time
rule lets pass."""
WHOLE_NUMBER = "a whole number"
NUMBER = "a number"
SECONDS = "an instant in seconds (not milliseconds) since 1970"
WHEN = f"seconds since 1970, nor an instant such as {written_instants.EXAMPLE}"


@dataclass(frozen=True, slots=True)
class Guess:
    """What is read in one way although it might mean another, which people are told of.

    Args:
        made: SQL over the raw columns, true for a row that is read so.
        what: is guessed of a row, such as "line".
        says: how it is read, as what follows "1 line is".
        remedy: what to do where the guess is wrong.
    """

    made: str
    what: str
    says: str
    remedy: str

    def note(self, count: int, source: str, row: int) -> str:
        """A sentence on the rows that are read so.

        Args:
            count: how many there are.
            source, row: the first of them.
        """
        what = f"1 {self.what} is" if count == 1 else f"{count:,} {self.what}s are"
        return f"{source}: {what} {self.says} (the first in row {row}); {self.remedy}."


@dataclass(frozen=True, slots=True)
class Reading:
    """How one column of a source becomes a typed one.

    Args:
        column: the typed column.
        raw: the source's column.
        value: SQL of the typed value; null where the raw one cannot be read.
        kind: what the raw value has to be, such as "a number"; "" where anything can be read.
        of: what the raw column holds.
        guess: what is guessed in reading it; None where nothing is.
    """

    column: str
    raw: str
    value: str
    kind: str
    of: Kind
    guess: Guess | None = None


def given(name: str, of: Kind) -> str:
    """SQL, true where a raw column has a value. An empty field is missing, not a failed number."""
    return f"{_trimmed(name)} != ''" if of == "text" else f"{name} IS NOT NULL"


def shown(name: str, of: Kind) -> str:
    """SQL of a raw value as text, for people."""
    if of == "text":
        return name
    return double_in_words(name) if of == "fraction" else f"CAST({name} AS STRING)"


def whole_number(column: str, raw: str = "", of: Kind = "text", kind: str = WHOLE_NUMBER) -> Reading:
    """A whole number: "7", 7.0, and "7.0", which is how pandas writes ids after a merge.

    Args:
        raw: the source's column; of the same name where "".
    """
    name = quoted(raw or column)
    if of == "text":
        text = _trimmed(name)
        value = (
            f"CASE WHEN regexp_like({text}, '^[-+]?[0-9]+([.]0*)?$') "
            f"THEN try_cast(split_part({text}, '.', 1) AS BIGINT) END"
        )
    elif of == "fraction":
        # Beyond 2^63 a cast would fail, or give the largest whole number.
        value = f"CASE WHEN abs({name}) < 9.2e18 AND {name} = floor({name}) THEN CAST({name} AS BIGINT) END"
    else:
        value = name
    return _reading(column, raw, value, kind, of)


def number(column: str, raw: str = "", of: Kind = "text", kind: str = NUMBER) -> Reading:
    """A finite number. Engines take "3.5d", "NaN", "1_000" and "0x1p3" for numbers; people do not."""
    return _reading(column, raw, _number(quoted(raw or column), of), kind, of)


def instant(column: str, raw: str = "", of: Kind = "text") -> Reading:
    """An instant, to the microsecond, from seconds since 1970, whole or not; a TIMESTAMP stays as it is.

    A text may be an instant that is written out (`written_instants`), too.
    """
    name = quoted(raw or column)
    if of == "instant":
        return _reading(column, raw, name, "", of)
    seconds = _number(name, of)
    micros = f"CAST(floor(({seconds}) * 1000000 + 0.5) AS BIGINT)"
    cases = f"WHEN ({seconds}) BETWEEN {EARLIEST} AND {LATEST} THEN timestamp_micros({micros})"
    if of != "text":
        return _reading(column, raw, f"CASE {cases} END", SECONDS, of)
    text = _trimmed(name)
    near = f"greatest(least({written_instants.micros(text)}, {LATEST_MICROS}), {EARLIEST_MICROS})"
    cases += f" WHEN {written_instants.is_instant(text)} THEN timestamp_micros({near})"
    guess = Guess(
        written_instants.lacks_zone(text),
        "time",
        "without a time zone and read in UTC",
        "add the zone, such as +02:00, if they mean another",
    )
    return Reading(column, raw or column, f"CASE {cases} END", WHEN, of, guess)


def text(column: str, raw: str = "") -> Reading:
    """Text without the blanks around it; of nothing else, none."""
    return _reading(column, raw, f"nullif({_trimmed(quoted(raw or column))}, '')", "", "text")


def words(column: str, raw: str = "", separator: str = "|") -> Reading:
    """Words joined by a separator, as a list, sorted and distinct; of "", an empty one."""
    parts = f"transform(split({quoted(raw or column)}, '[{separator}]'), x -> {_trimmed('x')})"
    value = f"array_sort(array_distinct(filter({parts}, x -> x != '')))"
    return _reading(column, raw, value, "", "text")


def as_it_is(column: str, raw: str = "") -> Reading:
    """A value that the source has typed itself."""
    return _reading(column, raw, quoted(raw or column), "", "whole")


def _reading(column: str, raw: str, value: str, kind: str, of: Kind) -> Reading:
    return Reading(column, raw or column, value, kind, of)


def _number(name: str, of: Kind) -> str:
    if of == "text":
        text = _trimmed(name)
        double = f"try_cast({text} AS DOUBLE)"
        plain = f"regexp_like({text}, '^[-+]?[0-9.]+([eE][-+]?[0-9]+)?$')"
        return f"CASE WHEN {plain} AND abs({double}) < {LARGEST_DOUBLE} THEN {double} END"
    if of == "fraction":
        return f"CASE WHEN abs({name}) < {LARGEST_DOUBLE} THEN {name} END"
    return f"CAST({name} AS DOUBLE)"


def _trimmed(name: str) -> str:
    return f"btrim({name}, '{BLANKS}')"
