"""What the quarantine holds, for the gate's page: it is shown, never judged."""

from collections.abc import Iterable

from feature_repo.define.table import QUARANTINE
from lake.dialect import literal
from validation.gate.checks import relation
from validation.gate.measure import EXAMPLES
from validation.gate.report import QuarantinedRow, QuarantinedRule
from validation.gate.tables import Tables

RECORD_CHARACTERS = 500
"""A longer record is cut on the page."""


def quarantined(tables: Tables, names: Iterable[str]) -> tuple[QuarantinedRule, ...]:
    """The quarantine by table and rule, the most frequent first, with a few rows of each.

    Args:
        tables: the quarantine among them.
        names: of the tables whose rows are shown.
    """
    listed = ", ".join(map(literal, names))
    rows = f"(SELECT * FROM {relation(QUARANTINE)} WHERE `table` IN ({listed}))"
    counts = tables.fetch(f"SELECT `table`, `rule`, count(*) AS n FROM {rows} GROUP BY `table`, `rule`")
    order = "ORDER BY source NULLS FIRST, `row` NULLS FIRST, record NULLS FIRST"
    numbered = f"SELECT *, row_number() OVER (PARTITION BY `table`, `rule` {order}) AS place FROM {rows}"
    shown = tables.fetch(f"SELECT * FROM ({numbered}) WHERE place <= {EXAMPLES} ORDER BY place")
    examples: dict[tuple[str, str], list[QuarantinedRow]] = {}
    for row in shown:
        example = QuarantinedRow(row["source"], row["row"], _cut(row["record"]), _cut(row["reason"]))
        examples.setdefault((row["table"], row["rule"]), []).append(example)
    rules = [
        QuarantinedRule(row["table"], row["rule"], row["n"], tuple(examples[row["table"], row["rule"]]))
        for row in counts
    ]
    return tuple(sorted(rules, key=lambda rule: (-rule.rows, rule.table, rule.rule)))


def _cut(text: str) -> str:
    return text if len(text) <= RECORD_CHARACTERS else text[: RECORD_CHARACTERS - 1] + "…"
