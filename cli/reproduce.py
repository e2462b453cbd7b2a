"""`marquee reproduce`: a paper's table, from the data to the page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import (
    LARGEST_SEED,
    PATH,
    AnySource,
    FirstMovies,
    Home,
    IngestSource,
    LogRows,
    Posters,
    SourcePath,
    command_line,
    names,
)

if TYPE_CHECKING:
    from training.papers.paper import Paper
    from training.papers.results import Results


def reproduce(
    paper: Annotated[str, typer.Argument(help="iarm or mmdin")],
    source: AnySource = IngestSource.synthetic,
    path: SourcePath = None,
    posters: Posters = None,
    first_movies: FirstMovies = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each row of the table.")] = 5,
    protocols: Annotated[
        str | None, typer.Option(help="Tables of the paper, by comma, such as honest; all where not given.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of trained models, figures and report.", **PATH)
    ] = None,
    doc: Annotated[
        Path | None, typer.Option(help="Markdown whose part on this data is written.", **PATH)
    ] = None,
    rows: LogRows = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=LARGEST_SEED, help="Of the synthetic data; trainings have the seeds 0, 1, …"),
    ] = None,
    home: Home = None,
) -> None:
    """A paper's whole table, with error bars, ablations and figures; what is trained is not trained again."""
    from app import reproduce as papers
    from app.sources import SourceOptions
    from cli.console import console, stages
    from common.errors import MarqueeError
    from common.settings import load_settings

    if seed is not None and path is not None:
        raise MarqueeError(
            "--seed is of the synthetic data; trainings have seeds of their own: leave it out."
        )
    data = SourceOptions(source.value, path, posters, first_movies, seed or 0, rows)
    options = papers.ReproduceOptions(seeds, None if protocols is None else names(protocols), out, doc)
    found, results, page = papers.reproduce(
        load_settings(home), paper, data, options, command_line(), stages()
    )
    _print(found, results)
    console.print(f"Report: {page}" + (f"; Markdown: {doc}" if doc else ""), markup=False)


def _print(paper: "Paper", results: "Results") -> None:
    from rich.table import Table

    from cli.console import console
    from training.papers.page import table_of

    for protocol in results.parts:
        head, *rows = table_of(paper, results, protocol)
        listing = Table(*head, title=paper.protocols[protocol].heading, title_justify="left")
        for row in rows:
            listing.add_row(*row)
        console.print(listing)
