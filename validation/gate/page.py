"""The validation page: one self-contained file that reads well offline."""

from pathlib import Path

from common.files import write_atomically
from common.page import render
from feature_repo.schema import TABLES
from validation.gate.report import CheckResult, ValidationReport, found

TEMPLATES = Path(__file__).parent / "templates"
TONES = {"passed": "good", "failed": "bad", "not checked": "warn"}


def page(report: ValidationReport, data_docs: str = "") -> str:
    """The report as HTML.

    Args:
        report: what the gate found.
        data_docs: address of the Data Docs, relative to the page; "" for none.
    """
    return render(
        TEMPLATES,
        "validation.html",
        report=report,
        data_docs=data_docs,
        describe={name: table.description for name, table in TABLES.items()},
        found=found,
        tone=_tone,
    )


def write_page(report: ValidationReport, path: Path, data_docs: str = "") -> None:
    """Write the page whole or not at all.

    Raises:
        MarqueeError: it cannot be written.
    """
    write_atomically(path, page(report, data_docs))


def _tone(result: CheckResult) -> str:
    return TONES[result.outcome]
