"""`marquee run`, and `report`, which writes a run's page again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DOMAIN, PATH, FirstMovies, Folder, Home, Posters, Seed, Source, SourceName, names

if TYPE_CHECKING:
    from app.run import Run


def run(
    source: Source = SourceName.synthetic,
    path: Folder = None,
    posters: Posters = None,
    first_movies: FirstMovies = None,
    models: Annotated[str, typer.Option(help="Models to train, by comma.")] = "gbt,din,mmdin",
    seed: Seed = 0,
    home: Home = None,
) -> None:
    """Go the whole road: data, tables, validation, features, store, models, report."""
    from app import run as road
    from app.sources import SourceOptions
    from cli.console import stages
    from common.settings import load_settings

    options = SourceOptions(source.value, path, posters, first_movies, seed)
    _print(road.run(load_settings(home), DOMAIN, options, names(models), stages()))


def report(
    run_folder: Annotated[
        Path | None, typer.Option("--run", help="Folder of a run (default: the newest).", **PATH)
    ] = None,
    home: Home = None,
) -> None:
    """Write a run's page again, from what the run left."""
    from app.report import rewrite_report
    from cli.console import stages
    from common.settings import load_settings

    rewrite_report(load_settings(home), DOMAIN, run_folder, stages())


def _print(run: "Run") -> None:
    """The same as `summary.json`, for a person."""
    from rich.table import Table

    from cli.console import console
    from cli.models import print_metrics
    from common.words import count

    tables = Table(title="Tables", title_justify="left")
    for heading in ("table", "read", "rows", "quarantined"):
        tables.add_column(heading, justify="left" if heading == "table" else "right", overflow="fold")
    for name, table in run.summary.tables.items():
        read = "" if table.read is None else count(table.read)
        bad = "" if table.quarantined is None else count(table.quarantined)
        tables.add_row(name, read, count(table.rows), bad)
    console.print(tables)
    models = run.summary.models
    if models:
        print_metrics({name: model["metrics"] for name, model in models.items()})
        best = next(iter(models.values()))["best_attainable_auc"]
        if best is not None:
            console.print(f"The best attainable ROC-AUC on the test split is {best:.4f}.")
    seconds = sum(cost.seconds for cost in run.summary.stages)
    peak = max(cost.peak_memory for cost in run.summary.stages) / 1024**3
    console.print(f"Done in {seconds:.0f} s with at most {peak:.1f} GiB. Report: {run.page}", markup=False)
