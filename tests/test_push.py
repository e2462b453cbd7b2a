"""A pushed rating is checked like any other, and online as if it had always been there, late or not."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from feast import FeatureStore
from pyspark.sql import SparkSession
from typer.testing import CliRunner

from app.lookup import lookup_many
from app.push import push
from cli.commands import app
from common.errors import MarqueeError
from common.settings import Settings
from feature_repo import store
from feature_repo.define.column import KNOWN_AFTER
from feature_repo.define.table import QUARANTINE, QUARANTINE_COLUMNS
from feature_repo.domains.movies import DOMAIN
from feature_repo.domains.movies.tables import RATINGS
from feature_repo.online.send import send_changed
from feature_repo.spark import spark_schema, spark_schema_of
from lake.spark_tables import overwrite, read
from pipelines.sources.new_events import one_event, read_events
from pipelines.sources.source import Raw
from tests.feature_oracle import Rating, features_at_labels
from tests.test_feature_jobs import MOVIES, POSTERS, frames, instant
from tests.test_real_road import differences

FIRST = [Rating(1, 1, 4.0, 10), Rating(1, 2, 3.0, 20), Rating(2, 1, 2.5, 30)]
LATER = 10_000
RUNNING = [view for view in DOMAIN.views if not view.is_timeless]


@pytest.fixture(scope="module")
def opened(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """An applied store on a lake with a catalogue and three ratings; no feature is computed yet."""
    home = tmp_path_factory.mktemp("push")
    sources = frames(spark, FIRST)
    for name, frame in sources.items():
        overwrite(frame, home / "lake", name, spark_schema(DOMAIN.tables[name]))
    quarantine = spark_schema_of(QUARANTINE_COLUMNS)
    overwrite(spark.createDataFrame([], quarantine), home / "lake", QUARANTINE, quarantine)
    store.apply(Settings(home=home), DOMAIN)
    return store.open_store(Settings(home=home))


def one_rating(user: int, movie: int, stars: float, at: datetime) -> Raw:
    return one_event(DOMAIN.events, {"user_id": user, "movie_id": movie, "rating": stars}, at)


def check_online(opened: FeatureStore, ratings: Sequence[Rating]) -> None:
    """What is online of every user and movie is what the oracle says after all ratings."""
    pairs = [(user, movie) for user in range(1, 5) for movie in MOVIES]
    probes = [Rating(user, movie, 3.0, LATER) for user, movie in pairs]
    expected = features_at_labels([*ratings, *probes], MOVIES, POSTERS, instant)
    views = [view for view in DOMAIN.services["mmdin_v1"] if not view.is_timeless]
    names = [column.name for view in views for column in view.columns]
    columns = {"user_id": [user for user, _ in pairs], "movie_id": [movie for _, movie in pairs]}
    for row in lookup_many(opened, None, pa.table(columns)).to_pylist():
        wanted = expected[row["user_id"], row["movie_id"], LATER]
        wrong = differences([row[name] for name in names], [wanted.get(name) for name in names])
        assert wrong == [], [names[place] for place in wrong]
        last = max((r.instant for r in ratings if r.user == row["user_id"]), default=None)
        since = None if last is None else instant(last) + KNOWN_AFTER
        assert row["user_rating_stats_known_since"] == since


def test_pushed_ratings_are_online_as_if_they_had_always_been_there(
    spark: SparkSession, opened: FeatureStore, tmp_path: Path
) -> None:
    done = push(lambda: spark, opened, one_rating(1, 4, 5.0, instant(40)), DOMAIN)
    assert (done.events.read, done.events.accepted) == (1, 1)
    ratings = [*FIRST, Rating(1, 4, 5.0, 40)]
    check_online(opened, ratings)

    late, new, known = Rating(1, 5, 5.0, 15), Rating(3, 2, 4.5, 50), FIRST[0]
    bad = [Rating(3, 77, 4.0, 60), Rating(3, 1, 9.0, 61), Rating(2, 1, 5.0, 30)]
    lines = [",".join(map(str, fields(rating))) for rating in (late, new, known, *bad)]
    file = tmp_path / "new.csv"
    file.write_text("\n".join(["userId,movieId,rating,timestamp", *lines]) + "\n")
    done = push(lambda: spark, opened, read_events(file, DOMAIN.events), DOMAIN)
    assert (done.events.accepted, done.events.known, done.events.quarantined) == (2, 1, 3)
    assert sorted(done.events.reasons) == [
        "movie 77 is not in the catalogue",
        "rating is outside [0.5, 5]: 9.0",
        "the lake has it with 2.5 stars",
    ]
    assert {update.table: update.how for update in done.updates} == {view.name: "updated" for view in RUNNING}
    assert {sent.view: sent.rows for sent in done.sent}["user_rating_stats"] == 2
    ratings += [late, new]
    check_online(opened, ratings)

    refused = read(spark, Path(opened.config.offline_store.lake), QUARANTINE).collect()
    assert {row["row"]: row["record"] for row in refused} == dict(enumerate(lines[3:], start=5))
    held = read(spark, Path(opened.config.offline_store.lake), RATINGS.name).collect()
    assert len(held) == len(ratings)
    nothing = push(lambda: spark, opened, one_rating(1, 78, 5.0, instant(41)), DOMAIN)
    assert (nothing.updates, nothing.sent) == ((), ())

    # A row that was written through Feast is one, but no event: what follows from events goes on from theirs.
    written = newest_row(opened, "user_rating_stats", 1).assign(
        event_timestamp=instant(45), user_rating_count=99, created_timestamp=datetime.now(UTC)
    )
    opened.write_to_offline_store("user_rating_stats", written)
    send_changed(opened, ["user_rating_stats"])
    found = lookup_many(opened, None, pa.table({"user_id": [1], "movie_id": [1]}))
    assert found["user_rating_count"].to_pylist() == [99]
    push(lambda: spark, opened, one_rating(1, 3, 2.0, instant(70)), DOMAIN)
    check_online(opened, [*ratings, Rating(1, 3, 2.0, 70)])


def newest_row(opened: FeatureStore, view: str, user: int) -> pd.DataFrame:
    """A user's newest row, in the declared columns."""
    rows = DeltaTable(f"{opened.config.offline_store.lake}/{view}").to_pyarrow_table()
    frame = rows.select(DOMAIN.tables[view].column_names).to_pandas()
    return frame[frame.user_id == user].sort_values("event_timestamp").tail(1)


def fields(rating: Rating) -> tuple[Any, ...]:
    return rating.user, rating.movie, rating.stars, int(instant(rating.instant).timestamp())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--user", "1"], "needs --user, --movie and --rating"),
        (["new.csv", "--user", "1"], "not both"),
        (["--user", "1", "--movie", "1", "--rating", "4", "--at", "soon"], "is no instant"),
        (["--user", "1", "--movie", "1", "--rating", "4"], "features apply"),
    ],
)
def test_options_that_cannot_be_used_are_one_sentence(tmp_path: Path, options: list[str], words: str) -> None:
    done = CliRunner().invoke(app, ["features", "push", *options, "--home", str(tmp_path)])
    assert isinstance(done.exception, MarqueeError)
    assert words in str(done.exception)
