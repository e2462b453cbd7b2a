"""Adding to the lake what it does not have: the new is appended, the known left, what contradicts refused."""

from collections.abc import Sequence
from pathlib import Path

from feature_repo.define.column import quoted
from feature_repo.define.domain import Domain
from feature_repo.define.table import QUARANTINE, QUARANTINE_COLUMNS, Table
from lake.dialect import literal
from lake.journal import all_or_none
from lake.session import StartSpark
from lake.tables import count_rows, exists, require
from pipelines.ingest.check import Checked, check, count, unique_rule
from pipelines.ingest.engine import PREFIX, Engine, engine_for
from pipelines.ingest.judge import value_as_text
from pipelines.ingest.publish import (
    broken_rules,
    by_reference,
    complete,
    ingest,
    most_rows,
    name_keys,
)
from pipelines.ingest.report import IngestReport, TableReport
from pipelines.sources.source import Raw, Source


def add(spark: StartSpark, source: Source, lake: Path, domain: Domain) -> IngestReport:
    """Check a source and add to the lake what it does not have yet.

    An event that the lake has with other values is quarantined. A row of a catalogue that the lake has with
    other values replaces it. Where a table is not there yet this is `ingest`; one that was declared after the
    lake was filled is empty first.

    Raises:
        MarqueeError: the disk refuses.
    """
    complete(lake, domain)
    if not all(exists(lake, table.name) for table in domain.sources):
        return ingest(spark, source, lake, domain)
    return IngestReport(source.description, _add(spark, source, lake, domain), source.notes)


def add_events(spark: StartSpark, raw: Raw, lake: Path, domain: Domain) -> TableReport:
    """Check raw events against the lake's catalogues, and add the new ones as `add` does.

    Raises:
        MarqueeError: the lake has no catalogue or no events, or the disk refuses.
    """
    events = domain.events
    for name in (events.name, *(reference.table for reference in events.references)):
        require(lake, name)
    source = Source("events", events.name, {events.name: raw})
    return _add(spark, source, lake, domain)[events.name]


def _add(spark: StartSpark, source: Source, lake: Path, domain: Domain) -> dict[str, TableReport]:
    order = by_reference(domain)
    there = [table for table in order if table.name in source.tables]
    reports = {}
    with (
        engine_for(spark, most_rows(source), lake) as engine,
        all_or_none(lake, [*(table.name for table in there), QUARANTINE]),
    ):
        known: dict[str, str] = {}
        for table in order:
            held = f"{PREFIX}_{table.name}_held"
            if table.name not in source.tables:
                if any(reference.table == table.name for other in there for reference in other.references):
                    engine.held(held, lake, table.name, (table.key[0].name,), near="")
                    known[table.name] = name_keys(engine, table, held)
                continue
            checked = check(engine, domain, table, source.tables[table.name], known)
            near = checked.good if table.kind == "event" else ""
            engine.held(held, lake, table.name, _stored(table), near)
            reports[table.name] = _add_table(engine, lake, checked, held)
            both = f"{PREFIX}_{table.name}_both"
            key = quoted(table.key[0].name)
            engine.view(both, f"SELECT {key} FROM {held} UNION ALL SELECT {key} FROM {checked.good}")
            known[table.name] = name_keys(engine, table, both)
    return reports


def _stored(table: Table) -> tuple[str, ...]:
    """A table's columns, the first of the unique ones first."""
    return tuple(dict.fromkeys((*table.unique, *table.column_names)))


def _add_table(engine: Engine, lake: Path, checked: Checked, held: str) -> TableReport:
    """Append a table's new rows, and to the quarantine what it does not hold yet; no commit of nothing."""
    table = checked.table
    prefix = f"{PREFIX}_{table.name}"
    same = " AND ".join(f"mine.{quoted(name)} = held.{quoted(name)}" for name in table.unique)
    names = [quoted(column.name) for column in table.all_columns if column.name not in table.unique]
    differs = " OR ".join(f"mine.{name} IS DISTINCT FROM held.{name}" for name in names) or "false"
    otherwise = f"{checked.good} AS mine JOIN {held} AS held ON {same} WHERE {differs}"
    bad, changed = f"SELECT * FROM {checked.bad}", 0
    if table.kind == "event":
        bad += f" UNION ALL {_contradictions(table, otherwise)}"
    else:
        changed = count(engine, otherwise)
    engine.keep(f"{prefix}_refused", bad)
    by_rule, reasons = broken_rules(engine, f"{prefix}_refused")
    quarantined = sum(by_rule.values())
    columns = ", ".join(f"mine.{quoted(name)} AS {quoted(name)}" for name in table.column_names)
    new = f"SELECT {columns} FROM {checked.good} AS mine WHERE {_not_in(held, same)}"
    before = count_rows(lake, table.name)
    if changed:
        left = f"SELECT {columns} FROM {held} AS mine WHERE {_not_in(checked.good, same)}"
        all_rows = f"{left} UNION ALL SELECT {columns} FROM {checked.good} AS mine"
        engine.write(all_rows, lake, table.name, table.all_columns, replace=True)
    elif engine.fetch(f"{new} LIMIT 1").num_rows:
        engine.write(new, lake, table.name, table.all_columns)
    accepted = count_rows(lake, table.name) - before
    if quarantined:
        _quarantine_new(engine, lake, f"{prefix}_refused", f"{prefix}_quarantine")
    return TableReport(
        checked.read,
        accepted,
        quarantined,
        by_rule,
        known=checked.read - accepted - quarantined - changed,
        changed=changed,
        left_out=checked.left_out,
        reasons=reasons,
        notes=checked.notes,
    )


def _not_in(others: str, same: str) -> str:
    """SQL, true for a row `mine` without one among others, `held`, that is the same."""
    return f"NOT EXISTS (SELECT 1 FROM {others} AS held WHERE {same})"


def _contradictions(table: Table, otherwise: str) -> str:
    """SQL of events that the lake has with other values, as rows of the quarantine."""
    values = []
    for column in table.all_columns:
        if column.name not in table.unique:
            value = f"coalesce({value_as_text(f'held.{quoted(column.name)}', column)}, 'nothing')"
            name, unit = ("", f" {column.unit}") if column.unit else (f"{column.name} ", "")
            values.append(f"{literal(name)}, {value}, {literal(unit)}")
    listed = ", ' and ', ".join(values) or "'no other values'"
    reason = f"concat('the lake has it with ', {listed})"
    said = {"table": literal(table.name), "rule": literal(unique_rule(table)), "reason": reason}
    names = [column.name for column in QUARANTINE_COLUMNS]
    columns = (f"{said.get(name, f'mine.{quoted(name)}')} AS {quoted(name)}" for name in names)
    return f"SELECT {', '.join(columns)} FROM {otherwise}"


def _quarantine_new(engine: Engine, lake: Path, refused: str, held: str) -> None:
    """Append refused rows to the quarantine but for those that it holds already."""
    # The file first: rows of other files need not be read.
    names: Sequence[str] = ("source", *(c.name for c in QUARANTINE_COLUMNS if c.name != "source"))
    engine.held(held, lake, QUARANTINE, tuple(names), near=f"(SELECT `source` FROM {refused})")
    same = " AND ".join(f"mine.{quoted(name)} IS NOT DISTINCT FROM held.{quoted(name)}" for name in names)
    fresh = f"SELECT * FROM {refused} AS mine WHERE {_not_in(held, same)}"
    if engine.fetch(f"{fresh} LIMIT 1").num_rows:
        engine.write(fresh, lake, QUARANTINE, QUARANTINE_COLUMNS)
