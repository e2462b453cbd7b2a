"""A pushed rating is checked like any other, and online as if it had always been there, late or not."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore
from pyspark.sql import SparkSession
from typer.testing import CliRunner

from app.lookup import lookup_many
from app.push import push
from cli.main import app
from common.errors import MarqueeError
from common.settings import Settings
from feature_repo import store
from feature_repo.define.table import QUARANTINE_COLUMNS
from feature_repo.domains.movies import DOMAIN
from feature_repo.schema import EVENT_TIMESTAMP, KNOWN_AFTER, QUARANTINE, RATINGS, SERVICES, TABLES
from feature_repo.spark import spark_schema, spark_schema_of
from lake.spark_tables import overwrite, read
from pipelines.features.stored import RUNNING
from pipelines.sources.new_ratings import FIELDS, one_rating, read_new_ratings
from tests.feature_oracle import Rating, features_at_labels
from tests.test_feature_jobs import MOVIES, POSTERS, frames, instant
from tests.test_real_road import differences

FIRST = [Rating(1, 1, 4.0, 10), Rating(1, 2, 3.0, 20), Rating(2, 1, 2.5, 30)]
LATER = 10_000


@pytest.fixture(scope="module")
def opened(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """An applied store on a lake with a catalogue and three ratings; no feature is computed yet."""
    home = tmp_path_factory.mktemp("push")
    sources = frames(spark, FIRST)
    for name, frame in sources.items():
        overwrite(frame, home / "lake", name, spark_schema(TABLES[name]))
    quarantine = spark_schema_of(QUARANTINE_COLUMNS)
    overwrite(spark.createDataFrame([], quarantine), home / "lake", QUARANTINE, quarantine)
    store.apply(Settings(home=home), DOMAIN)
    return store.open_store(Settings(home=home))


def check_online(opened: FeatureStore, ratings: Sequence[Rating]) -> None:
    """What is online of every user and movie is what the oracle says after all ratings."""
    pairs = [(user, movie) for user in range(1, 5) for movie in MOVIES]
    probes = [Rating(user, movie, 3.0, LATER) for user, movie in pairs]
    expected = features_at_labels([*ratings, *probes], MOVIES, POSTERS, instant)
    columns = {"user_id": [user for user, _ in pairs], "movie_id": [movie for _, movie in pairs]}
    for row in lookup_many(opened, None, pa.table(columns)).to_pylist():
        wanted = expected[row["user_id"], row["movie_id"], LATER]
        found = {c.name: row[c.name] for table in RUNNING for c in TABLES[table].feature_columns}
        others = {c.name: wanted.get(c.name) for table in SERVICES["mmdin_v1"] for c in table.feature_columns}
        assert differences(others | found, wanted) == []
        last = max((r.instant for r in ratings if r.user == row["user_id"]), default=None)
        since = None if last is None else instant(last) + KNOWN_AFTER
        assert row["user_rating_stats_known_since"] == since


def test_pushed_ratings_are_online_as_if_they_had_always_been_there(
    spark: SparkSession, opened: FeatureStore, tmp_path: Path
) -> None:
    done = push(spark, opened, one_rating(1, 4, 5.0, instant(40)))
    assert (done.ratings.read, done.ratings.accepted) == (1, 1)
    ratings = [*FIRST, Rating(1, 4, 5.0, 40)]
    check_online(opened, ratings)

    late, new, known = Rating(1, 5, 5.0, 15), Rating(3, 2, 4.5, 50), FIRST[0]
    bad = [Rating(3, 77, 4.0, 60), Rating(3, 1, 9.0, 61), Rating(2, 1, 5.0, 30)]
    lines = [",".join(map(str, fields(rating))) for rating in (late, new, known, *bad)]
    file = tmp_path / "new.csv"
    file.write_text("\n".join(["userId,movieId,rating,timestamp", *lines]) + "\n")
    done = push(spark, opened, read_new_ratings(file))
    assert (done.ratings.accepted, done.ratings.known, done.ratings.quarantined) == (2, 1, 3)
    assert sorted(done.ratings.reasons) == [
        "movie 77 is not in the catalogue",
        "rating is outside [0.5, 5]: 9.0",
        "the lake has it with 2.5 stars",
    ]
    assert {update.table: update.how for update in done.updates} == dict.fromkeys(sorted(RUNNING), "updated")
    assert {sent.view: sent.rows for sent in done.sent}["user_rating_stats"] == 2
    ratings += [late, new]
    check_online(opened, ratings)

    refused = read(spark, Path(opened.config.offline_store.lake), QUARANTINE).collect()
    assert {row["row"]: row["record"] for row in refused} == dict(enumerate(lines[3:], start=5))
    held = read(spark, Path(opened.config.offline_store.lake), RATINGS.name).collect()
    assert len(held) == len(ratings)
    nothing = push(spark, opened, one_rating(1, 78, 5.0, instant(41)))
    assert (nothing.updates, nothing.sent) == ((), ())


def fields(rating: Rating) -> tuple[Any, ...]:
    return rating.user, rating.movie, rating.stars, int(instant(rating.instant).timestamp())


# --- reading new ratings ----------------------------------------------------------------------------------


def test_one_rating_keeps_its_microsecond() -> None:
    at = datetime(2026, 11, 21, 12, 0, 0, 123457, tzinfo=UTC)
    (row,) = one_rating(1, 2, 4.5, at).to_pylist()
    assert datetime.fromtimestamp(row["timestamp"], UTC) == at
    assert (row["user_id"], row["movie_id"], row["rating"], row["row"]) == (1, 2, 4.5, 1)
    assert row["record"] == "1,2,4.5,2026-11-21T12:00:00.123457+00:00"


def test_csv_comes_line_by_line_whatever_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "new.csv"
    file.write_text(
        'rating,note,user_id,movie_id,timestamp\n4.5,"a,b",1,2,100\n\n4,x\n3,y,1,2,5,6\n1,"q,1,2,3\n'
    )
    rows = read_new_ratings(file).to_pylist()
    assert [tuple(row[name] for name in FIELDS) for row in rows] == [
        ("1", "2", "4.5", "100"),
        (None, None, "4", None),
        ("1", "2", "3", "5,6"),
        (None, None, "1", None),
    ]
    assert [row["row"] for row in rows] == [2, 4, 5, 6]
    assert rows[1]["record"] == "4,x"


def test_parquet_may_have_instants(tmp_path: Path) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=1)
    columns = {"user_id": [1, 2], "movie_id": [3.0, None], "rating": [4, 5], EVENT_TIMESTAMP: [at, None]}
    pq.write_table(pa.table(columns), tmp_path / "new.parquet")
    first, second = read_new_ratings(tmp_path / "new.parquet").to_pylist()
    assert datetime.fromtimestamp(first["timestamp"], UTC) == at
    assert (first["user_id"], first["movie_id"], first["rating"]) == (1, 3.0, 4)
    assert (second["movie_id"], second["timestamp"], second["row"]) == (None, None, 2)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone.csv", None, "There is no file"),
        ("empty.csv", b"", "is empty"),
        ("other.csv", b"user_id,movie_id,stars,timestamp\n", "lacks the column rating"),
        ("bad.parquet", b"user_id", "cannot be read as Parquet"),
    ],
)
def test_files_that_cannot_be_used_are_one_sentence(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MarqueeError, match=words):
        read_new_ratings(tmp_path / name)


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
