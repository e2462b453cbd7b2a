"""What the gate found, as plain values: for the page, the terminal, `summary.json` and the exit message."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from common.errors import MarqueeError
from validation.gate.checks import Check

if TYPE_CHECKING:
    from rich.table import Table as RichTable

Outcome = Literal["passed", "failed", "not checked"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How one check of one table ended.

    Args:
        check: what was to hold.
        outcome: "not checked" where a column that it needs is missing or of another type, or the query
            failed.
        unexpected: rows that break it; of a uniqueness check, keys that occur more than once.
        detail: what was found, or why it was not checked; "" where the number says all.
        examples: a few unexpected rows, each as "column = value, …".
    """

    check: Check
    outcome: Outcome
    unexpected: int = 0
    detail: str = ""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JudgedTable:
    """The checks of one table.

    Args:
        name: of the table.
        rows: how many it has.
        results: one a check, in the suite's order.
        seconds: that it took.
        is_source: whether its rows come from outside, so that some may be in the quarantine.
    """

    name: str
    rows: int
    results: tuple[CheckResult, ...]
    seconds: float
    is_source: bool

    @property
    def passed(self) -> bool:
        """Whether every check is a pass."""
        return not self.failures

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """Every result that is not a pass."""
        return tuple(result for result in self.results if result.outcome != "passed")


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """One row of the quarantine.

    Args:
        source: the file that it came from.
        row: its row in that file, counted from 1; None where the file is the row.
        record: the row as it was read.
        reason: what is wrong with it.
    """

    source: str
    row: int | None
    record: str
    reason: str


@dataclass(frozen=True, slots=True)
class QuarantinedRule:
    """The rows that broke one rule on their way into one table, a few of them as examples."""

    table: str
    rule: str
    rows: int
    examples: tuple[QuarantinedRow, ...]


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """The gate's verdict.

    Args:
        tables: in the order in which they were checked.
        quarantine: by rule, the most frequent first; None where no quarantine was given.
        created: when (UTC).
        seconds: that the checks took.
    """

    tables: tuple[JudgedTable, ...]
    quarantine: tuple[QuarantinedRule, ...] | None
    created: datetime
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every table is sound."""
        return all(table.passed for table in self.tables)

    @property
    def failures(self) -> tuple[tuple[JudgedTable, CheckResult], ...]:
        """Every result that is not a pass, with its table."""
        return tuple((table, result) for table in self.tables for result in table.failures)

    @property
    def checks(self) -> int:
        """How many checks there were, over all tables."""
        return sum(len(table.results) for table in self.tables)

    @property
    def rows(self) -> int:
        """How many rows were judged, over all tables."""
        return sum(table.rows for table in self.tables)

    def quarantined(self, table: str | None = None) -> int:
        """Rows in the quarantine that were meant for this table; for any table where None."""
        return sum(rule.rows for rule in self.quarantine or () if table in (None, rule.table))

    def quarantined_share(self, table: str | None = None) -> float:
        """Share of the rows read for a table, or for all source tables, that went to the quarantine; 0 where
        none was read."""
        bad = self.quarantined(table)
        good = sum(
            each.rows for each in self.tables if (each.is_source if table is None else each.name == table)
        )
        return bad / (bad + good) if bad else 0.0


def to_json(report: ValidationReport) -> dict[str, Any]:
    """The report as values that `json.dumps` takes, verdicts included."""
    return {
        "passed": report.passed,
        "created": report.created.isoformat(),
        "seconds": round(report.seconds, 3),
        "tables": [
            {
                "name": table.name,
                "passed": table.passed,
                "rows": table.rows,
                "quarantined": report.quarantined(table.name),
                "seconds": round(table.seconds, 3),
                "results": [asdict(result) for result in table.results],
            }
            for table in report.tables
        ],
        "quarantine": None if report.quarantine is None else [asdict(rule) for rule in report.quarantine],
    }


def found(result: CheckResult) -> str:
    """What a check found, in a few words."""
    if result.outcome == "passed":
        return "passed"
    if result.detail:
        return result.detail
    noun = "key" if result.check.kind == "unique" else "row"
    return f"{result.unexpected:,} {noun}{'' if result.unexpected == 1 else 's'}"


def require_passed(report: ValidationReport, page: Path) -> None:
    """Stop the run where the gate failed.

    Raises:
        MarqueeError: a table broke a check; the sentence names the first few, and the page.
    """
    if report.passed:
        return
    broken = [
        f"{table.name} breaks {result.check.name} ({found(result)})" for table, result in report.failures
    ]
    more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
    raise MarqueeError(f"The validation gate failed: {'; '.join(broken[:3])}{more}. See {page}.")


def render_table(report: ValidationReport) -> "RichTable":
    """The report as one table for the terminal."""
    from rich.markup import escape
    from rich.table import Table as RichTable

    table = RichTable(title="Validation", title_justify="left", title_style="bold")
    table.add_column("table", overflow="fold")
    table.add_column("rows", justify="right")
    table.add_column("quarantined", justify="right")
    table.add_column("checks", justify="right")
    table.add_column("result", overflow="fold")
    for row in report.tables:
        table.add_row(
            row.name,
            f"{row.rows:,}",
            f"{report.quarantined(row.name):,}" if report.quarantine is not None else "–",
            str(len(row.results)),
            "[green]passed[/]" if row.passed else f"[red]failed[/]: {escape(_list(row.failures))}",
        )
    table.add_section()
    table.add_row(
        "all",
        f"{report.rows:,}",
        f"{report.quarantined():,}" if report.quarantine is not None else "–",
        str(report.checks),
        "[bold green]passed[/]" if report.passed else f"[bold red]failed[/] ({len(report.failures)})",
    )
    return table


def _list(results: Iterable[CheckResult]) -> str:
    return ", ".join(f"{result.check.name} ({found(result)})" for result in results)
