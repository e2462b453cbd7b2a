"""`marquee features`: what a person needs of the feature store."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import DOMAIN, GROUP, PATH, Home
from common.errors import MarqueeError

if TYPE_CHECKING:
    from pipelines.sources.source import Raw

app = typer.Typer(
    name="features", help="The feature store: plan, apply, materialize, look up, join.", **GROUP
)


@app.command()
def plan(home: Home = None) -> None:
    """Show what `apply` would change in the registry."""
    from cli.console import console
    from common.settings import load_settings
    from feature_repo import store

    changes = store.plan(load_settings(home), DOMAIN)
    for change in changes:
        console.print(str(change), markup=False)
    if not changes:
        console.print("The registry is up to date: nothing to apply.")


@app.command()
def apply(home: Home = None) -> None:
    """Publish entities, views and services to the registry."""
    from app.features import apply_stage
    from app.home import writing
    from cli.console import stages
    from common.settings import load_settings

    settings = load_settings(home)
    with writing(settings.home):
        apply_stage(settings, DOMAIN, stages())


@app.command()
def materialize(home: Home = None) -> None:
    """Bring into the online store the newest rows of the keys that changed since it last was."""
    from app.features import materialize_stage
    from app.home import writing
    from cli.console import stages
    from common.settings import load_settings
    from feature_repo.store import require_store

    settings = load_settings(home)
    require_store(settings)
    with writing(settings.home):
        materialize_stage(settings, stages())


@app.command()
def push(
    file: Annotated[
        Path | None, typer.Argument(help="CSV or Parquet of user_id, movie_id, rating, timestamp.", **PATH)
    ] = None,
    user: Annotated[int | None, typer.Option(help="user_id")] = None,
    movie: Annotated[int | None, typer.Option(help="movie_id")] = None,
    rating: Annotated[float | None, typer.Option(help="Stars, 0.5 to 5.")] = None,
    at: Annotated[str | None, typer.Option(help="When, as ISO 8601 (default: now; UTC).")] = None,
    home: Home = None,
) -> None:
    """Take in new ratings, one or a file of them, and bring online what follows from them."""
    from rich.markup import escape
    from rich.table import Table

    from app.features import online_line
    from app.home import writing
    from app.push import forget, instant_of
    from app.push import push as push_events
    from app.spark import spark_on_demand
    from cli.console import console, stages
    from common.settings import load_settings
    from common.words import count, count_of
    from feature_repo.define.table import QUARANTINE
    from feature_repo.store import open_store, require_store
    from pipelines.sources.new_events import one_event

    given = _new_ratings(file, user, movie, rating, at)
    settings = load_settings(home)
    require_store(settings)
    shown = stages()
    with writing(settings.home):
        store = open_store(settings)
        with shown.stage("push") as stage:
            drawn = None
            if isinstance(given, dict):
                drawn = instant_of(settings, DOMAIN.events, given)
                given = one_event(DOMAIN.events, given, drawn)
            done = push_events(spark_on_demand(settings, shown), store, given, DOMAIN, stage.report)
            taken = done.events
            if not taken.accepted and not taken.known:
                if drawn is not None:
                    forget(settings, drawn)
                raise MarqueeError(
                    f"No new rating can be used ({'; '.join(taken.reasons)}): "
                    f"see {settings.lake / QUARANTINE}."
                )
            stage.outcome = (
                f"{count_of(taken.accepted, 'rating')} accepted, {count(taken.known)} were there already, "
                f"{count(taken.quarantined)} quarantined; {online_line(list(done.sent))}"
            )
        for note in taken.notes:
            shown.note(note)
        for reason in taken.reasons:
            console.print(f"[yellow]quarantined:[/] {escape(reason)}")
        listing = Table("table", "what was done", "rows written", "late keys", "keys online")
        online = {part.view: part.rows - part.refused for part in done.sent}
        for update in done.updates:
            listing.add_row(
                update.table,
                update.how,
                count(update.rows),
                count(update.late_keys),
                count(online[update.table]),
            )
        console.print(listing)
        console.print(", ".join(f"{step} {seconds:.1f} s" for step, seconds in done.seconds.items()))
        sys.stdout.flush()
        if drawn is not None:  # last: who was not told that it is done may type it again
            forget(settings, drawn)


def _new_ratings(
    file: Path | None, user: int | None, movie: int | None, rating: float | None, at: str | None
) -> "Raw | dict[str, Any]":
    """The ratings that the options give, as raw rows; the values of one that is given no instant."""
    from datetime import UTC, datetime

    from pipelines.sources.new_events import one_event, read_events

    if file is not None:
        if any(option is not None for option in (user, movie, rating, at)):
            raise MarqueeError("Give a file of ratings, or one by --user, --movie and --rating; not both.")
        return read_events(file, DOMAIN.events)
    if user is None or movie is None or rating is None:
        raise MarqueeError("A rating needs --user, --movie and --rating; several come as a file.")
    values = {"user_id": user, "movie_id": movie, "rating": rating}
    if at is None:
        one_event(DOMAIN.events, values, datetime.now(UTC))  # which refuses what no row can hold
        return values
    try:
        given = datetime.fromisoformat(at)
    except ValueError as error:
        raise MarqueeError(f"--at {at!r} is no instant such as 2026-11-21T12:00:00.") from error
    return one_event(DOMAIN.events, values, given if given.tzinfo else given.replace(tzinfo=UTC))


@app.command()
def lookup(
    user: Annotated[int | None, typer.Option(help="user_id")] = None,
    movie: Annotated[int | None, typer.Option(help="movie_id")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    home: Home = None,
) -> None:
    """Read the features of a user, a movie or both from the online store."""
    import json

    from rich.markup import escape
    from rich.table import Table

    from app.lookup import asked_keys
    from app.lookup import lookup as look_up
    from cli.console import console
    from common.settings import load_settings
    from feature_repo.domains.movies import DOMAIN
    from feature_repo.store import open_store

    if user is None and movie is None:
        raise MarqueeError("There is nothing to look up: give --user (user_id), --movie (movie_id), or both.")
    keys = asked_keys(DOMAIN, {"user_id": user, "movie_id": movie})
    found = look_up(open_store(load_settings(home)), None, keys)
    if as_json:
        since = {status.view: status.known_since.isoformat() for status in found.views if status.known_since}
        answer = {"features": found.values, "known_since": since, "unknown": found.unknown}
        answer["unsent"] = found.unsent
        console.print_json(json.dumps(answer, default=str))  # a feature may be an instant
        return
    listing = Table("feature")
    listing.add_column("value", overflow="fold")
    for name, value in found.values.items():
        listing.add_row(name, "–" if value is None else escape(str(value)))
    console.print(listing)
    for key in found.unknown:
        console.print(f"[yellow]{key} {found.keys[key]} is unknown:[/] the online store has no row for it.")
    if found.unsent:
        names = ", ".join(found.unsent)
        console.print(f"[yellow]Not online yet:[/] {names}; marquee features materialize brings what is new.")


@app.command()
def dataset(
    service: Annotated[str, typer.Option(help="Feature service, such as mmdin_v1.")],
    labels: Annotated[
        Path, typer.Option(help="Parquet with user_id, movie_id, event_timestamp; more is kept.", **PATH)
    ],
    out: Annotated[Path, typer.Option(help="Parquet to write: the labels and their features.", **PATH)],
    home: Home = None,
) -> None:
    """Join a service's features to labels, each as of its own instant."""
    from app.features import join_labels
    from cli.console import stages
    from common.settings import load_settings

    join_labels(load_settings(home), DOMAIN, service, labels, out, stages())
