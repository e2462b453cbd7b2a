"""`marquee features`: what a person needs of the feature store."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from cli.console import console, count
from cli.display import Stages
from cli.home import writing
from cli.settings import load_settings

if TYPE_CHECKING:
    from feature_repo.online.send import Sent


def plan(home: Path | None) -> None:
    """`marquee features plan`."""
    from feature_repo import store

    settings = load_settings(home)
    changes = store.plan(settings.home)
    for change in changes:
        console.print(str(change), markup=False)
    if not changes:
        console.print("The registry is up to date: nothing to apply.")


def apply(home: Path | None) -> None:
    """`marquee features apply`."""
    from feature_repo import store

    settings = load_settings(home)
    stages = Stages(console)
    with writing(settings.home), stages.stage("apply") as stage:
        changes = store.apply(settings.home)
        stage.outcome = f"{len(changes)} changes in {settings.home / 'registry.db'}"


def materialize(home: Path | None) -> None:
    """`marquee features materialize`."""
    from feature_repo import store

    settings = load_settings(home)
    stages = Stages(console)
    with writing(settings.home), stages.stage("materialize") as stage:
        sent = store.materialize(settings.home, on_progress=stage.report)
        stage.outcome = online_line(sent)


def online_line(sent: "list[Sent]") -> str:
    """What went online, as one line."""
    if all(part.since == part.version for part in sent):
        return f"nothing changed in {len(sent)} views"
    rows, refused = sum(part.rows for part in sent), sum(part.refused for part in sent)
    older = f"; {count(refused)} were older than what is there" if refused else ""
    return f"{count(rows)} keys of {len(sent)} views online{older}"


def lookup(user: int | None, movie: int | None, as_json: bool, home: Path | None) -> None:
    """`marquee features lookup`."""
    from feature_repo.store import open_store
    from serving.lookup import lookup as look_up

    found = look_up(open_store(load_settings(home).home), None, user_id=user, movie_id=movie)
    if as_json:
        since = {status.view: status.known_since.isoformat() for status in found.views if status.known_since}
        answer = {"features": found.values, "known_since": since, "unknown": found.unknown}
        console.print_json(json.dumps(answer))
        return
    listing = Table("feature")
    listing.add_column("value", overflow="fold")
    for name, value in found.values.items():
        listing.add_row(name, "–" if value is None else escape(str(value)))
    console.print(listing)
    for key in found.unknown:
        asked = user if key == "user_id" else movie
        console.print(f"[yellow]{key} {asked} is unknown:[/] the online store has no row for it.")


def dataset(service: str, labels: Path, out: Path, home: Path | None) -> None:
    """`marquee features dataset`."""
    from feature_repo.store import open_store
    from training.dataset import dataset_file

    settings = load_settings(home)
    stages = Stages(console)
    with stages.stage("dataset") as stage:
        rows = dataset_file(open_store(settings.home), service, labels, out)
        stage.outcome = f"{count(rows)} labels with the features of {service} in {out}"
