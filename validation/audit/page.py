"""The audits' pages, each with the same as JSON beside it."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from common.files import write_atomically
from common.page import render
from feature_repo.schema import TABLES
from validation.audit.consistency_report import ConsistencyReport
from validation.audit.leakage_report import LeakageReport

Report = LeakageReport | ConsistencyReport
TEMPLATES = Path(__file__).parent / "templates"


def page(name: str, report: Report) -> str:
    """A report as HTML.

    Args:
        name: of the audit: "leakage" or "consistency".
    """
    columns = {column.name: column for table in TABLES.values() for column in table.feature_columns}
    return render(
        TEMPLATES,
        f"audit_{name}.html",
        report=report,
        says={name: column.description for name, column in columns.items()},
        describe={name: table.description for name, table in TABLES.items()},
    )


def to_json(report: Report) -> dict[str, Any]:
    """The report as values that `json.dumps` takes."""
    found = {"passed": report.passed, **asdict(report)}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in found.items()
    }


def write_audit(folder: Path, name: str, report: Report) -> Path:
    """Write `<name>.html` and `<name>.json`, each whole or not at all.

    Returns:
        The page's path.

    Raises:
        MarqueeError: they cannot be written.
    """
    path = folder / f"{name}.html"
    write_atomically(path.with_suffix(".json"), json.dumps(to_json(report), indent=1) + "\n")
    write_atomically(path, page(name, report))
    return path
