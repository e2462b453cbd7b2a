"""The gate: every row read is accepted or quarantined, with the first rule that it broke."""

import io
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pyspark.sql import DataFrame, SparkSession

from common.errors import MarqueeError
from feature_repo.schema import QUARANTINE, QUARANTINE_COLUMNS, SOURCE_TABLES
from lake import spark_tables
from pipelines.ingest.ingest import TableReport, check_movies, check_posters, check_ratings, ingest
from pipelines.sources.movielens import read_movielens
from pipelines.sources.source import Source

Text = str | None
RawRating = tuple[Text, Text, Text, Text]

ORIGIN = "record string, source string, row long"
RAW_RATING = f"user_id string, movie_id string, rating string, timestamp string, {ORIGIN}"
RAW_MOVIE = f"movie_id string, title string, genres string, release_year string, {ORIGIN}"


def raw_ratings(spark: SparkSession, rows: Sequence[RawRating]) -> DataFrame:
    """Rows of one file, "f", from line 2 on."""
    located = [(*row, "/".join(map(str, row)), "f", at) for at, row in enumerate(rows, start=2)]
    return spark.createDataFrame(located, RAW_RATING)


def catalogue(spark: SparkSession, *ids: int) -> DataFrame:
    return spark.createDataFrame([(movie_id,) for movie_id in ids], "movie_id long")


def verdicts(frame: DataFrame) -> dict[int, tuple[str, str]]:
    """Rule and reason by row."""
    return {row["row"]: (row["rule"], row["reason"]) for row in frame.collect()}


# --- ratings --------------------------------------------------------------------------------------------

GOOD: RawRating = ("1", "10", "3.5", "964982703")
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
    (("1", "10", "3", "yesterday"), "timestamp_is_number", "timestamp 'yesterday' is not a number"),
    (("1", "10", "3", "5,964982703"), "timestamp_is_number", "timestamp '5,964982703' is not a number"),
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
        ("1", "10", "3", "1e300"),
        "event_timestamp_in_range",
        "event_timestamp is before 1990-01-01 or in the future: 5138-11-16 09:46:40",
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


def test_each_bad_rating_is_quarantined_with_rule_and_reason(spark: SparkSession) -> None:
    rows = [GOOD, *(row for row, _, _ in BAD_RATINGS)]
    with check_ratings(raw_ratings(spark, rows), catalogue(spark, 10)) as checked:
        found = verdicts(checked.bad)
        assert checked.bad.columns == [column.name for column in QUARANTINE_COLUMNS]
        assert {(row["table"], row["source"]) for row in checked.bad.collect()} == {("ratings", "f")}
        records = {row["row"]: row["record"] for row in checked.bad.collect()}
        good = [tuple(row) for row in checked.good.collect()]
    assert found == {at: (rule, reason) for at, (_, rule, reason) in enumerate(BAD_RATINGS, start=3)}
    assert records == {at: "/".join(map(str, row)) for at, (row, _, _) in enumerate(BAD_RATINGS, start=3)}
    assert good == [(1, 10, 3.5, datetime(2000, 7, 30, 18, 45, 3))]
    assert checked.read == len(rows)


def test_times_are_kept_to_the_microsecond(spark: SparkSession) -> None:
    times = ["964982703", "881250949.0", "964982703.25", "8.81250949E8", "964982703.123456", " 964982704 "]
    rows: list[RawRating] = [(str(user), "10", "3", time) for user, time in enumerate(times, start=1)]
    with check_ratings(raw_ratings(spark, rows), catalogue(spark, 10)) as checked:
        found = {row["user_id"]: row["event_timestamp"] for row in checked.good.collect()}
    epoch = datetime(1970, 1, 1)
    micros = [
        964982703000000,
        881250949000000,
        964982703250000,
        881250949000000,
        964982703123456,
        964982704000000,
    ]
    assert found == {user: epoch + timedelta(microseconds=at) for user, at in enumerate(micros, start=1)}


def test_typed_columns_are_checked_as_text_is(spark: SparkSession) -> None:
    schema = (
        "user_id long, movie_id double, rating double, timestamp long, record string, source string, row long"
    )
    rows = [
        (1, 10.0, 3.5, 964982703, "", "s", 1),
        (2, 10.5, 3.5, 964982703, "", "s", 2),
        (3, 10.0, float("nan"), 964982703, "", "s", 3),
        (4, 10.0, 3.5, -5, "", "s", 4),
        (None, 10.0, 3.5, 964982703, "", "s", 5),
    ]
    with check_ratings(spark.createDataFrame(rows, schema), catalogue(spark, 10)) as checked:
        assert {row: rule for row, (rule, _) in verdicts(checked.bad).items()} == {
            2: "movie_id_is_number",
            3: "rating_is_number",
            4: "event_timestamp_in_range",
            5: "user_id_is_present",
        }
        assert [row["user_id"] for row in checked.good.collect()] == [1]


def test_which_twin_is_kept_does_not_depend_on_the_order_of_rows(spark: SparkSession) -> None:
    rows = [(str(at % 7), "10", "3", "964982703", "", f"file {at % 3}", at) for at in range(7, 70)]
    raw = spark.createDataFrame(rows, RAW_RATING)
    first = {
        str(user): min((f"file {at % 3}", at) for at in range(7, 70) if at % 7 == user)
        for user in range(1, 7)
    }
    for shuffled in (raw, raw.orderBy("row", ascending=False).repartition(3), raw.orderBy("source")):
        with check_ratings(shuffled, catalogue(spark, 10)) as checked:
            bad = checked.bad.where("rule = 'ratings_are_unique'").collect()
            kept = {(f"file {at % 3}", at) for at in range(7, 70) if at % 7}
            assert kept - {(row["source"], row["row"]) for row in bad} == set(first.values())
            assert {row["reason"].rpartition(" in ")[2] for row in bad} == {
                f"{source} row {at}" for source, at in first.values()
            }
            assert checked.good.count() == 6


# Values that a generated row is drawn from, with what they mean; independent of the code under test.
WHOLE: dict[Text, int | str | None] = {
    "1": 1, " 2 ": 2, "3": 3, "+4": 4, "0": 0, "-7": -7, "1.0": "text", "two": "text", "": None, None: None,
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


@given(st.lists(st.one_of(nearly_good, nearly_good, raw_rating), min_size=60, max_size=250))
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
def test_gate_equals_a_loop_over_rows(spark: SparkSession, rows: list[RawRating]) -> None:
    expected_good, expected_bad = oracle(rows)
    with check_ratings(raw_ratings(spark, rows), catalogue(spark, *KNOWN_MOVIES)) as checked:
        good = [
            (
                row["user_id"],
                row["movie_id"],
                row["rating"],
                row["event_timestamp"].replace(tzinfo=UTC).timestamp(),
            )
            for row in checked.good.collect()
        ]
        bad = {row: rule for row, (rule, _) in verdicts(checked.bad).items()}
    assert bad == expected_bad
    assert sorted(good) == sorted(expected_good, key=lambda row: tuple(map(float, row)))
    assert checked.read == len(rows) == len(good) + len(bad)


# --- catalogue and posters ------------------------------------------------------------------------------


def test_each_bad_movie_is_quarantined_with_rule_and_reason(spark: SparkSession) -> None:
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
    raw = spark.createDataFrame([(*row, "r", "m", at) for at, row in enumerate(rows, start=2)], RAW_MOVIE)
    with check_movies(raw) as checked:
        assert [tuple(row) for row in checked.good.orderBy("movie_id").collect()] == [
            (1, "Toy Story", ["Animation", "Comedy"], 1995),
            (2, "Silence", [], None),
        ]
        assert verdicts(checked.bad) == {
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


def test_each_bad_poster_is_quarantined_with_rule_and_reason(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("1.jpg", "1.png", "cover.jpg", "77.jpg"):
        jpeg(tmp_path / name)
    jpeg(tmp_path / "2.jpg", keep=0.5)
    (tmp_path / "3.jpg").write_text("I am text.")
    (tmp_path / "4.jpg").write_bytes(b"")
    raw = spark.createDataFrame(
        [(path.stem, str(path)) for path in tmp_path.iterdir()], "movie_id string, source string"
    )
    with check_posters(raw, catalogue(spark, 1, 2, 3, 4)) as checked:
        good = checked.good.collect()
        bad = {Path(row["source"]).name: row.asDict() for row in checked.bad.collect()}
    assert [(row["movie_id"], row["file"], row["width"], row["height"]) for row in good] == [
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


# --- the whole ------------------------------------------------------------------------------------------


def content(spark: SparkSession, lake: Path, name: str) -> list[str]:
    return sorted(map(str, spark_tables.read(spark, lake, name).collect()))


def contents(spark: SparkSession, lake: Path) -> dict[str, list[str]]:
    names = [*(table.name for table in SOURCE_TABLES), QUARANTINE]
    return {name: content(spark, lake, name) for name in names}


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    """A folder of files with one of each trouble."""
    folder = tmp_path / "messy"
    (folder / "posters").mkdir(parents=True)
    ratings = [
        "userId,movieId,rating,timestamp", "1,1,4,964982703", "1,1,4,964982703", "2,1,abc,964982703",
        "3,1,7,964982703", "4,1,3,-5", "5,1,3,9999999999", "6,999999,3,964982703", "7,2,3.5,964982703",
        "8,2,4",
    ]  # fmt: skip
    movies = [
        "movieId,title,genres",
        '1,"American President, The (1995)",Drama',
        "2,Lost (1990),Drama",
        "z,Y,X",
    ]
    (folder / "ratings.csv").write_text("\n".join(ratings))
    (folder / "movies.csv").write_text("\n".join(movies))
    jpeg(folder / "posters" / "1.jpg")
    jpeg(folder / "posters" / "2.jpg", keep=0.5)
    (folder / "posters" / "3.jpg").write_text("text")
    return folder


def test_every_row_read_is_accepted_or_quarantined_and_twice_gives_the_same(
    spark: SparkSession, messy: Path, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    report = ingest(spark, read_movielens(spark, messy, messy / "posters"), lake)
    ratings = report.tables["ratings"]
    assert (ratings.read, ratings.accepted, ratings.quarantined) == (9, 2, 7)
    assert ratings.by_rule == {
        "event_timestamp_in_range": 2,
        "event_timestamp_is_present": 1,
        "movie_id_in_movies": 1,
        "rating_in_range": 1,
        "rating_is_number": 1,
        "ratings_are_unique": 1,
    }
    assert report.tables["movies"].by_rule == {"movie_id_is_number": 1}
    assert report.tables["posters"].by_rule == {"poster_is_readable": 2}
    first = contents(spark, lake)
    assert {name: len(rows) for name, rows in first.items()} == {
        "ratings": 2,
        "movies": 2,
        "posters": 1,
        "quarantine": 10,
    }
    for row in spark_tables.read(spark, lake, QUARANTINE).where("table != 'posters'").collect():
        assert Path(row["source"]).read_text().splitlines()[row["row"] - 1] == row["record"]
    ingest(spark, read_movielens(spark, messy, messy / "posters"), lake)
    assert contents(spark, lake) == first


def test_where_nothing_is_good_nothing_is_written(spark: SparkSession, messy: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    (messy / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n1,1,good,964982703\n2,1,9,964982703\n"
    )
    with pytest.raises(MarqueeError) as raised:
        ingest(spark, read_movielens(spark, messy), lake)
    assert str(raised.value) == (
        f"None of the 2 ratings that were read can be used, so nothing was written; the first, "
        f"{messy / 'ratings.csv'} row 2, broke rating_is_number: rating 'good' is not a number."
    )
    (messy / "movies.csv").write_text("movieId,title,genres\nx,y,z\n")
    with pytest.raises(MarqueeError, match=r"None of the 1 movies .*movie_id 'x' is not a whole number"):
        ingest(spark, read_movielens(spark, messy), lake)
    assert not lake.exists()


def test_file_that_vanishes_is_one_clear_sentence(spark: SparkSession, messy: Path, tmp_path: Path) -> None:
    source = read_movielens(spark, messy)
    (messy / "ratings.csv").unlink()
    with pytest.raises(MarqueeError, match=rf"^{messy}/ratings.csv vanished or changed while it was read"):
        ingest(spark, source, tmp_path / "lake")


def persisted(spark: SparkSession) -> int:
    return int(spark.sparkContext._jsc.sc().getPersistentRDDs().size())


def test_kept_rows_are_released(spark: SparkSession) -> None:
    before = persisted(spark)  # Delta keeps some of its own
    with check_ratings(raw_ratings(spark, [GOOD]), catalogue(spark, 10)) as checked:
        checked.good.count()
        assert persisted(spark) > before
    assert persisted(spark) == before


def test_source_of_two_files_counts_each_row_once(spark: SparkSession, tmp_path: Path) -> None:
    """Rows of several files may share a number."""
    rows = [("1", "10", "3", "964982703", "", name, 2) for name in ("a", "b")]
    movies = spark.createDataFrame([("10", "T", "", None, "", "m", 1)], RAW_MOVIE)
    source = Source("two", "two files", spark.createDataFrame(rows, RAW_RATING), movies)
    report = ingest(spark, source, tmp_path / "lake").tables
    ratings = report["ratings"]
    assert (ratings.read, ratings.accepted, ratings.by_rule) == (2, 1, {"ratings_are_unique": 1})
    # A source without posters empties their table.
    assert report["posters"] == TableReport(0, 0, 0, {})
    assert content(spark, tmp_path / "lake", "posters") == []


# --- real data ------------------------------------------------------------------------------------------


def test_real_sample_is_accounted_for_to_the_row(
    spark: SparkSession, real_data: Path, tmp_path: Path
) -> None:
    folder = real_data / "movielens-small"
    report = ingest(spark, read_movielens(spark, folder, real_data / "posters"), tmp_path)
    ratings, movies, posters = (report.tables[name] for name in ("ratings", "movies", "posters"))
    assert ratings.read == 100_004 == ratings.accepted + ratings.quarantined
    assert (ratings.accepted, movies.accepted) == (100_004, 9_125)
    assert posters.read == 971 == posters.accepted + posters.quarantined
    # Pictures of movies that this catalogue lacks, and no other trouble.
    assert posters.by_rule == {"movie_id_in_movies": 166}
    # The published ratings are those of the file.
    published = spark_tables.read(spark, tmp_path, "ratings").toPandas()
    seconds = published["event_timestamp"].astype("int64") // 10 ** (
        9 if "[ns" in str(published.dtypes.iloc[3]) else 6
    )
    found = Counter(
        zip(published["user_id"], published["movie_id"], published["rating"], seconds, strict=True)
    )
    lines = (folder / "ratings.csv").read_text().splitlines()[1:]
    wanted: Counter[tuple[int, int, float, int]] = Counter()
    for line in lines:
        user, movie, rating, second = re.split(",", line)
        wanted[int(user), int(movie), float(rating), int(second)] += 1
    assert found == wanted


def test_real_ml_100k_is_accepted_whole(spark: SparkSession, real_data: Path, tmp_path: Path) -> None:
    report = ingest(spark, read_movielens(spark, real_data / "ml-100k"), tmp_path)
    ratings, movies = report.tables["ratings"], report.tables["movies"]
    assert (ratings.read, ratings.accepted) == (100_000, 100_000)
    assert (movies.read, movies.accepted) == (1682, 1682)
