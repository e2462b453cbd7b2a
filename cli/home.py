"""`marquee home`: whose state it is that servers hold, after a home was copied or moved."""

import typer

from cli.options import GROUP, Home

app = typer.Typer(name="home", help="A home that was copied or moved, at scale: say which.", **GROUP)


@app.command()
def moved(home: Home = None) -> None:
    """It is the same home: what the servers hold is its own, as before."""
    from cli.console import console
    from common.settings import load_settings
    from feature_repo.identity import say_moved

    folder = load_settings(home).home
    before = say_moved(folder)
    console.print(f"{folder} is the home that {before} was: what the servers hold is its own.", markup=False)


@app.command()
def new(home: Home = None) -> None:
    """It is a home of its own, of which the servers hold nothing yet."""
    from cli.console import console
    from common.settings import load_settings
    from feature_repo.identity import say_new

    folder = load_settings(home).home
    other = say_new(folder)
    console.print(
        f"{folder} is a home of its own, and what the servers hold stays that of {other}: run"
        " marquee features apply, then marquee features materialize.",
        markup=False,
    )
