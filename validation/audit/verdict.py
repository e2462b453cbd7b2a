"""An audit's verdict in one sentence."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from common.errors import MarqueeError

MOST_NAMED = 3
"""So many features that fail are named beside the first."""


class Finding(Protocol):
    """What an audit found of one feature."""

    @property
    def view(self) -> str:
        """The view that the feature is in."""

    @property
    def feature(self) -> str:
        """Its name."""

    @property
    def found(self) -> str:
        """What is wrong with it, in words."""

    @property
    def example(self) -> str:
        """A value that is wrong, in words; "" where there is none."""


class Verdict(Protocol):
    """What an audit's report says."""

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""

    @property
    def sentence(self) -> str:
        """What failed, as one sentence; "" where nothing did."""


def failure(audit: str, first: Finding, failures: Sequence[Finding]) -> str:
    """What failed, as one sentence.

    Args:
        audit: its name.
        first: of the failures, the one to tell of.
    """
    names = [finding.feature for finding in failures if finding is not first]
    more = f", …, {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    verb = "does" if len(names) == 1 else "do"
    others = f"; so {verb} {', '.join(names[:MOST_NAMED])}{more}" if names else ""
    example = f", such as {first.example}" if first.example else ""
    what = f"{first.feature} of {first.view} breaks it ({first.found}{example})"
    return f"The {audit} audit failed: {what}{others}."


def require_passed(report: Verdict, page: Path) -> None:
    """Stop with one sentence where an audit failed.

    Raises:
        MarqueeError: naming the feature and the page.
    """
    if not report.passed:
        raise MarqueeError(f"{report.sentence} See {page}.")
