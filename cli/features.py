"""`marquee features`: what a person needs of the feature store."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from app.home import writing
from app.settings import load_settings
from cli.console import console, count
from cli.display import Stages
from common.errors import MarqueeError
from feature_repo.schema import QUARANTINE

if TYPE_CHECKING:
    import pyarrow as pa

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
        stage.outcome = f"{len(changes)} changes in the registry"


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


def push(
    file: Path | None,
    user: int | None,
    movie: int | None,
    rating: float | None,
    at: str | None,
    home: Path | None,
) -> None:
    """`marquee features push`."""
    from app.push import push as push_ratings
    from cli.pipeline import spark_stage
    from feature_repo.store import open_store

    ratings = _new_ratings(file, user, movie, rating, at)
    settings = load_settings(home)
    stages = Stages(console)
    with writing(settings.home):
        store = open_store(settings.home, must_exist=True)
        spark = spark_stage(settings, stages)
        with stages.stage("push") as stage:
            done = push_ratings(spark, store, ratings, stage.report)
            taken = done.ratings
            if not taken.accepted and not taken.known:
                raise MarqueeError(
                    f"None of the {taken.read} new ratings can be used ({'; '.join(taken.reasons)}): "
                    f"they are in {settings.lake / QUARANTINE}."
                )
            stage.outcome = (
                f"{count(taken.accepted)} ratings accepted, {count(taken.known)} were there already, "
                f"{count(taken.quarantined)} quarantined; {online_line(list(done.sent))}"
            )
    for reason in taken.reasons:
        console.print(f"[yellow]quarantined:[/] {escape(reason)}")
    listing = Table("table", "what was done", "rows written", "late keys", "keys online")
    online = {part.view: part.rows - part.refused for part in done.sent}
    for update in done.updates:
        listing.add_row(
            update.table, update.how, count(update.rows), count(update.late_keys), count(online[update.table])
        )
    console.print(listing)
    console.print(", ".join(f"{step} {seconds:.1f} s" for step, seconds in done.seconds.items()))


def _new_ratings(
    file: Path | None, user: int | None, movie: int | None, rating: float | None, at: str | None
) -> "pa.Table":
    """The ratings that the options give, as raw rows."""
    from pipelines.sources.new_ratings import one_rating, read_new_ratings

    if file is not None:
        if any(option is not None for option in (user, movie, rating, at)):
            raise MarqueeError("Give a file of ratings, or one by --user, --movie and --rating; not both.")
        return read_new_ratings(file)
    if user is None or movie is None or rating is None:
        raise MarqueeError("A rating needs --user, --movie and --rating; several come as a file.")
    try:
        given = datetime.now(UTC) if at is None else datetime.fromisoformat(at)
    except ValueError as error:
        raise MarqueeError(f"--at {at!r} is no instant such as 2026-11-21T12:00:00.") from error
    return one_rating(user, movie, rating, given if given.tzinfo else given.replace(tzinfo=UTC))


def lookup(user: int | None, movie: int | None, as_json: bool, home: Path | None) -> None:
    """`marquee features lookup`."""
    from app.lookup import asked_keys
    from app.lookup import lookup as look_up
    from feature_repo.store import open_store

    keys = asked_keys(user, movie)
    found = look_up(open_store(load_settings(home).home, must_exist=True), None, **keys)
    if as_json:
        since = {status.view: status.known_since.isoformat() for status in found.views if status.known_since}
        answer = {"features": found.values, "known_since": since, "unknown": found.unknown}
        console.print_json(json.dumps(answer, default=str))  # a feature may be an instant
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
    from training.data.dataset import dataset_file

    settings = load_settings(home)
    stages = Stages(console)
    with stages.stage("dataset") as stage:
        rows = dataset_file(open_store(settings.home, must_exist=True), service, labels, out)
        stage.outcome = f"{count(rows)} labels with the features of {service} in {out}"
