"""`marquee data`: get or make data, and look at it."""

from typing import Annotated

import typer

from cli.options import DOMAIN, GROUP, Home, Seed

app = typer.Typer(name="data", help="Get or make data, and look at it.", **GROUP)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="ml-latest-small, ml-latest, ml-32m, ml-1m, …")],
    home: Home = None,
) -> None:
    """Download a MovieLens archive, check it and unpack it; an interrupted download is resumed."""
    from app.sources import fetch_archive
    from cli.console import console, stages
    from common.settings import load_settings
    from pipelines.sources.download import NO_POSTERS

    folder = fetch_archive(load_settings(home), name, stages())
    console.print(NO_POSTERS)
    console.print(f"Next: marquee run --source movielens --path {folder}", markup=False)


@app.command()
def synth(
    ratings: Annotated[int | None, typer.Option(help="How many ratings.")] = None,
    users: Annotated[int | None, typer.Option(help="How many users.")] = None,
    movies: Annotated[int | None, typer.Option(help="How many movies.")] = None,
    seed: Seed = 0,
    home: Home = None,
) -> None:
    """Generate synthetic ratings, movies and posters, with each event's true like-probability on the side."""
    from app.sources import synthesise
    from cli.console import stages
    from common.settings import load_settings
    from pipelines.sources.synthetic import SyntheticConfig

    asked = {"ratings": ratings, "users": users, "movies": movies, "seed": seed}
    config = SyntheticConfig(**{name: value for name, value in asked.items() if value is not None})
    synthesise(load_settings(home), config, stages())


@app.command()
def describe(home: Home = None) -> None:
    """Say what is in the lake: tables, rows, time span, versions."""
    from rich.markup import escape
    from rich.table import Table

    from app.describe import describe_lake
    from cli.console import console
    from common.settings import load_settings
    from common.words import count
    from feature_repo.domains.clicks import LOGS

    settings = load_settings(home)
    found = describe_lake(settings, DOMAIN, LOGS.values())
    listing = Table(title=escape(f"Lake in {settings.lake}"), title_justify="left")
    for heading in ("table", "rows", "from", "to", "version", "size"):
        listing.add_column(heading, justify="left" if heading == "table" else "right", overflow="fold")
    for name, facts in found.items():
        if facts is None:
            listing.add_row(name, "–", "", "", "", "")
        else:
            size = f"{facts.size / 1e6:.1f} MB"
            listing.add_row(name, count(facts.rows), facts.first, facts.last, str(facts.version), size)
    console.print(listing)
    if not any(found.values()):
        console.print("There are no tables yet: marquee run, or marquee pipeline ingest, makes them.")
