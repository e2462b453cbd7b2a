"""The validation page: one self-contained file that reads well offline."""

from pathlib import Path

from common.files import write_atomically
from common.page import render
from feature_repo.define.domain import Domain
from validation.gate.report import CheckResult, ValidationReport, found

TEMPLATES = Path(__file__).parent / "templates"
TONES = {"passed": "good", "failed": "bad", "not checked": "warn"}


def page(report: ValidationReport, domain: Domain, data_docs: str = "") -> str:
    """The report as HTML.

    Args:
        report: what the gate found.
        domain: what it is about; says what each table holds.
        data_docs: address of the Data Docs, relative to the page; "" for none.
    """
    return render(
        TEMPLATES,
        "validation.html",
        report=report,
        data_docs=data_docs,
        describe={name: table.description for name, table in domain.tables.items()},
        found=found,
        tone=_tone,
    )


def write_page(report: ValidationReport, domain: Domain, path: Path, data_docs: str = "") -> None:
    """Write the page whole or not at all; the other arguments are those of `page`.

    Raises:
        MarqueeError: it cannot be written.
    """
    write_atomically(path, page(report, domain, data_docs))


def _tone(result: CheckResult) -> str:
    return TONES[result.outcome]
