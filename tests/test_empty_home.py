"""Commands that need what a home does not have say in one sentence what to run, and make nothing."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.domains.movies import DOMAIN
from lake.tables import overwrite
from tests.gate_tables import good_rows, rows_of
from tests.marquee import refused

NO_TABLES = {
    "train gbt": "There is no table ratings in HOME/lake: run `marquee run`",
    "tune gbt --trials 1": "There is no table ratings in HOME/lake: run `marquee run`",
    "tune gbt --study NEW": "new.csv cannot be used: file is not a database. Name another file",
    "validate": "There is no table ratings in HOME/lake: run `marquee run`",
    "pipeline run": "There is no table ratings in HOME/lake: run `marquee run`",
    "pipeline maintain": "There are no tables in HOME/lake yet: run `marquee run`",
    "report": "There is no finished run in HOME/runs: `marquee run` makes one",
    "train gbt --data UNLABELLED": "lacks liked or rating: make it by marquee features dataset",
}
WANT_A_STORE = (
    *("features materialize", "features push NEW", "features push --user 1 --movie 1 --rating 4"),
    *("features lookup --user 1", "features dataset --service mmdin_v1 --labels UNLABELLED --out OUT"),
    *("audit leakage", "audit consistency"),
)
NO_STORE = dict.fromkeys(WANT_A_STORE, "There is no feature store for HOME: run marquee run, or marquee")


def says(command: str, tmp_path: Path, home: Path) -> str:
    """What a command says that is refused."""
    places = {"UNLABELLED": tmp_path / "labels.parquet", "NEW": tmp_path / "new.csv", "OUT": tmp_path / "out"}
    at = pa.array([datetime(2020, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    rows = pa.table({"user_id": [1], "movie_id": [1], "event_timestamp": at})
    pq.write_table(rows, places["UNLABELLED"])
    places["NEW"].write_text("user_id,movie_id,rating,timestamp\n1,1,4,1577836802\n")
    return refused(home, *(places.get(word, word) for word in command.split()))


@pytest.mark.parametrize("command", [*NO_TABLES, *NO_STORE])
@pytest.mark.parametrize("there", [False, True], ids=["missing", "empty"])
def test_a_home_with_nothing_stays_so(command: str, there: bool, tmp_path: Path) -> None:
    home = tmp_path / "home"
    if there:
        home.mkdir()
    assert (NO_TABLES | NO_STORE)[command].replace("HOME", str(home)) in says(command, tmp_path, home)
    assert home.exists() == there
    assert not there or not list(home.iterdir())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [*NO_STORE, "train gbt", "tune gbt"])
def test_a_home_with_events_alone_gets_nothing_but_them(command: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    events = DOMAIN.events
    overwrite(rows_of(events, good_rows(events)), home / "lake", events.name)
    before = sorted(home.rglob("*"))
    assert "There is no feature store" in says(command, tmp_path, home)
    assert sorted(home.rglob("*")) == before
