"""A paper's table, from the data to the page."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.features import apply_stage
from app.home import writing
from app.run import new_run, tables_of_run
from app.sources import SourceOptions, check_source
from common.errors import MarqueeError
from common.files import file_to_write, folder_to_write, write_atomically
from common.progress import Stage, Stages
from common.settings import Settings
from feature_repo.define.domain import Domain

if TYPE_CHECKING:
    from training.evaluate.figures import Picture
    from training.papers.reproduce import Report, Results

PAPERS = ("mmdin",)
MARK = "source.json"
"""In a home: the source that its tables were made from, and the versions that they were left at."""
PAGE = "report.html"
TEMPLATES = Path(__file__).parent / "templates"
TITLE = "MMDIN, reproduced"


@dataclass(frozen=True, slots=True)
class ReproduceOptions:
    """How to reproduce a paper.

    Args:
        seeds: trainings of each row of the table.
        protocols: "honest", and "paper", which leaks.
        out: folder of trained models, figures and report; by default one in the home.
        doc: Markdown whose part on these data is written; None for none.
    """

    seeds: int = 5
    protocols: Sequence[str] = ("honest", "paper")
    out: Path | None = None
    doc: Path | None = None


def reproduce(
    settings: Settings,
    domain: Domain,
    paper: str,
    source: SourceOptions,
    options: ReproduceOptions,
    command: str,
    stages: Stages,
) -> tuple["Results", Path]:
    """Make a paper's whole table; what is trained is not trained again.

    Args:
        command: as it was typed, which the page records.

    Returns:
        The results, and the HTML page.

    Raises:
        MarqueeError: the paper or a protocol is unknown, or the source cannot be used.
    """
    from feature_repo.store import open_store
    from training.fit.run import check_protocol
    from training.papers.reproduce import reproduce

    if paper not in PAPERS:
        raise MarqueeError(f"There is no paper '{paper}' to reproduce: known are {', '.join(PAPERS)}.")
    for protocol in options.protocols:
        check_protocol(protocol)
    check_source(source)
    doc = None if options.doc is None else file_to_write(options.doc)
    folder = folder_to_write(options.out or settings.home / "reproduce" / paper)
    with writing(settings.home):
        likelihood = tables_in_place(settings, domain, source, stages)
        with stages.stage("table") as stage:
            stage.report("joining features to labels", 0, 0)
            results = reproduce(
                open_store(settings),
                settings.lake,
                folder,
                seeds=options.seeds,
                protocols=options.protocols,
                likelihood=likelihood,
                on_cell=_cells(stage),
            )
            stage.outcome = f"{len(results.rows)} rows of {options.seeds} seeds"
        with stages.stage("pages") as stage:
            page = write_pages(results, folder, source, command, doc)
            stage.outcome = str(page)
    return results, page


def tables_in_place(
    settings: Settings, domain: Domain, options: SourceOptions, stages: Stages
) -> Path | None:
    """Go the data part of the road unless the home's tables are what it left for this very source.

    Returns:
        Where the events' true probabilities are, if they are known.
    """
    asked = options.identity
    mark = settings.home / MARK
    try:
        found = json.loads(mark.read_text())
    except (OSError, ValueError):
        found = None
    if found is None or found["asked"] != asked or found["versions"] != _versions(settings, domain):
        mark.unlink(missing_ok=True)
        _, likelihood = tables_of_run(
            settings, domain, options, new_run(settings.runs, options.source), stages
        )
        found = {
            "asked": asked,
            "versions": _versions(settings, domain),
            "likelihood": None if likelihood is None else str(likelihood),
        }
        write_atomically(mark, json.dumps(found, indent=2) + "\n")
    apply_stage(settings, domain, stages)
    return None if found["likelihood"] is None else Path(found["likelihood"])


def _versions(settings: Settings, domain: Domain) -> dict[str, int]:
    """The version of each table that is there."""
    from deltalake import DeltaTable

    return {
        name: DeltaTable(settings.lake / name).version()
        for name in domain.tables
        if (settings.lake / name / "_delta_log").is_dir()
    }


def _cells(stage: Stage) -> "Report":
    """Tells of each cell, and how long the others will take by those trained so far."""
    trained = 0
    began = stage.seconds

    def told(done: int, of: int, what: str, fresh: bool) -> None:
        nonlocal trained, began
        trained += fresh
        if not trained:
            began = stage.seconds
        left = (stage.seconds - began) / max(trained, 1) * (of - done)
        stage.report(f"{what}; about {left / 60:.0f} min left", done, of)

    return told


def write_pages(
    results: "Results", folder: Path, options: SourceOptions, command: str, doc: Path | None
) -> Path:
    """Write the figures as PNG, the HTML page, and where `doc` is given its part of that Markdown.

    Returns:
        The HTML page.
    """
    from common.page import render
    from training.papers import reproduced

    data = f"On {options.words}"
    shown: dict[str, dict[str, Picture]] = {}
    for protocol in results.parts:
        shown[protocol] = reproduced.pictures(results, folder, protocol)
        for name, picture in shown[protocol].items():
            write_atomically(folder / "figures" / f"{protocol}-{name}.png", picture.png())
    tables: list[dict[str, Any]] = [
        {
            "protocol": protocol,
            "heading": reproduced.HEADINGS[protocol],
            "summary": " ".join(reproduced.summary_of(results, protocol)),
            "table": reproduced.table_of(results, protocol),
            "bands": reproduced.bands_of(results, protocol),
            "pictures": list(pictures.values()),
        }
        for protocol, pictures in shown.items()
    ]
    page = render(
        TEMPLATES,
        "reproduce.html",
        title=TITLE,
        data=data,
        command=command,
        tables=tables,
        gap_model=results.gap_model,
        gaps=reproduced.gaps_of(results),
    )
    write_atomically(folder / PAGE, page)
    if doc is not None:
        links = {}
        for protocol, pictures in shown.items():
            for name, picture in pictures.items():
                file = doc.parent / doc.stem / f"{options.key}-{protocol}-{name}.png"
                write_atomically(file, picture.png())
                links[f"{protocol}-{name}"] = f"{doc.stem}/{file.name}"
        part = reproduced.markdown(results, command, data, links)
        before = doc.read_text() if doc.is_file() else ""
        write_atomically(doc, reproduced.with_part(before, TITLE, options.key, part))
    return folder / PAGE
