"""Typing rows, and judging each by itself: the SQL of it.

A row breaks at most one rule, the first in this order: its shape (`Raw.shape`); each value can be read as
its type; the source's own rules; the table's row rules (`Table.row_rules`).
"""

from collections.abc import Iterable

from feature_repo.define.column import Column, Type, quoted
from feature_repo.define.table import Table
from lake.dialect import double_in_words, literal
from pipelines.sources.readings import given, shown
from pipelines.sources.source import ORIGIN, Fault, Raw

SHOWN_CHARACTERS = 60
"""Of a value that a reason quotes."""


def raw_rows(loaded: str, raw: Raw) -> str:
    """SQL of a source's rows with all of its raw columns.

    Args:
        loaded: the relation of `raw.rows`.
    """
    fields = "".join(f", {value} AS {quoted(name)}" for name, value in raw.fields.items())
    return f"SELECT *{fields} FROM {loaded}"


def judged_rows(rows: str, table: Table, raw: Raw) -> str:
    """SQL that types each row and judges it by itself.

    Args:
        rows: the relation of `raw_rows`.

    Returns:
        Of the table's columns, `ORIGIN`, and `rule` and `reason`: the first rule that the row broke and the
        sentence that says how, both null for a good row. Then, as `guess_column` names them, whether each
        guess was made.
    """
    origin = ", ".join(quoted(name) for name in ORIGIN)
    typed = [f"{reading.value} AS {quoted(reading.column)}" for reading in raw.readings]
    checked = [reading for reading in raw.readings if reading.kind]
    typed += [f"{quoted(reading.raw)} AS {quoted(f'raw {reading.raw}')}" for reading in checked]
    for fault in (*raw.shape, *raw.faults):
        broken, reason = _of_fault(fault)
        typed += [f"{fault.broken} AS {broken}", f"{fault.reason} AS {reason}"]
    guesses = [quoted(guess_column(place)) for place in range(len(raw.all_guesses))]
    typed += [f"{guess.made} AS {name}" for guess, name in zip(raw.all_guesses, guesses, strict=True)]
    faults = [(fault.rule, *_of_fault(fault)) for fault in raw.shape]
    for reading in checked:
        name = quoted(f"raw {reading.raw}")
        broken = f"{given(name, reading.of)} AND {quoted(reading.column)} IS NULL"
        value = _cut(shown(name, reading.of))
        before, after = literal(f"{reading.raw} '"), literal(f"' is not {reading.kind}")
        reason = f"concat({before}, {value}, {after})"
        faults.append((f"{reading.raw}_is_number", broken, reason))
    faults += [(fault.rule, *_of_fault(fault)) for fault in raw.faults]
    faults += _row_faults(table)
    columns = ", ".join(quoted(name) for name in table.column_names)
    rule = _first((broken, literal(name)) for name, broken, _ in faults)
    reason = _first((f"rule = {literal(name)}", reason) for name, _, reason in faults)
    return (
        f"SELECT {', '.join([columns, origin, 'rule', f'{reason} AS reason', *guesses])} FROM ("
        f"SELECT *, {rule} AS rule FROM (SELECT {', '.join(typed)}, {origin} FROM {rows}))"
    )


def _of_fault(fault: Fault) -> tuple[str, str]:
    """The columns that say whether a row broke a rule of the source, and how."""
    return quoted(f"broken {fault.rule}"), quoted(f"reason {fault.rule}")


def guess_column(place: int) -> str:
    """The column of `judged_rows` that is true where the guess at this place was made."""
    return f"guess {place}"


def value_as_text(value: str, column: Column) -> str:
    """SQL of a typed value as text, for people: of an instant in UTC, of a list in brackets."""
    if column.type is Type.STRING:
        return value
    if column.type is Type.FLOAT64:
        return double_in_words(value)
    if column.type is Type.TIMESTAMP:
        return f"CAST(CAST({value} AS TIMESTAMP) AS STRING)"
    if column.type.is_list:
        text = double_in_words("x") if column.type is Type.FLOAT64_LIST else "CAST(x AS STRING)"
        texts = f"transform({value}, x -> coalesce({text}, 'nothing'))"
        return f"'[' || array_join({texts}, ', ') || ']'"
    return f"CAST({value} AS STRING)"


def _row_faults(table: Table) -> list[tuple[str, str, str]]:
    """Name, SQL that is true for a row that breaks it, and SQL of the reason, of each of a table's rules."""
    faults = []
    for rule in table.row_rules:
        reason = literal(rule.reason)
        if rule.column and rule.kind != "present":
            value = value_as_text(quoted(rule.column), table.column(rule.column))
            reason = f"concat({reason}, ': ', {_cut(value)})"
        # A predicate that is null counts as false.
        faults.append((rule.name, f"NOT coalesce({rule.predicate}, false)", reason))
    return faults


def _cut(text: str) -> str:
    return f"coalesce(substring({text}, 1, {SHOWN_CHARACTERS}), 'nothing')"


def _first(cases: Iterable[tuple[str, str]]) -> str:
    """SQL of the value of the first case that holds; null where none does."""
    return f"CASE {' '.join(f'WHEN {condition} THEN {value}' for condition, value in cases)} END"
