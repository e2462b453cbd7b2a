"""The audits' pages, each with the same as JSON beside it."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from common.files import write_atomically
from common.page import render
from feature_repo.define.domain import Domain
from validation.audit.consistency_report import ConsistencyReport
from validation.audit.leakage_report import LeakageReport

Report = LeakageReport | ConsistencyReport
TEMPLATES = Path(__file__).parent / "templates"


def page(name: str, report: Report, domain: Domain) -> str:
    """A report as HTML.

    Args:
        name: of the audit: "leakage" or "consistency".
        report: what it found.
        domain: what it is about; says what each feature means.
    """
    return render(
        TEMPLATES,
        f"audit_{name}.html",
        report=report,
        says={column.name: column.description for view in domain.views for column in view.columns},
        describe={view.name: view.description for view in domain.views},
    )


def to_json(report: Report) -> dict[str, Any]:
    """The report as values that `json.dumps` takes."""
    found = {"passed": report.passed, **asdict(report)}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in found.items()
    }


def write_audit(folder: Path, name: str, report: Report, domain: Domain) -> Path:
    """Write `<name>.html` and `<name>.json`, each whole or not at all; the arguments are those of `page`.

    Returns:
        The page's path.

    Raises:
        MarqueeError: they cannot be written.
    """
    path = folder / f"{name}.html"
    write_atomically(path.with_suffix(".json"), json.dumps(to_json(report), indent=1) + "\n")
    write_atomically(path, page(name, report, domain))
    return path
