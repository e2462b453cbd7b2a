"""`summary.json`: what a run took in, made, measured and cost."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from common.errors import MarqueeError
from common.files import digest_of, is_whole, json_in, write_atomically
from common.progress import StageCost

FILE = "summary.json"
FIRST_FIELDS = frozenset({"run", "options", "tables", "models", "stages"})
"""What the first summaries had, which did not say of which versions of the tables they are."""


@dataclass(frozen=True, slots=True)
class TableCount:
    """Rows of a table; of a source table also what was read, and what went to quarantine by which rule.

    `read` = `rows` + `quarantined`. `left_out` were not asked for and hence not read.
    """

    rows: int
    read: int | None = None
    quarantined: int | None = None
    broken_rules: dict[str, int] = field(default_factory=dict)
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """One run.

    Args:
        models: by name: `labels` (asked, returned), `metrics` on the test split, `folder` of the artefact.
        versions: of the lake's tables that the run made or found, by table; its page is written of these.
        commits: the digests of their commits; none in a run of an earlier Marquee.
    """

    run: str
    options: dict[str, Any]
    tables: dict[str, TableCount]
    models: dict[str, dict[str, Any]]
    stages: list[StageCost]
    versions: dict[str, int]
    commits: dict[str, str] = field(default_factory=dict)


def write(summary: Summary, folder: Path) -> None:
    """Write the summary into the run's folder."""
    values = asdict(summary)
    write_atomically(folder / FILE, json.dumps({**values, "digest": digest_of(values)}, indent=2) + "\n")


def read(folder: Path) -> Summary:
    """The summary of a run.

    Raises:
        MarqueeError: the folder holds none, or one that is damaged or of an earlier version of Marquee.
    """
    try:
        found = json_in((folder / FILE).read_text())
        if not is_whole(found):
            raise ValueError("it is not what was written")
        found.pop("digest", None)
        found["tables"] = {name: TableCount(**table) for name, table in found["tables"].items()}
        found["stages"] = [StageCost(**cost) for cost in found["stages"]]
        return Summary(**found)
    except (FileNotFoundError, NotADirectoryError):
        raise MarqueeError(f"{folder} is no finished run: it has no {FILE}.") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise MarqueeError(
            f"{folder / FILE} is damaged, or of an earlier version of Marquee: `marquee run` makes a new run."
        ) from None


def newest_run(runs: Path) -> Path:
    """The newest finished run.

    Raises:
        MarqueeError: there is none.
    """
    finished = sorted(folder.parent for folder in runs.glob(f"*/{FILE}"))
    if not finished:
        raise MarqueeError(f"There is no finished run in {runs}: `marquee run` makes one.")
    return finished[-1]
