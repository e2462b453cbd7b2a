"""What the consistency audit found, as plain values."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from validation.audit.verdict import failure

if TYPE_CHECKING:
    from rich.table import Table as RichTable


@dataclass(frozen=True, slots=True)
class FeatureConsistency:
    """One feature, online against offline.

    Args:
        view, feature: its names.
        compared: values, one a label, and one for each row of the home's own.
        matched: of these.
        stale: labels at which the view's online row was older than the offline row.
        staleness: by how many seconds, at the most.
        largest: difference of numbers; None where no two numbers differ, or it has none.
        example: the first mismatch in words, "" where there is none.
    """

    view: str
    feature: str
    compared: int
    matched: int
    stale: int
    staleness: float
    largest: float | None
    example: str

    @property
    def rate(self) -> float:
        """Share of the values that match; 1 where none was compared."""
        return self.matched / self.compared if self.compared else 1.0

    @property
    def passed(self) -> bool:
        """Whether every value matches, and none was stale."""
        return self.matched == self.compared and not self.stale

    @property
    def found(self) -> str:
        """What is wrong, in a few words."""
        parts = []
        if wrong := self.compared - self.matched:
            parts.append(f"{wrong:,} of {self.compared:,} values differ online")
        if self.stale:
            parts.append(f"{self.stale:,} rows stale by up to {self.staleness:,.6g} s")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class ConsistencyReport:
    """The audit's verdict.

    Args:
        offline, online: the stores' classes.
        start, end: of the period (UTC).
        events: that were replayed.
        late: of these, delivered after a label instant that they precede.
        instants: at which the online store was read.
        labels: pairs of keys, such as a user and an item, read over all instants and the end.
        known_then: of these, the ones judged by what had been delivered, as something of them was on its way.
        home_rows: online rows of the audited home itself that were compared with its tables.
        pushes, runs: deliveries by push, and by the pipelines and materialise.
        seed: of all draws.
        features: what was found, in the domain's order.
        created: when (UTC).
        seconds: that it took.
    """

    offline: str
    online: str
    start: datetime
    end: datetime
    events: int
    late: int
    instants: int
    labels: int
    known_then: int
    home_rows: int
    pushes: int
    runs: int
    seed: int
    features: tuple[FeatureConsistency, ...]
    created: datetime
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every feature passed."""
        return not self.failures

    @property
    def failures(self) -> tuple[FeatureConsistency, ...]:
        """The features that did not pass."""
        return tuple(feature for feature in self.features if not feature.passed)

    @property
    def rate(self) -> float:
        """Share of all values that match."""
        compared = sum(feature.compared for feature in self.features)
        return sum(feature.matched for feature in self.features) / compared if compared else 1.0

    @property
    def sentence(self) -> str:
        """What failed, as one sentence; "" where nothing did."""
        if self.passed:
            return ""
        first = max(self.failures, key=lambda feature: feature.compared - feature.matched)
        return failure("consistency", first, self.failures)


def render_table(report: ConsistencyReport) -> "RichTable":
    """The report by view, for the terminal."""
    from rich.markup import escape
    from rich.table import Table as RichTable

    table = RichTable(title="Consistency", title_justify="left", title_style="bold")
    for heading in ("view", "values", "match", "largest error", "stale rows", "result"):
        table.add_column(
            heading, justify="left" if heading in ("view", "result") else "right", overflow="fold"
        )
    for view in dict.fromkeys(feature.view for feature in report.features):
        mine = [feature for feature in report.features if feature.view == view]
        compared, matched = sum(f.compared for f in mine), sum(f.matched for f in mine)
        bad = [feature.feature for feature in mine if not feature.passed]
        table.add_row(
            view,
            f"{compared:,}",
            f"{matched / compared:.2%}" if compared else "–",
            f"{max((f.largest or 0.0 for f in mine), default=0.0):.6g}",
            f"{max((f.stale for f in mine), default=0):,}",
            "[green]passed[/]" if not bad else f"[red]failed[/]: {escape(', '.join(bad))}",
        )
    return table
