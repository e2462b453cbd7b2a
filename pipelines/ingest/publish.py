"""From a source's raw rows to the lake's clean tables, and to the quarantine for the rest.

Every row read is accepted or quarantined with the first rule that it broke. Tables are checked in the order
of their references, and written together: see `lake.journal`.
"""

from pathlib import Path

import pyarrow as pa

from common.errors import MarqueeError
from feature_repo.arrow import arrow_schema
from feature_repo.define.column import quoted
from feature_repo.define.domain import Domain
from feature_repo.define.table import QUARANTINE, QUARANTINE_COLUMNS, Table
from lake.damage import put_aside
from lake.dialect import literal
from lake.journal import all_or_none
from lake.session import StartSpark
from lake.tables import count_rows, exists, overwrite
from pipelines.ingest.check import Checked, check
from pipelines.ingest.engine import PREFIX, Engine, engine_for
from pipelines.ingest.report import IngestReport, TableReport
from pipelines.sources.readings import as_it_is
from pipelines.sources.source import ORIGIN, Raw, Source, rows_of


def ingest(spark: StartSpark, source: Source, lake: Path, domain: Domain) -> IngestReport:
    """Check a source and replace the lake's tables by it; a table that the source lacks becomes empty.

    What the quarantine holds of other domains' tables stays. Tables that cannot be read are put aside, and
    made anew.

    Raises:
        MarqueeError: of a table that may not be empty no row is good, the source changed meanwhile, or the
            disk refuses; then nothing is written.
    """
    most = max(most_rows(source), _held_by_quarantine(lake))
    with engine_for(spark, most, lake) as engine:
        checked: list[Checked] = []
        known: dict[str, str] = {}
        for table in by_reference(domain):
            found = check(engine, domain, table, source.tables.get(table.name, _nothing(table)), known)
            if not table.may_be_empty:
                _refuse_if_none_good(engine, found)
            known[table.name] = name_keys(engine, table, found.good)
            checked.append(found)
        engine.keep(f"{PREFIX}_bad", " UNION ALL ".join(f"SELECT * FROM {found.bad}" for found in checked))
        names = [*(found.table.name for found in checked), QUARANTINE]
        for name in names:
            put_aside(lake / name)
        refused = f"SELECT * FROM {PREFIX}_bad{_of_others(engine, lake, domain)}"
        with all_or_none(lake, names):
            for found in checked:
                engine.write(
                    f"SELECT * FROM {found.good}",
                    lake,
                    found.table.name,
                    found.table.all_columns,
                    replace=True,
                )
            engine.write(refused, lake, QUARANTINE, QUARANTINE_COLUMNS, replace=True)
            source.check_unchanged()
            reports = {found.table.name: _published(engine, lake, found) for found in checked}
    return IngestReport(source.description, reports, source.notes)


def _held_by_quarantine(lake: Path) -> int:
    """Rows of the quarantine, which is written anew with those of other domains; 0 where it cannot be read,
    and is put aside."""
    try:
        return count_rows(lake, QUARANTINE) if exists(lake, QUARANTINE) else 0
    except MarqueeError:
        return 0


def _of_others(engine: Engine, lake: Path, domain: Domain) -> str:
    """SQL that goes on with the rows of the quarantine that are of other domains' tables."""
    if not exists(lake, QUARANTINE):
        return ""
    held = f"{PREFIX}_held"
    names = tuple(column.name for column in QUARANTINE_COLUMNS)
    engine.held(held, lake, QUARANTINE, names, near="")
    ours = ", ".join(literal(table.name) for table in domain.sources)
    columns = ", ".join(map(quoted, names))
    return f" UNION ALL SELECT {columns} FROM {held} WHERE `table` NOT IN ({ours})"


def complete(lake: Path, domain: Domain) -> None:
    """Make, without rows, what a lake of an earlier version lacks of a domain's sources (see `not_yet`).

    Raises:
        MarqueeError: the lake cannot be written.
    """
    for table in not_yet(lake, domain):
        overwrite(arrow_schema(table).empty_table(), lake, table.name)


def not_yet(lake: Path, domain: Domain) -> list[Table]:
    """The sources that were declared after a lake was filled: they may be empty, and nothing was ever
    computed from them. A table that was lost is none of them."""
    if not exists(lake, domain.events.name):
        return []
    return [
        table
        for table in domain.sources
        if table.may_be_empty
        and not exists(lake, table.name)
        and not any(exists(lake, view.name) for view in domain.views_over(table.name))
    ]


def _published(engine: Engine, lake: Path, checked: Checked) -> TableReport:
    name = checked.table.name
    by_rule, reasons = broken_rules(engine, f"{PREFIX}_bad WHERE `table` = {literal(name)}")
    accepted, quarantined = count_rows(lake, name), sum(by_rule.values())
    if checked.read != accepted + quarantined:
        raise RuntimeError(
            f"{name}: read {checked.read} rows, but accepted {accepted} and quarantined {quarantined}"
        )
    return TableReport(
        checked.read,
        accepted,
        quarantined,
        by_rule,
        left_out=checked.left_out,
        reasons=reasons,
        notes=checked.notes,
    )


def broken_rules(engine: Engine, bad: str) -> tuple[dict[str, int], tuple[str, ...]]:
    """How many rows of a quarantine broke which rule, and the reason of the first row of each."""
    place = "concat(coalesce(`source`, ''), ' ', lpad(CAST(coalesce(`row`, 0) AS STRING), 20, '0'))"
    rules = engine.fetch(
        f"SELECT rule, count(*) AS n, min_by(reason, {place}) AS reason FROM {bad} "
        "GROUP BY rule ORDER BY rule"
    ).to_pylist()
    return {found["rule"]: int(found["n"]) for found in rules}, tuple(found["reason"] for found in rules)


def by_reference(domain: Domain) -> tuple[Table, ...]:
    """A domain's sources, such that what a table refers to comes before it."""
    order: dict[str, Table] = {}

    def visit(table: Table) -> None:
        for reference in table.references:
            visit(domain.tables[reference.table])
        order.setdefault(table.name, table)

    for table in domain.sources:
        visit(table)
    return tuple(order.values())


def most_rows(source: Source) -> int:
    """Rows of the source's largest table."""
    return max(raw.rows.count for raw in source.tables.values())


def name_keys(engine: Engine, table: Table, rows: str) -> str:
    """Name the keys of a relation's rows: one column, `known`."""
    name = f"{rows}_keys"
    engine.view(name, f"SELECT DISTINCT {quoted(table.key[0].name)} AS known FROM {rows}")
    return name


def _nothing(table: Table) -> Raw:
    """No rows."""
    schema = arrow_schema(table)
    for name in ORIGIN:
        schema = schema.append(pa.field(name, pa.int64() if name == "row" else pa.string()))
    readings = tuple(as_it_is(column.name) for column in table.all_columns)
    return Raw(rows_of(schema.empty_table()), readings)


def _refuse_if_none_good(engine: Engine, checked: Checked) -> None:
    if engine.fetch(f"SELECT 1 AS one FROM {checked.good} LIMIT 1").num_rows:
        return
    name = checked.table.name
    if checked.read == 0:
        raise MarqueeError(f"There are no {name} in what was read; nothing was written.")
    first = f"SELECT * FROM {checked.bad} ORDER BY `source` NULLS FIRST, `row` NULLS FIRST LIMIT 1"
    (example,) = engine.fetch(first).to_pylist()
    raise MarqueeError(
        f"None of the {checked.read:,} {name} that were read can be used, so nothing was written; the first, "
        f"{example['source']} row {example['row']}, broke {example['rule']}: {example['reason']}."
    )
