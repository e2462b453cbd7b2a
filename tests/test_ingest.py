"""The gate: every row read is accepted or quarantined with the first rule that it broke."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from feature_repo.define.table import QUARANTINE_COLUMNS
from feature_repo.domains.movies import DOMAIN
from lake.session import StartSpark
from pipelines.sources.movielens import MOVIE_READINGS, RATING_READINGS
from pipelines.sources.posters import posters_of
from pipelines.sources.readings import instant, number, whole_number
from pipelines.sources.source import Raw, rows_of
from tests.raw_rows import ENGINES, Parted, engine_named, no_spark, part, raw

Text = str | None
RawRating = tuple[Text, Text, Text, Text]


def check_ratings(start: StartSpark, rows: Raw, *movies: int) -> Parted:
    return part(start, DOMAIN, "ratings", rows, {"movies": movies})


def ratings_of(rows: Sequence[RawRating]) -> Raw:
    """Rows of one file, "f", from line 2 on."""
    return raw(rows, RATING_READINGS)


# --- ratings --------------------------------------------------------------------------------------------

GOOD: RawRating = ("1", "10", "3.5", "964982703")
NO_INSTANT = "is not seconds since 1970, nor an instant such as 2020-01-31T12:00:00Z"
BAD_RATINGS: list[tuple[RawRating, str, str]] = [
    (("x1", "10", "3", "964982703"), "user_id_is_number", "user_id 'x1' is not a whole number"),
    (("1.5", "10", "3", "964982703"), "user_id_is_number", "user_id '1.5' is not a whole number"),
    (
        ("1", "tt0114709", "3", "964982703"),
        "movie_id_is_number",
        "movie_id 'tt0114709' is not a whole number",
    ),
    (("1", "9" * 20, "3", "964982703"), "movie_id_is_number", f"movie_id '{'9' * 20}' is not a whole number"),
    (("1", "10", "abc", "964982703"), "rating_is_number", "rating 'abc' is not a number"),
    (("1", "10", "3.5d", "964982703"), "rating_is_number", "rating '3.5d' is not a number"),
    (("1", "10", "NaN", "964982703"), "rating_is_number", "rating 'NaN' is not a number"),
    (("1", "10", "z" * 200, "964982703"), "rating_is_number", f"rating '{'z' * 60}' is not a number"),
    (("1", "10", "3", "yesterday"), "timestamp_is_number", f"timestamp 'yesterday' {NO_INSTANT}"),
    (("1", "10", "3", "5,964982703"), "timestamp_is_number", f"timestamp '5,964982703' {NO_INSTANT}"),
    (("", "10", "3", "964982703"), "user_id_is_present", "user_id is missing"),
    (("1", None, "3", "964982703"), "movie_id_is_present", "movie_id is missing"),
    (("1", "10", " ", "964982703"), "rating_is_present", "rating is missing"),
    (("1", "10", "3", None), "event_timestamp_is_present", "event_timestamp is missing"),
    (("0", "10", "3", "964982703"), "user_id_in_range", "user_id is outside [1, ∞]: 0"),
    (("1", "-4", "3", "964982703"), "movie_id_in_range", "movie_id is outside [1, ∞]: -4"),
    (("1", "10", "7", "964982703"), "rating_in_range", "rating is outside [0.5, 5]: 7.0"),
    (("1", "10", "0", "964982703"), "rating_in_range", "rating is outside [0.5, 5]: 0.0"),
    (
        ("1", "10", "3", "-1"),
        "event_timestamp_in_range",
        "event_timestamp is before 1990-01-01 or in the future: 1969-12-31 23:59:59",
    ),
    (
        ("1", "10", "3", "32503680000"),
        "event_timestamp_in_range",
        "event_timestamp is before 1990-01-01 or in the future: 3000-01-01 00:00:00",
    ),
    (
        ("1", "10", "3", "99999999999"),
        "event_timestamp_in_range",
        "event_timestamp is before 1990-01-01 or in the future: 5138-11-16 09:46:39",
    ),
    (("1", "10", "3", "1e300"), "timestamp_is_number", f"timestamp '1e300' {NO_INSTANT}"),
    (("1", "10", "3", "-1e300"), "timestamp_is_number", f"timestamp '-1e300' {NO_INSTANT}"),
    (
        ("1", "10", "3", "1600000000000"),
        "timestamp_is_number",
        f"timestamp '1600000000000' {NO_INSTANT}",
    ),
    (
        ("1", "10", "3.25", "964982703"),
        "rating_is_half_star",
        "rating is not a multiple of half a star: 3.25",
    ),
    (GOOD, "ratings_are_unique", "the same user_id, movie_id and event_timestamp came before, in f row 2"),
    (
        ("1", "10", "5", "964982703.0"),
        "ratings_are_unique",
        "the same user_id, movie_id and event_timestamp came before, in f row 2",
    ),
    (("1", "999999", "3", "964982703"), "movie_id_in_movies", "movie 999999 is not in the catalogue"),
    (("nobody", "999999", "7", "-1"), "user_id_is_number", "user_id 'nobody' is not a whole number"),
]


def test_each_bad_rating_is_quarantined_with_rule_and_reason(start: StartSpark) -> None:
    rows = [GOOD, *(row for row, _, _ in BAD_RATINGS)]
    checked = check_ratings(start, ratings_of(rows), 10)
    assert all(list(row) == [column.name for column in QUARANTINE_COLUMNS] for row in checked.bad)
    assert {(row["table"], row["source"]) for row in checked.bad} == {("ratings", "f")}
    records = {row["row"]: row["record"] for row in checked.bad}
    assert checked.verdicts == {at: (rule, reason) for at, (_, rule, reason) in enumerate(BAD_RATINGS, 3)}
    assert records == {at: "/".join(map(str, row)) for at, (row, _, _) in enumerate(BAD_RATINGS, start=3)}
    assert checked.good == [(1, 10, 3.5, datetime(2000, 7, 30, 18, 45, 3, tzinfo=UTC))]
    assert checked.read == len(rows)


def test_times_are_kept_to_the_microsecond(start: StartSpark) -> None:
    times = ["964982703", "881250949.0", "964982703.25", "8.81250949E8", "964982703.123456", " 964982704 "]
    rows: list[RawRating] = [(str(user), "10", "3", time) for user, time in enumerate(times, start=1)]
    found = {user: at for user, _, _, at in check_ratings(start, ratings_of(rows), 10).good}
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    micros = [
        964982703000000,
        881250949000000,
        964982703250000,
        881250949000000,
        964982703123456,
        964982704000000,
    ]
    assert found == {user: epoch + timedelta(microseconds=at) for user, at in enumerate(micros, start=1)}


def test_typed_columns_are_checked_as_text_is(start: StartSpark) -> None:
    readings = (
        whole_number("user_id", of="whole"),
        whole_number("movie_id", of="fraction"),
        number("rating", of="fraction"),
        instant("event_timestamp", "timestamp", of="whole"),
    )
    types = {
        "user_id": pa.int64(),
        "movie_id": pa.float64(),
        "rating": pa.float64(),
        "timestamp": pa.int64(),
    }
    rows = [
        (1, 10.0, 3.5, 964982703),
        (2, 10.5, 3.5, 964982703),
        (3, 10.0, float("nan"), 964982703),
        (4, 10.0, 3.5, -5),
        (None, 10.0, 3.5, 964982703),
        (6, 1e300, 3.5, 964982703),
        (7, float("inf"), 3.5, 964982703),
        (8, 10.0, float("-inf"), 964982703),
        (9, 10.0, 3.5, 2**62),
    ]
    checked = check_ratings(start, raw(rows, readings, types, first_row=1), 10)
    assert checked.verdicts == {
        2: ("movie_id_is_number", "movie_id '10.5' is not a whole number"),
        3: ("rating_is_number", "rating 'NaN' is not a number"),
        4: (
            "event_timestamp_in_range",
            "event_timestamp is before 1990-01-01 or in the future: 1969-12-31 23:59:55",
        ),
        5: ("user_id_is_present", "user_id is missing"),
        6: ("movie_id_is_number", "movie_id '1e18 or more' is not a whole number"),
        7: ("movie_id_is_number", "movie_id 'inf' is not a whole number"),
        8: ("rating_is_number", "rating '-inf' is not a number"),
        9: (
            "timestamp_is_number",
            f"timestamp '{2**62}' is not an instant in seconds (not milliseconds) since 1970",
        ),
    }
    assert [user for user, *_ in checked.good] == [1]


def test_which_twin_is_kept_does_not_depend_on_the_order_of_rows(start: StartSpark) -> None:
    rows = [(str(at % 7), "10", "3", "964982703", "", f"file {at % 3}", at) for at in range(7, 70)]
    names = ("user_id", "movie_id", "rating", "timestamp", "record", "source", "row")
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    first = {
        str(user): min((f"file {at % 3}", at) for at in range(7, 70) if at % 7 == user)
        for user in range(1, 7)
    }
    for key in ("row", "source", "user_id"):
        shuffled = Raw(rows_of(table.sort_by([(key, "descending"), ("row", "descending")])), RATING_READINGS)
        checked = check_ratings(start, shuffled, 10)
        bad = [row for row in checked.bad if row["rule"] == "ratings_are_unique"]
        kept = {(f"file {at % 3}", at) for at in range(7, 70) if at % 7}
        assert kept - {(row["source"], row["row"]) for row in bad} == set(first.values())
        assert {row["reason"].rpartition(" in ")[2] for row in bad} == {
            f"{source} row {at}" for source, at in first.values()
        }
        assert len(checked.good) == 6


# Values that a generated row is drawn from, with what they mean; independent of the code under test.
WHOLE: dict[Text, int | str | None] = {
    "1": 1, " 2 ": 2, "3": 3, "+4": 4, "0": 0, "-7": -7, "1.0": 1, "1.5": "text",
    "1e0": "text", "two": "text", "": None, None: None,
}  # fmt: skip
STARS: dict[Text, float | str | None] = {
    "0.5": 0.5, "3": 3.0, "5.0": 5.0, "4.5": 4.5, "7": 7.0, "-1": -1.0, "3.3": 3.3,
    "3,5": "text", "NaN": "text", "": None, None: None,
}  # fmt: skip
TIMES: dict[Text, float | str | None] = {
    "964982703": 964982703.0, "964982703.0": 964982703.0, "964982703.5": 964982703.5,
    "631151999": 631151999.0, "631152000": 631152000.0, "-1": -1.0, "99999999999": 99999999999.0,
    "now": "text", "": None, None: None,
}  # fmt: skip
KNOWN_MOVIES = (1, 2)
raw_rating = st.tuples(*(st.sampled_from(list(values)) for values in (WHOLE, WHOLE, STARS, TIMES)))


def oracle(rows: list[RawRating]) -> tuple[list[tuple[Any, ...]], dict[int, str]]:
    """Good rows, and the rule that each bad one breaks by its number, by a loop over rows."""
    good, bad, seen = [], {}, set()
    for at, (user_text, movie_text, stars_text, time_text) in enumerate(rows, start=2):
        user, movie, stars, time = WHOLE[user_text], WHOLE[movie_text], STARS[stars_text], TIMES[time_text]
        texts = {"user_id": user, "movie_id": movie, "rating": stars, "timestamp": time}
        rule = next((f"{name}_is_number" for name, value in texts.items() if value == "text"), "")
        if not rule:
            columns = {"user_id": user, "movie_id": movie, "rating": stars, "event_timestamp": time}
            inside = {
                "user_id": lambda value: value >= 1,
                "movie_id": lambda value: value >= 1,
                "rating": lambda value: 0.5 <= value <= 5,
                "event_timestamp": lambda value: 631152000 <= value <= datetime.now(UTC).timestamp(),
            }
            for name, value in columns.items():
                if value is None:
                    rule = f"{name}_is_present"
                elif not inside[name](value):
                    rule = f"{name}_in_range"
                if rule:
                    break
        if not rule and isinstance(stars, float) and stars * 2 != int(stars * 2):
            rule = "rating_is_half_star"
        if not rule and (user, movie, time) in seen:
            rule = "ratings_are_unique"
        if not rule:
            seen.add((user, movie, time))
            if movie not in KNOWN_MOVIES:
                rule = "movie_id_in_movies"
        if rule:
            bad[at] = rule
        else:
            good.append((user, movie, stars, time))
    return good, bad


# Mostly rows that are nearly good, so that the later rules are reached too.
nearly_good = st.tuples(
    st.sampled_from(["1", " 2 ", "3"]),
    st.sampled_from(["1", "3", " 2 "]),
    st.sampled_from(["0.5", "3", "3.3"]),
    st.sampled_from(["964982703", "964982703.0", "964982703.5", "-1"]),
)


def assert_as_oracle(start: StartSpark, rows: list[RawRating]) -> None:
    expected_good, expected_bad = oracle(rows)
    checked = check_ratings(start, ratings_of(rows), *KNOWN_MOVIES)
    good = [(user, movie, stars, at.timestamp()) for user, movie, stars, at in checked.good]
    assert {row: rule for row, (rule, _) in checked.verdicts.items()} == expected_bad
    assert sorted(good) == sorted(expected_good, key=lambda row: tuple(map(float, row)))
    assert checked.read == len(rows) == len(good) + len(checked.bad)


some_rows = st.lists(st.one_of(nearly_good, nearly_good, raw_rating), min_size=60, max_size=250)


@given(some_rows)
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_gate_equals_a_loop_over_rows(rows: list[RawRating]) -> None:
    assert_as_oracle(no_spark, rows)


@pytest.mark.spark
@given(some_rows)
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_gate_on_spark_equals_a_loop_over_rows(request: pytest.FixtureRequest, rows: list[RawRating]) -> None:
    with engine_named(ENGINES[1], request) as start:
        assert_as_oracle(start, rows)


# --- catalogue and posters ------------------------------------------------------------------------------


def test_each_bad_movie_is_quarantined_with_rule_and_reason(start: StartSpark) -> None:
    rows = [
        ("1", " Toy Story ", "Comedy|Animation| Comedy", "1995"),
        ("2", "Silence", "", None),
        ("x,y", None, None, None),
        ("3", "", "Drama", "1990"),
        ("4", "No genres read", None, "1990"),
        ("5", "Odd year", "Drama", "V"),
        ("6", "Old", "Drama", "1492"),
        ("1", "Twin", "Drama", "1990"),
    ]
    checked = part(start, DOMAIN, "movies", raw(rows, MOVIE_READINGS, source="m"))
    assert checked.good == [(1, "Toy Story", ["Animation", "Comedy"], 1995), (2, "Silence", [], None)]
    assert checked.verdicts == {
        4: ("movie_id_is_number", "movie_id 'x,y' is not a whole number"),
        5: ("title_is_present", "title is missing"),
        6: ("genres_is_present", "genres is missing"),
        7: ("release_year_is_number", "release_year 'V' is not a whole number"),
        8: ("release_year_in_range", "release_year is outside [1870, 2100]: 1492"),
        9: ("movies_are_unique", "the same movie_id came before, in m row 2"),
    }


def jpeg(path: Path, keep: float = 1.0) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (60, 40, 3), np.uint8)
    packed = io.BytesIO()
    Image.fromarray(noise).save(packed, "JPEG")
    path.write_bytes(packed.getvalue()[: int(packed.tell() * keep)])


def test_each_bad_poster_is_quarantined_with_rule_and_reason(start: StartSpark, tmp_path: Path) -> None:
    for name in ("1.jpg", "1.png", "cover.jpg", "77.jpg"):
        jpeg(tmp_path / name)
    jpeg(tmp_path / "2.jpg", keep=0.5)
    (tmp_path / "3.jpg").write_text("I am text.")
    (tmp_path / "4.jpg").write_bytes(b"")
    files = posters_of([(path.stem, str(path)) for path in tmp_path.iterdir()])
    checked = part(start, DOMAIN, "posters", files, {"movies": [1, 2, 3, 4]})
    bad = {Path(row["source"]).name: row for row in checked.bad}
    assert [(movie, file, width, height) for movie, file, _, width, height, *_ in checked.good] == [
        (1, str(tmp_path / "1.jpg"), 40, 60)
    ]
    assert {name: row["rule"] for name, row in bad.items()} == {
        "1.png": "posters_are_unique",
        "2.jpg": "poster_is_readable",
        "3.jpg": "poster_is_readable",
        "4.jpg": "poster_is_readable",
        "77.jpg": "movie_id_in_movies",
        "cover.jpg": "movie_id_is_number",
    }
    assert bad["1.png"]["reason"] == f"the same movie_id came before, in {tmp_path / '1.jpg'}"
    assert bad["2.jpg"]["reason"].startswith("the file is a truncated JPEG")
    assert bad["3.jpg"]["reason"].startswith("the file is not a picture")
    assert bad["4.jpg"]["reason"] == "the file is empty"
    assert all(row["row"] is None and row["record"] == row["source"] for row in bad.values())
