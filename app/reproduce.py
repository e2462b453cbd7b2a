"""A paper's table, from the data to the page."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.domains import domain_named
from app.features import apply_stage
from app.home import refuse_own, writing
from app.run import new_run, tables_of_run
from app.sources import DOMAIN_OF, SourceOptions, check_source
from common.errors import MarqueeError
from common.files import file_to_write, folder_to_write, json_in, write_atomically
from common.progress import Stage, Stages
from common.settings import Settings
from common.words import count_of
from feature_repo.define.domain import Domain

if TYPE_CHECKING:
    from training.evaluate.picture import Picture
    from training.papers.paper import Paper
    from training.papers.results import Results
    from training.papers.runner import OnCell

MARK = "source.json"
"""In a home: the source that its tables were made from, and the versions that they were left at."""
PAGE = "report.html"
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class ReproduceOptions:
    """How to reproduce a paper.

    Args:
        seeds: trainings of each row of the table.
        protocols: tables of the paper; all where None.
        out: folder of trained models, figures and report; by default one in the home.
        doc: Markdown whose part on these data is written; None for none.
    """

    seeds: int = 5
    protocols: Sequence[str] | None = None
    out: Path | None = None
    doc: Path | None = None


def reproduce(
    settings: Settings,
    key: str,
    source: SourceOptions,
    options: ReproduceOptions,
    command: str,
    stages: Stages,
) -> tuple["Paper", "Results", Path]:
    """Make a paper's whole table; what is trained is not trained again.

    Args:
        key: the paper's name.
        command: as it was typed, which the page records.

    Returns:
        The paper, the results, and the HTML page.

    Raises:
        MarqueeError: the paper or a protocol is unknown, or the source cannot be used.
    """
    from feature_repo.store import open_store
    from training.papers import find_paper
    from training.papers.runner import check_request, reproduce

    domain = domain_named(DOMAIN_OF[source.source])
    paper = find_paper(key, domain if domain.fields else None)
    check_request(paper, options.seeds, options.protocols)
    check_source(source)
    doc = None if options.doc is None else file_to_write(options.doc)
    if doc is not None and doc.exists():
        for option, folder in source.folders.items():
            if doc.resolve().is_relative_to(folder.resolve()):
                raise MarqueeError(f"--doc {doc} is a file of {option}, which is read: name another place.")
    place = settings.home / "reproduce" / key
    folder = folder_to_write(options.out or (place / domain.name if domain.fields else place))
    refuse_own(settings.home, folder)
    if doc is not None:
        refuse_own(settings.home, doc, "--doc")
    with writing(settings.home):
        truth = tables_in_place(settings, paper.domain, source, stages)
        with stages.stage("table") as stage:
            stage.report("reading labels and features", 0, 0)
            results = reproduce(
                paper,
                None if domain.fields else open_store(settings),
                settings.lake,
                folder,
                seeds=options.seeds,
                protocols=options.protocols,
                truth=truth,
                on_cell=_cells(stage),
            )
            stage.outcome = f"{count_of(len(results.rows), 'row')} of {count_of(options.seeds, 'seed')}"
        with stages.stage("pages") as stage:
            page = write_pages(paper, results, folder, source, command, doc)
            stage.outcome = str(page)
    return paper, results, page


def tables_in_place(
    settings: Settings, domain: Domain, options: SourceOptions, stages: Stages
) -> Path | None:
    """Go the data part of the road unless the home's tables are what it left for this very source.

    Returns:
        Where the events' true probabilities are, if they are known.
    """
    asked = options.identity
    mark = settings.home / (f"{domain.name}.{MARK}" if domain.fields else MARK)
    try:
        found = json_in(mark.read_text())
    except (OSError, ValueError):
        found = None
    now = {"asked": asked, "versions": _versions(settings, domain)}
    if not isinstance(found, dict) or "likelihood" not in found or not now.items() <= found.items():
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
    if not domain.fields:
        apply_stage(settings, domain, stages)
    return None if found["likelihood"] is None else Path(found["likelihood"])


def _versions(settings: Settings, domain: Domain) -> dict[str, int]:
    """The version of each table that is there."""
    from lake.tables import exists, newest_version

    return {
        name: newest_version(settings.lake, name) for name in domain.tables if exists(settings.lake, name)
    }


def _cells(stage: Stage) -> "OnCell":
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
    paper: "Paper",
    results: "Results",
    folder: Path,
    options: SourceOptions,
    command: str,
    doc: Path | None,
) -> Path:
    """Write the figures as PNG, the HTML page, and where `doc` is given its part of that Markdown.

    Returns:
        The HTML page.
    """
    from common.page import render
    from training.evaluate.metrics import TITLES
    from training.papers import page as written
    from training.papers.drawings import pictures as drawn

    data = f"On {options.words}"
    shown: dict[str, dict[str, Picture]] = {}
    for protocol in results.parts:
        shown[protocol] = drawn(paper, results, folder, protocol)
        for name, picture in shown[protocol].items():
            write_atomically(folder / "figures" / f"{protocol}-{name}.png", picture.png())
    tables: list[dict[str, Any]] = [
        {
            "protocol": protocol,
            "heading": paper.protocols[protocol].heading,
            "summary": " ".join(written.summary_of(paper, results, protocol)),
            "table": written.table_of(paper, results, protocol),
            "bands": written.bands_table(paper, results, protocol),
            "pictures": list(pictures.values()),
        }
        for protocol, pictures in shown.items()
    ]
    page = render(
        TEMPLATES,
        "reproduce.html",
        title=paper.title,
        judged_by=TITLES[paper.judged_by],
        bands_title="" if paper.histories is None else paper.histories.title,
        data=data,
        command=command,
        tables=tables,
        leak_title=results.leak_title,
        leaks=written.leaks_table(paper, results),
        configured_title=written.CONFIGURED,
        configured_told=written.configured_told(paper, results.parts),
        configured=written.configured_table(paper, results.parts),
        rates_title=written.BASE_RATES,
        rates_told=written.BASE_RATES_TOLD,
        rates=written.base_rates_table(paper),
    )
    write_atomically(folder / PAGE, page)
    if doc is not None:
        links = {}
        for protocol, pictures in shown.items():
            for name, picture in pictures.items():
                file = doc.parent / doc.stem / f"{options.key}-{protocol}-{name}.png"
                write_atomically(file, picture.png())
                links[f"{protocol}-{name}"] = f"{doc.stem}/{file.name}"
        part = written.markdown(paper, results, command, data, links)
        before = doc.read_text() if doc.is_file() else ""
        write_atomically(doc, written.with_part(before, paper.title, options.key, part))
    return folder / PAGE
