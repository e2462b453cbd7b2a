"""What the leakage audit found, as plain values."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from validation.audit.leakage_cost import LeakCost
from validation.audit.verdict import failure

if TYPE_CHECKING:
    from rich.table import Table as RichTable


@dataclass(frozen=True, slots=True)
class FeatureFinding:
    """What was found of one feature.

    Args:
        view, feature: its names.
        labels_late: labels to which a row was joined that is stamped after them.
        rows_wrong: rows whose value is not what the events strictly before their stamp give.
        rows_missing: instants at which something happened to a key, for which the view has no row.
        sample_wrong: sampled labels at which the store's value is not the recomputed one.
        example: one of these, in words; "" where there is none.
    """

    view: str
    feature: str
    labels_late: int = 0
    rows_wrong: int = 0
    rows_missing: int = 0
    sample_wrong: int = 0
    example: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not (self.labels_late or self.rows_wrong or self.rows_missing or self.sample_wrong)

    @property
    def found(self) -> str:
        """What is wrong, in a few words."""
        faults = (
            (self.labels_late, "label{s} joined to a later row"),
            (self.rows_wrong, "row{s} not what earlier events give"),
            (self.rows_missing, "row{s} missing"),
            (self.sample_wrong, "sampled label{s} differ from recomputation"),
        )
        return ", ".join(f"{n:,} {words.format(s='' if n == 1 else 's')}" for n, words in faults if n)


@dataclass(frozen=True, slots=True)
class ViewFinding:
    """What was looked at of one view.

    Args:
        view: its name.
        rows: judged, those superseded by a correction left out.
        superseded: rows that a late event has corrected.
        labels: that were joined to a row.
        nearest: seconds from the last event in a joined row to its label, at the least; None for a view
            without events.
    """

    view: str
    rows: int
    superseded: int
    labels: int
    nearest: float | None


@dataclass(frozen=True, slots=True)
class LeakageReport:
    """The audit's verdict.

    Args:
        engine: the offline store's class.
        labels: all that there are.
        sample: of these, recomputed one by one.
        seed: of the sample.
        views, features: what was found, in the domain's order.
        costs: what the papers' protocol would have leaked.
        created: when (UTC).
        seconds: that it took.
    """

    engine: str
    labels: int
    sample: int
    seed: int
    views: tuple[ViewFinding, ...]
    features: tuple[FeatureFinding, ...]
    costs: tuple[LeakCost, ...]
    created: datetime
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every feature passed."""
        return not self.failures

    @property
    def failures(self) -> tuple[FeatureFinding, ...]:
        """The features that did not pass."""
        return tuple(feature for feature in self.features if not feature.passed)

    @property
    def sentence(self) -> str:
        """What failed, as one sentence; "" where nothing did."""
        if self.passed:
            return ""
        sentence = failure("leakage", self.failures[0], self.failures)
        views = dict.fromkeys(found.view for found in self.failures if found.rows_wrong or found.rows_missing)
        if not views:
            return sentence
        return (
            f"{sentence} Rows written in disorder, as by an older version, are mended by"
            f" `marquee pipeline run --full {' '.join(views)}`."
        )


def render_table(report: LeakageReport) -> "RichTable":
    """The report by view, for the terminal."""
    from rich.markup import escape
    from rich.table import Table as RichTable

    table = RichTable(title="Leakage", title_justify="left", title_style="bold")
    for heading in ("view", "labels", "nearest event before", "rows", "features", "result"):
        table.add_column(
            heading, justify="left" if heading in ("view", "result") else "right", overflow="fold"
        )
    for view in report.views:
        mine = [finding for finding in report.features if finding.view == view.view]
        bad = [finding for finding in mine if not finding.passed]
        table.add_row(
            view.view,
            f"{view.labels:,}",
            "–" if view.nearest is None else f"{view.nearest:,.6g} s",
            f"{view.rows:,}",
            str(len(mine)),
            "[green]passed[/]"
            if not bad
            else f"[red]failed[/]: {escape(', '.join(finding.feature for finding in bad))}",
        )
    return table
