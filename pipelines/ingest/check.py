"""Parting a table's raw rows into good and bad: row by row, then by uniqueness and references."""

from collections.abc import Mapping
from dataclasses import dataclass

from feature_repo.define.column import quoted
from feature_repo.define.domain import Domain
from feature_repo.define.rule import Reference
from feature_repo.define.table import QUARANTINE_COLUMNS, Table
from lake.dialect import literal
from pipelines.ingest.engine import PREFIX, Engine
from pipelines.ingest.judge import guess_column, judged_rows, raw_rows
from pipelines.sources.source import ORIGIN, Raw

FIRST_OF = ", ".join(f"{quoted(name)} NULLS FIRST" for name in ORIGIN)
"""How the rows of a source are ordered."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A table's rows, parted.

    Args:
        table: whose.
        good: the relation of the table's columns and `ORIGIN`; no two rows are equal in `Table.unique`.
        bad: the relation of the quarantine's columns.
        read: rows in both together.
        left_out: further rows, which were not asked for.
        notes: sentences on what was guessed in reading them.
    """

    table: Table
    good: str
    bad: str
    read: int
    left_out: int
    notes: tuple[str, ...]


def check(engine: Engine, domain: Domain, table: Table, raw: Raw, known: Mapping[str, str]) -> Checked:
    """Part a table's raw rows.

    Args:
        known: the relation of the keys, in one column `known`, of each table that this one refers to.
    """
    prefix = f"{PREFIX}_{table.name}"
    engine.load(f"{prefix}_loaded", raw.rows)
    engine.view(f"{prefix}_raw", raw_rows(f"{prefix}_loaded", raw))
    asked, left_out = f"{prefix}_raw", 0
    if raw.asked:
        asked = f"{prefix}_asked"
        engine.view(asked, f"SELECT * FROM {prefix}_raw WHERE coalesce({raw.asked}, true)")
        left_out = count(engine, f"{prefix}_raw WHERE NOT coalesce({raw.asked}, true)")
    if table.kind == "log":
        _judge_log(engine, table, raw, asked, prefix)
    else:
        engine.keep(f"{prefix}_judged", judged_rows(asked, table, raw))
    read, notes = _read(engine, raw, f"{prefix}_judged" if table.kind != "log" else f"{prefix}_guessed")
    bad = [_quarantined(table, f"{prefix}_judged WHERE rule IS NOT NULL")]
    good, twins = _part_twins(engine, table, f"{prefix}_judged", prefix)
    bad += twins
    for reference in table.references:
        good, lacking = _part_references(engine, domain, table, good, reference, known[reference.table])
        bad.append(lacking)
    engine.view(f"{prefix}_bad", " UNION ALL ".join(bad))
    return Checked(table, good, f"{prefix}_bad", read, left_out, notes)


def count(engine: Engine, rows: str) -> int:
    """How many rows a relation has."""
    return int(engine.fetch(f"SELECT count(*) AS n FROM {rows}").column("n")[0].as_py())


def _judge_log(engine: Engine, table: Table, raw: Raw, asked: str, prefix: str) -> None:
    """Name what is judged of a log, whose rows are many, wide, and stand for themselves; and its guesses."""
    if raw.reads_text and not raw.asked:
        rows = f"({raw_rows(f'{prefix}_loaded', raw)})"
        engine.again(f"{prefix}_judged", judged_rows(rows, table, raw), f"{prefix}_loaded")
    else:
        engine.again(f"{prefix}_judged", judged_rows(asked, table, raw))
    made = "".join(
        f", {guess.made} AS {quoted(guess_column(place))}" for place, guess in enumerate(raw.all_guesses)
    )
    engine.view(f"{prefix}_guessed", f"SELECT `source`, `row`, `record`{made} FROM {asked}")


def _read(engine: Engine, raw: Raw, judged: str) -> tuple[int, tuple[str, ...]]:
    """How many rows there are, and sentences on what was guessed of them, in one pass."""
    columns = [quoted(guess_column(place)) for place in range(len(raw.all_guesses))]
    made = "".join(f", count_if({column}) AS {column}" for column in columns)
    (found,) = engine.fetch(f"SELECT count(*) AS n{made} FROM {judged}").to_pylist()
    notes = []
    for place, (guess, column) in enumerate(zip(raw.all_guesses, columns, strict=True)):
        if found[guess_column(place)]:
            of_first = f"SELECT `source`, `row` FROM {judged} WHERE {column} ORDER BY {FIRST_OF} LIMIT 1"
            (first,) = engine.fetch(of_first).to_pylist()
            notes.append(guess.note(int(found[guess_column(place)]), **first))
    return int(found["n"]), tuple(notes)


def _quarantined(table: Table, rows: str, rule: str = "rule", reason: str = "reason") -> str:
    """SQL of rows of the quarantine."""
    values = {"table": literal(table.name), "rule": rule, "reason": reason}
    columns = [f"{values.get(c.name, quoted(c.name))} AS {quoted(c.name)}" for c in QUARANTINE_COLUMNS]
    return f"SELECT {', '.join(columns)} FROM {rows}"


def _part_twins(engine: Engine, table: Table, judged: str, prefix: str) -> tuple[str, list[str]]:
    """Of good rows equal in the unique columns the first in its source, and SQL of the others."""
    unique = ", ".join(quoted(name) for name in table.unique)
    columns = ", ".join(quoted(name) for name in (*table.column_names, *ORIGIN))
    good = f"{prefix}_unique"
    if table.kind == "log":  # its source numbers the rows
        engine.view(good, f"SELECT {columns} FROM {judged} WHERE rule IS NULL")
        return good, []
    # A hash that occurs twice is a suspect; only the rows of suspects are compared by their true values.
    engine.view(f"{prefix}_hashed", f"SELECT *, xxhash64({unique}) AS hash FROM {judged} WHERE rule IS NULL")
    engine.keep(
        f"{prefix}_suspects",
        f"SELECT hash FROM (SELECT hash, count(*) AS n FROM {prefix}_hashed GROUP BY hash) WHERE n > 1",
    )
    if not count(engine, f"{prefix}_suspects"):
        engine.view(good, f"SELECT {columns} FROM {judged} WHERE rule IS NULL")
        return good, []
    suspected = f"EXISTS (SELECT 1 FROM {prefix}_suspects AS other WHERE other.hash = mine.hash)"
    engine.keep(
        f"{prefix}_twins",
        f"SELECT {columns}, row_number() OVER twins AS twin, "
        "first_value(`source`) OVER twins AS first_source, first_value(`row`) OVER twins AS first_row "
        f"FROM {prefix}_hashed AS mine WHERE {suspected} "
        f"WINDOW twins AS (PARTITION BY {unique} ORDER BY {FIRST_OF})",
    )
    engine.view(
        good,
        f"SELECT {columns} FROM {prefix}_hashed AS mine WHERE NOT {suspected} "
        f"UNION ALL SELECT {columns} FROM {prefix}_twins WHERE twin = 1",
    )
    names = " and ".join(name for name in (", ".join(table.unique[:-1]), table.unique[-1]) if name)
    row = "CASE WHEN first_row IS NULL THEN '' ELSE concat(' row ', CAST(first_row AS STRING)) END"
    reason = f"concat({literal(f'the same {names} came before, in ')}, first_source, {row})"
    twins = f"{prefix}_twins WHERE twin > 1"
    return good, [_quarantined(table, twins, literal(unique_rule(table)), reason)]


def unique_rule(table: Table) -> str:
    """The name of the rule that a table's rows are unique."""
    return f"{table.name}_are_unique"


def _part_references(
    engine: Engine, domain: Domain, table: Table, rows: str, reference: Reference, known: str
) -> tuple[str, str]:
    """The rows whose reference exists, and SQL of the others."""
    exists = f"EXISTS (SELECT 1 FROM {known} AS other WHERE other.known = mine.{quoted(reference.column)})"
    good = f"{rows}_in_{reference.table}"
    engine.view(good, f"SELECT * FROM {rows} AS mine WHERE {exists}")
    target = domain.tables[reference.table]
    where = "the catalogue" if target.kind == "catalogue" else target.name
    what = reference.column.removesuffix("_id")
    before, after = literal(f"{what} "), literal(f" is not in {where}")
    reason = f"concat({before}, CAST({quoted(reference.column)} AS STRING), {after})"
    lacking = f"{rows} AS mine WHERE NOT {exists}"
    return good, _quarantined(table, lacking, literal(reference.rule), reason)
