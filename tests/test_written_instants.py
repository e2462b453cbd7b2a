"""Instants that are written out are what they plainly mean, by either engine; what numbers mean stays."""

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.domains.movies import DOMAIN
from lake.session import StartSpark
from pipelines.ingest import add, add_events, ingest
from pipelines.sources.movielens import read_movielens
from pipelines.sources.new_events import read_events
from pipelines.sources.readings import instant
from tests.raw_rows import no_spark, opened, part, raw, table_rows
from tests.test_movielens import csv_layout

AT = datetime(2020, 1, 1, 12, 30, 5, tzinfo=UTC)
PLAIN: dict[str, datetime] = {
    "2020-01-01T12:30:05Z": AT,
    "2020-01-01 12:30:05": AT,
    "2020-01-01 12:30:05 UTC": AT,
    "2020-01-01t12:30:05z": AT,
    " 2020-01-01T12:30:05+00:00 ": AT,
    "2020-01-01T14:30:05+02:00": AT,
    "2020-01-01 07:00:05 -0530": AT,
    "2020-01-01 13:30:05+01": AT,
    "2020-01-01T12:30:05.25": AT.replace(microsecond=250_000),
    "2020-01-01T12:30:05.123456789Z": AT.replace(microsecond=123_456),
    "2020-01-01T12:30": AT.replace(second=0),
    "2020-01-01": AT.replace(hour=0, minute=0, second=0),
    "2020-02-29": datetime(2020, 2, 29, tzinfo=UTC),
    "2019-12-31T23:59:59-00:01": datetime(2020, 1, 1, 0, 0, 59, tzinfo=UTC),
    "1577881805": AT,
    "1577881805.25": AT.replace(microsecond=250_000),
    "20200101": datetime.fromtimestamp(20_200_101, UTC),
    "2020": datetime(1970, 1, 1, 0, 33, 40, tzinfo=UTC),
    "1e9": datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC),
}
"""Texts and what they plainly mean."""
NONE = (
    *("2019-02-29", "2020-13-01", "2020-00-10", "2020-01-01T24:00:00Z", "2020-01-01T12:60", "2020-1-1"),
    *("2020-01-01T12", "2020-01-01T12:30:05.", "2020-01-01T12:30:05+24:00", "2020-01-01Z", "01/02/2020"),
    *(
        "2020-01-01T12:30:05 CET",
        "2020-01-01T12:30:05ZZ",
        "x2020-01-01",
        "2020-01-01 12:30:05 1",
        "-2020-01-01",
    ),
)
"""What is no such instant, or not one only."""


def read(start: StartSpark, texts: list[str]) -> list[datetime | None]:
    """The instants of some texts, in order."""
    (reading,) = rows = (instant("at", "x"),)
    with opened(start) as engine:
        engine.load("texts", raw([(text,) for text in texts], rows).rows)
        found = engine.fetch(f"SELECT `row`, {reading.value} AS at FROM texts").sort_by("row")
    return [None if at is None else at.astimezone(UTC) for at in found["at"].to_pylist()]


def test_texts_are_the_instants_that_they_plainly_mean(start: StartSpark) -> None:
    texts = [*PLAIN, *NONE]
    assert dict(zip(texts, read(start, texts), strict=True)) == PLAIN | dict.fromkeys(NONE)


moments = st.datetimes(datetime(1000, 1, 1), datetime(4000, 1, 1))
zones = st.one_of(
    st.none(),
    st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


@given(st.lists(st.tuples(moments, zones, st.sampled_from("T "), st.booleans()), min_size=1, max_size=50))
@settings(max_examples=20, deadline=None)
def test_any_instant_is_read_as_python_reads_it(
    cases: list[tuple[datetime, timezone | None, str, bool]],
) -> None:
    whole = [
        (moment.replace(microsecond=0) if cut else moment).replace(tzinfo=zone).isoformat(sep)
        for moment, zone, sep, cut in cases
    ]
    parsed = [datetime.fromisoformat(text) for text in whole]
    want = [at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC) for at in parsed]
    assert read(no_spark, whole) == want


HEADER = "userId,movieId,rating,timestamp\n"
ROWS = "1,10,4,2020-01-01T00:00:00Z\n1,20,3,2020-01-01 00:00:01\n2,20,5,1577836802\n"
FIRST = datetime(2020, 1, 1, tzinfo=UTC)


def instants(lake: Path) -> list[datetime]:
    return sorted(row["event_timestamp"] for row in table_rows(lake, "ratings"))


def assert_said(note: str, path: Path) -> None:
    assert re.match(rf"{path}: 1 time is without a time zone and read in UTC \(the first in row 3\); ", note)


def test_ratings_with_written_instants_are_judged_alike(start: StartSpark, tmp_path: Path) -> None:
    csv_layout(tmp_path)
    (tmp_path / "ratings.csv").write_text(HEADER + ROWS)
    (tmp_path / "new.csv").write_text(HEADER + ROWS)
    sources = {
        "ratings.csv": read_movielens(tmp_path).tables["ratings"],
        "new.csv": read_events(tmp_path / "new.csv", DOMAIN.events),
    }
    for name, rows in sources.items():
        found = part(start, DOMAIN, "ratings", rows, {"movies": [10, 20]})
        assert_said(*found.notes, tmp_path / name)
        assert [at for *_, at in found.good] == [FIRST + at * timedelta(seconds=1) for at in range(3)]


def test_ratings_with_written_instants_are_ingested_added_and_pushed(tmp_path: Path) -> None:
    csv_layout(tmp_path)
    (tmp_path / "ratings.csv").write_text(HEADER + ROWS)
    lake, seconds = tmp_path / "lake", timedelta(seconds=1)
    report = ingest(no_spark, read_movielens(tmp_path), lake, DOMAIN)
    assert_said(*report.notes, tmp_path / "ratings.csv")
    assert instants(lake) == [FIRST + at * seconds for at in range(3)]

    (tmp_path / "ratings.csv").write_text(HEADER + ROWS.replace("1,20,3,2020", "1,20,3,2021"))
    added = add(no_spark, read_movielens(tmp_path), lake, DOMAIN)
    assert_said(*added.notes, tmp_path / "ratings.csv")
    assert (added.tables["ratings"].accepted, added.tables["ratings"].known) == (1, 2)
    assert instants(lake)[-1] == FIRST.replace(year=2021) + seconds

    (tmp_path / "new.csv").write_text(
        HEADER + ROWS.replace("2020", "2022").replace("1577836802", "1640995202")
    )
    pushed = add_events(no_spark, read_events(tmp_path / "new.csv", DOMAIN.events), lake, DOMAIN)
    assert_said(*pushed.notes, tmp_path / "new.csv")
    assert (pushed.accepted, pushed.quarantined) == (3, 0)
    assert instants(lake)[-3:] == [FIRST.replace(year=2022) + at * seconds for at in range(3)]


def test_text_of_parquet_is_read_alike(tmp_path: Path) -> None:
    rows = {"user_id": [1], "movie_id": [1], "rating": [4.0], "timestamp": ["2020-01-01T12:30:05Z"]}
    pq.write_table(pa.table(rows), tmp_path / "new.parquet")
    found = read_events(tmp_path / "new.parquet", DOMAIN.events)
    assert part(no_spark, DOMAIN, "ratings", found, {"movies": [1]}).good == [(1, 1, 4.0, AT)]


def test_what_says_its_zone_needs_no_word(tmp_path: Path) -> None:
    csv_layout(tmp_path)
    said = [
        "2020-01-01T00:00:00Z",
        "2020-01-01 00:00:01+02",
        "2020-01-31T00:00:00-0330",
        "1577836802",
        "2020-02-30",
    ]
    lines = "".join(f"1,10,4,{at}\n" for at in said)
    (tmp_path / "ratings.csv").write_text(HEADER + lines)
    report = ingest(no_spark, read_movielens(tmp_path), tmp_path / "lake", DOMAIN)
    assert report.notes == ()
    assert report.tables["ratings"].quarantined == 1
