"""`marquee pipeline` and `marquee validate`: the lake's tables made, kept in order, and checked."""

from typing import Annotated

import typer

from cli.options import (
    DOMAIN,
    GROUP,
    AnySource,
    DomainName,
    FirstMovies,
    Home,
    IngestSource,
    LogRows,
    Posters,
    Seed,
    SourcePath,
)

app = typer.Typer(name="pipeline", help="Make the lake's tables, and keep them in order.", **GROUP)


@app.command()
def ingest(
    source: AnySource = IngestSource.synthetic,
    path: SourcePath = None,
    posters: Posters = None,
    first_movies: FirstMovies = None,
    seed: Seed = 0,
    rows: LogRows = None,
    add: Annotated[bool, typer.Option("--add", help="Keep what the lake has, and add what is new.")] = False,
    home: Home = None,
) -> None:
    """Read a source into the lake, in place of what it has of that kind; rows that break a rule go to the
    quarantine."""
    from app.domains import domain_named
    from app.ingest import ingest_source
    from app.sources import DOMAIN_OF, SourceOptions
    from cli.console import stages
    from common.settings import load_settings

    options = SourceOptions(source.value, path, posters, first_movies, seed, rows)
    domain = domain_named(DOMAIN_OF[options.source])
    ingest_source(load_settings(home), domain, options, stages(), adding=add)


@app.command()
def run(
    jobs: Annotated[list[str] | None, typer.Argument(help="Feature tables (default: all).")] = None,
    full: Annotated[bool, typer.Option("--full", help="Compute them anew from all events.")] = False,
    home: Home = None,
) -> None:
    """Bring feature tables up to date with the lake; what is new since the last time is enough."""
    from rich.table import Table

    from app.features import compute
    from cli.console import console, stages
    from common.settings import load_settings
    from common.words import count

    settings = load_settings(home)
    listing = Table("table", "what was done", "new events", "late keys", "rows written")
    for update in compute(settings, DOMAIN, jobs or [], stages(), full):
        listing.add_row(
            update.table, update.how, count(update.new_events), count(update.late_keys), count(update.rows)
        )
    console.print(listing)
    console.print(f"Tables are in {settings.lake}", markup=False)


@app.command()
def maintain(
    tables: Annotated[list[str] | None, typer.Argument(help="Tables of the lake (default: all).")] = None,
    retain_days: Annotated[
        int, typer.Option(min=0, max=36_500, help="Old versions stay readable for so many days at least.")
    ] = 30,
    home: Home = None,
) -> None:
    """Compact tables, cluster them by key, and remove old versions.

    Versions that a trained model or a run in this home was made from always stay, as do rows that a job has
    not seen.
    """
    from datetime import timedelta

    from rich.table import Table

    from app.maintain import maintain_lake
    from cli.console import console, stages
    from common.settings import load_settings
    from feature_repo.domains.clicks import LOGS

    listing = Table("table", "files", "on disk", "versions that can be read")
    for table in maintain_lake(
        load_settings(home), DOMAIN, tables or [], timedelta(days=retain_days), stages(), LOGS.values()
    ):
        listing.add_row(
            table.table,
            f"{table.files[0]} → {table.files[1]}",
            f"{table.size[0] / 1e6:.1f} → {table.size[1] / 1e6:.1f} MB",
            f"{table.versions[0]} to {table.versions[1]}",
        )
    console.print(listing)


def validate(
    domain: DomainName = None,
    home: Home = None,
) -> None:
    """Check every table of the lake; exit code 2 where one breaks a rule."""
    from app.domains import domain_named
    from app.validate import validate_lake
    from cli.console import console, stages
    from common.settings import load_settings
    from validation.gate.gate import PAGE
    from validation.gate.report import render_table, require_passed

    settings = load_settings(home)
    asked = domain_named(domain)
    out = settings.home / "validation"
    if asked is not DOMAIN:
        out /= asked.name
    report = validate_lake(settings, asked, out, stages())
    console.print(render_table(report))
    require_passed(report, out / PAGE)
