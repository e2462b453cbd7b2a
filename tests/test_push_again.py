"""A rating that is pushed without an instant counts once, however often the command was cut off."""

import contextlib
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.push import PENDING, forget, instant_of
from common.errors import MarqueeError
from common.settings import Settings
from feature_repo.domains.movies import DOMAIN
from tests.home_state import online, online_differs
from tests.marquee import Refused, content, in_process, refused
from tests.small_home import home, whole  # noqa: F401

VALUES = {"user_id": 1, "movie_id": 3, "rating": 4.0}
PUSH = "features push --user 1 --movie 3 --rating 4"


def pushed(home: Path, words: str = PUSH) -> Refused:  # noqa: F811
    with contextlib.redirect_stdout(io.StringIO()):
        return in_process(home, *words.split())


def ratings_of_1(home: Path) -> tuple[int, int]:  # noqa: F811
    """How many the lake has, and how many are online."""
    (served,) = (row for row in online(home) if row["user_id"] == 1)
    stored = sum(row["user_id"] == 1 for row in content(home, "ratings"))
    return stored, served["user_rating_count"]


def test_a_push_that_failed_after_the_lake_had_it_counts_once_when_typed_again(
    home: Path,  # noqa: F811
) -> None:
    stored, served = ratings_of_1(home)
    with patch("app.push.send_changed", side_effect=MarqueeError("run it again")):
        assert refused(home, *PUSH.split()) == "Error: run it again"
    with patch("app.push.send_changed", side_effect=KeyboardInterrupt):
        assert pushed(home).code != 0
    assert ratings_of_1(home)[0] == stored + 1
    assert pushed(home).code == 0
    assert ratings_of_1(home) == (stored + 1, served + 1)
    assert not (home / PENDING).exists()
    assert pushed(home).code == 0, "the same rating at another time is another"
    assert ratings_of_1(home) == (stored + 2, served + 2)
    assert online_differs(home) == []


def test_a_push_that_could_not_say_what_it_did_counts_once_when_typed_again(home: Path) -> None:  # noqa: F811
    stored, served = ratings_of_1(home)
    with patch("rich.table.Table.add_row", side_effect=OSError(28, "No space left on device")):
        assert pushed(home).code == 2
    assert ratings_of_1(home) == (stored + 1, served + 1)
    assert pushed(home).code == 0
    assert ratings_of_1(home) == (stored + 1, served + 1)
    assert not (home / PENDING).exists()


@pytest.mark.parametrize(
    "text", ['{"2026-01-02T03:04:05": {"user_id": 1}}', '{"2026-01-02": [1]}', "[]", "{", "[" * 200_000]
)
def test_a_note_that_is_none_is_left_aside(home: Path, text: str) -> None:  # noqa: F811
    stored, served = ratings_of_1(home)
    (home / PENDING).write_text(text)
    assert pushed(home).code == 0
    assert ratings_of_1(home) == (stored + 1, served + 1)


def test_a_number_that_no_row_can_hold_is_refused_and_not_noted(home: Path) -> None:  # noqa: F811
    words = f"features push --user {2**63} --movie 3 --rating 4"
    assert "user_id is 9223372036854775808, beyond 64 bits" in refused(home, *words.split())
    assert not (home / PENDING).exists()


def test_a_push_that_failed_before_the_lake_had_it_is_of_now(home: Path) -> None:  # noqa: F811
    with patch("pipelines.ingest.add_events", side_effect=MarqueeError("the disk is full")):
        refused(home, *PUSH.split())
    before = datetime.now(UTC)
    assert pushed(home).code == 0
    last = max(row["event_timestamp"] for row in content(home, "ratings"))
    assert before <= last <= datetime.now(UTC)


def test_what_was_cut_off_is_known_by_what_it_says_and_for_a_day(home: Path) -> None:  # noqa: F811
    settings = Settings(home=home)
    assert pushed(home, f"{PUSH} --at 2026-01-02T03:04:05").code == 0
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def drawn(age: timedelta, **changed: float) -> datetime:
        """The instant of a rating, where one was begun at `at`, so long ago."""
        with patch("app.push.datetime", wraps=datetime) as clock:
            clock.now.return_value = at
            (home / PENDING).unlink(missing_ok=True)
            instant_of(settings, DOMAIN.events, VALUES)
            clock.now.return_value = at + age
            return instant_of(settings, DOMAIN.events, {**VALUES, **changed})

    hour = timedelta(hours=1)
    assert drawn(hour) == at
    assert drawn(hour, rating=3.5) == at + hour
    assert drawn(25 * hour) == at + 25 * hour
    drawn(hour, rating=3.5)
    forget(settings, at)
    assert instant_of(settings, DOMAIN.events, VALUES) > at + hour
    (home / PENDING).write_text("[")
    assert instant_of(settings, DOMAIN.events, VALUES) > at + hour


def test_text_that_is_none_in_a_typed_file_is_a_bad_row_or_a_sentence(
    home: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    users = pa.array([b"1", b"\xed\xa0\x80"], pa.binary()).view(pa.string())
    rows = {"user_id": users, "movie_id": [3, 3], "rating": [4.0, 4.0], "timestamp": [1_500_000_000] * 2}
    pq.write_table(pa.table(rows), tmp_path / "new.parquet")
    stored = len(content(home, "ratings"))
    assert pushed(home, f"features push {tmp_path / 'new.parquet'}").code == 0
    assert len(content(home, "ratings")) == stored + 1
    named = pa.table({"user_id": [1], "movie_id": [3], "event_timestamp": [datetime.now(UTC)], "plac?": [1]})
    pq.write_table(named, tmp_path / "labels.parquet")
    for file in ("labels.parquet", "new.parquet"):
        data = (tmp_path / file).read_bytes().replace(b"plac?", b"plac\xe5").replace(b"rating", b"ratin\xe5")
        (tmp_path / file).write_bytes(data)
    what = "has a column whose name is no text in UTF-8: rename it"
    labels, out = tmp_path / "labels.parquet", tmp_path / "out.parquet"
    joined = "features dataset --service gbt_v1 --labels"
    assert what in refused(home, *joined.split(), labels, "--out", out)
    assert what in refused(home, "features", "push", tmp_path / "new.parquet")
