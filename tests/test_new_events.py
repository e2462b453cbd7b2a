"""New events in files of any column type: read as what they plainly mean, or refused in one sentence."""

import datetime as dt
import gzip
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.errors import MarqueeError
from feature_repo.define.column import EVENT_TIMESTAMP
from feature_repo.define.table import Table
from feature_repo.domains.movies import DOMAIN
from lake.session import StartSpark
from pipelines.sources.new_events import one_event, raw_events, read_events
from pipelines.sources.plain_types import EARLIEST, LATEST
from tests.raw_rows import no_spark, part, raw_values
from tests.toy_domain import PRESS

RATINGS = DOMAIN.tables["ratings"]
READS = PRESS.tables["reads"]
FIELDS = ("user_id", "movie_id", "rating", "timestamp")
AT = datetime(2020, 3, 4, 5, 6, 7, 250_000, tzinfo=UTC)
MIDNIGHT = datetime(2020, 3, 4, tzinfo=UTC)


def rating_file(path: Path, **columns: pa.Array) -> Path:
    """Two ratings, by other columns where they are given."""
    usual = {
        "user_id": pa.array([1, 2]),
        "movie_id": pa.array([1, 2]),
        "rating": pa.array([4.0, 3.0]),
        EVENT_TIMESTAMP: pa.array([AT, AT], pa.timestamp("us", "UTC")),
    }
    pq.write_table(pa.table(usual | columns), path)
    return path


def good_ratings(path: Path, start: StartSpark = no_spark) -> list[tuple[Any, ...]]:
    return part(start, DOMAIN, "ratings", read_events(path, RATINGS), {"movies": [1, 2]}).good


# --- types ------------------------------------------------------------------------------------------------


def dictionary(values: pa.Array) -> pa.Array:
    return values.dictionary_encode()


def ends(values: pa.Array) -> pa.Array:
    return pa.RunEndEncodedArray.from_arrays(list(range(1, len(values) + 1)), values)


NUMBERS: dict[str, pa.Array] = {
    **{str(kind): pa.array([1, 2], kind) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())},
    **{str(kind): pa.array([1, 2], kind) for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
    "float16": pa.array(np.array([1, 2], np.float16)),
    "float32": pa.array([1, 2], pa.float32()),
    "float64": pa.array([1, 2], pa.float64()),
    "decimal32": pa.array([Decimal("1.00"), Decimal("2.00")], pa.decimal32(5, 2)),
    "decimal64": pa.array([Decimal("1.00"), Decimal("2.00")], pa.decimal64(12, 2)),
    "decimal128": pa.array([Decimal("1.00"), Decimal("2.00")], pa.decimal128(20, 2)),
    "decimal256": pa.array([Decimal("1"), Decimal("2")], pa.decimal256(50, 0)),
    "string": pa.array(["1", "2.0"]),
    "large_string": pa.array(["1", " 2 "], pa.large_string()),
    "string_view": pa.array(["1", "2"], pa.string_view()),
    "dictionary of integers": dictionary(pa.array([1, 2])),
    "dictionary of strings": dictionary(pa.array(["1", "2"])),
    "run ends": ends(pa.array([1, 2])),
}
"""One and two, in every type that plainly holds numbers."""
SECONDS = int(AT.timestamp())
INSTANTS: dict[str, tuple[pa.Array, datetime]] = {
    **{
        f"timestamp[{unit}, {zone}]": (
            pa.array([moment, moment], pa.timestamp(unit, zone)),
            moment if zone else moment.replace(tzinfo=UTC),
        )
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC", "Europe/Berlin", "+05:30")
        for moment in [
            (AT if unit != "s" else AT.replace(microsecond=0)).replace(tzinfo=UTC if zone else None)
        ]
    },
    "date32": (pa.array([date(2020, 3, 4)] * 2, pa.date32()), MIDNIGHT),
    "date64": (pa.array([date(2020, 3, 4)] * 2, pa.date64()), MIDNIGHT),
    "dictionary of dates": (dictionary(pa.array([date(2020, 3, 4)] * 2, pa.date32())), MIDNIGHT),
    "nanoseconds": (
        pa.array([SECONDS * 10**9 + 1999] * 2, pa.timestamp("ns")),
        datetime.fromtimestamp(SECONDS, UTC) + timedelta(microseconds=1),
    ),
    "seconds as integers": (pa.array([SECONDS] * 2, pa.int32()), AT.replace(microsecond=0)),
    "seconds as unsigned": (pa.array([SECONDS] * 2, pa.uint32()), AT.replace(microsecond=0)),
    "seconds as floats": (pa.array([SECONDS + 0.25] * 2), AT),
    "seconds as decimals": (pa.array([Decimal(f"{SECONDS}.25")] * 2, pa.decimal128(20, 2)), AT),
    "seconds as text": (pa.array([f"{SECONDS}.25"] * 2), AT),
}
"""An instant in every type that plainly holds one, and which it is."""
NEITHER: dict[str, pa.Array] = {
    "bool": pa.array([True, False]),
    "binary": pa.array([b"1", b"2"]),
    "large_binary": pa.array([b"1", b"2"], pa.large_binary()),
    "fixed_size_binary": pa.array([b"1", b"2"], pa.binary(1)),
    "time32": pa.array([dt.time(1), dt.time(2)], pa.time32("ms")),
    "time64": pa.array([dt.time(1), dt.time(2)], pa.time64("us")),
    "duration": pa.array([timedelta(1), timedelta(2)], pa.duration("us")),
    "list": pa.array([[1], [2]]),
    "fixed_size_list": pa.array([[1], [2]], pa.list_(pa.int64(), 1)),
    "struct": pa.array([{"a": 1}, {"a": 2}]),
    "map": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
    "dictionary of booleans": dictionary(pa.array([True, False])),
    "dictionary of binary": dictionary(pa.array([b"1", b"2"])),
}
"""Types that hold neither ids, numbers nor instants."""


@pytest.mark.parametrize("values", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("role", ["user_id", "movie_id", "rating"])
def test_number_of_any_type_is_read(tmp_path: Path, role: str, values: pa.Array) -> None:
    try:
        path = rating_file(tmp_path / "new.parquet", **{role: values})
    except pa.ArrowNotImplementedError:
        raw_rows = raw_events(RATINGS, as_table(**{role: values}), "memory")
        found = part(no_spark, DOMAIN, "ratings", raw_rows, {"movies": [1, 2]}).good
    else:
        found = good_ratings(path)
    place = RATINGS.column_names.index(role)
    assert sorted(row[place] for row in found) == [1, 2]
    assert all(isinstance(row[place], float if role == "rating" else int) for row in found)


def as_table(**columns: pa.Array) -> pa.Table:
    usual = {
        "user_id": pa.array([1, 2]),
        "movie_id": pa.array([1, 2]),
        "rating": pa.array([4.0, 3.0]),
        EVENT_TIMESTAMP: pa.array([AT, AT], pa.timestamp("us", "UTC")),
    }
    return pa.table(usual | columns)


@pytest.mark.parametrize("name", ["timestamp", EVENT_TIMESTAMP])
@pytest.mark.parametrize(("values", "moment"), INSTANTS.values(), ids=INSTANTS)
def test_instant_of_any_type_is_read(tmp_path: Path, values: pa.Array, moment: datetime, name: str) -> None:
    table = as_table().drop_columns([EVENT_TIMESTAMP]).append_column(name, values)
    pq.write_table(table, tmp_path / "new.parquet")
    assert {row[-1] for row in good_ratings(tmp_path / "new.parquet")} == {moment}


@pytest.mark.parametrize("role", RATINGS.column_names)
@pytest.mark.parametrize("values", NEITHER.values(), ids=NEITHER)
def test_type_that_means_nothing_there_is_refused_with_its_column(
    tmp_path: Path, role: str, values: pa.Array
) -> None:
    path = rating_file(tmp_path / "new.parquet", **{role: values})
    stored = re.escape(str(pq.read_schema(path).field(role).type))
    with pytest.raises(MarqueeError, match=rf"the column for {role} is of type {stored}, which") as raised:
        read_events(path, RATINGS)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("role", ["user_id", "movie_id", "rating"])
@pytest.mark.parametrize("name", ["timestamp[us, UTC]", "timestamp[ns, None]", "date32", "date64"])
def test_instant_is_no_number(tmp_path: Path, role: str, name: str) -> None:
    path = rating_file(tmp_path / "new.parquet", **{role: INSTANTS[name][0]})
    with pytest.raises(MarqueeError, match=f"the column for {role} is of type (timestamp|date)"):
        read_events(path, RATINGS)


@pytest.mark.parametrize(
    ("role", "values", "reason"),
    [
        ("user_id", pa.array([2**64 - 1, 2], pa.uint64()), f"user_id '{2**64 - 1}' is not a whole number"),
        ("user_id", pa.array([1.5, 2.0]), "user_id '1.5' is not a whole number"),
        (
            "user_id",
            pa.array([Decimal("1.50"), 2], pa.decimal128(5, 2)),
            "user_id '1.50' is not a whole number",
        ),
        ("user_id", pa.array([None, 2]), "user_id is missing"),
        ("user_id", pa.array([None, 2], pa.int8()), "user_id is missing"),
        ("rating", pa.array([float("nan"), 3.0], pa.float32()), "rating 'NaN' is not a number"),
        ("rating", pa.array(np.array([np.inf, 3], np.float16)), "rating 'inf' is not a number"),
        ("rating", pa.array(["good", "3"]), "rating 'good' is not a number"),
        (EVENT_TIMESTAMP, pa.array([None, AT], pa.timestamp("s")), "event_timestamp is missing"),
        (EVENT_TIMESTAMP, pa.array([2**62, 0], pa.timestamp("s")), "event_timestamp is before 1990"),
        (EVENT_TIMESTAMP, pa.array([-(2**62), 0], pa.timestamp("ms")), "event_timestamp is before 1990"),
        (EVENT_TIMESTAMP, pa.array([2**31 - 1, 0], pa.date32()), "event_timestamp is before 1990"),
        (EVENT_TIMESTAMP, pa.array([2**62, 0], pa.timestamp("us")), "event_timestamp is before 1990"),
        (
            EVENT_TIMESTAMP,
            pa.array([SECONDS * 1000, SECONDS]),
            f"timestamp '{SECONDS * 1000}' is not an instant in seconds (not milliseconds) since 1970",
        ),
    ],
)
def test_value_that_cannot_be_read_costs_its_row(
    start: StartSpark, role: str, values: pa.Array, reason: str
) -> None:
    raw = raw_events(RATINGS, as_table(**{role: values}), "memory")
    parted = part(start, DOMAIN, "ratings", raw, {"movies": [1, 2]})
    assert parted.verdicts[1][1].startswith(reason)
    assert len(parted.good) + len(parted.bad) == 2


def test_far_instants_do_not_overflow() -> None:
    far = pa.array([2**62, -(2**62)], pa.timestamp("s"))
    rows = raw_events(RATINGS, as_table(**{EVENT_TIMESTAMP: far}), "memory").rows.in_memory()
    micros = rows["timestamp"].cast(pa.int64()).to_pylist()
    assert micros == [LATEST * 1_000_000, EARLIEST * 1_000_000]


WORDS: dict[str, tuple[pa.Array, list[str]]] = {
    "string": (pa.array(["a", " b "]), ["a", "b"]),
    "large_string": (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
    "string_view": (pa.array(["a", "b"], pa.string_view()), ["a", "b"]),
    "dictionary": (dictionary(pa.array(["a", "b"])), ["a", "b"]),
    "integers": (pa.array([1, 2], pa.uint8()), ["1", "2"]),
}


@pytest.mark.parametrize(("values", "words"), WORDS.values(), ids=WORDS)
def test_key_that_is_a_word_is_read_from_what_plainly_holds_words(
    tmp_path: Path, values: pa.Array, words: list[str]
) -> None:
    table = pa.table(
        {"reader_id": [1, 2], "articleId": values, "minutes": [1, 2], "timestamp": [SECONDS] * 2}
    )
    pq.write_table(table, tmp_path / "reads.parquet")
    rows = read_events(tmp_path / "reads.parquet", READS)
    assert [row[1] for row in part(no_spark, PRESS, "reads", rows, {"articles": words}).good] == words


@pytest.mark.parametrize("name", [*NEITHER, "float64", "decimal128", "date32"])
def test_key_that_is_a_word_is_refused_from_other_types(tmp_path: Path, name: str) -> None:
    values = {**NEITHER, **NUMBERS, "date32": INSTANTS["date32"][0]}[name]
    table = pa.table(
        {"reader_id": [1, 2], "article_id": values, "minutes": [1, 2], "timestamp": [SECONDS] * 2}
    )
    pq.write_table(table, tmp_path / "reads.parquet")
    with pytest.raises(MarqueeError, match=r"for article_id is of type .*, which is not a word"):
        read_events(tmp_path / "reads.parquet", READS)


# --- files ------------------------------------------------------------------------------------------------


def test_one_event_keeps_its_microsecond() -> None:
    at = datetime(2026, 11, 21, 12, 0, 0, 123457, tzinfo=UTC)
    event = one_event(RATINGS, {"user_id": 1, "movie_id": 2, "rating": 4.5}, at)
    (row,) = event.rows.in_memory().to_pylist()
    assert row["timestamp"] == at
    assert (row["user_id"], row["movie_id"], row["rating"], row["row"]) == (1, 2, 4.5, 1)
    assert row["record"] == "1,2,4.5,2026-11-21T12:00:00.123457+00:00"


def test_csv_comes_line_by_line_whatever_is_in_it(start: StartSpark, tmp_path: Path) -> None:
    file = tmp_path / "new.csv"
    file.write_text(
        'rating,note,user_id,movie_id,timestamp\n4.5,"a,b",1,2,100\n\n4,x\n3,y,1,2,5,6\n1,"q,1,2,3\n'
    )
    rows = raw_values(start, read_events(file, RATINGS), "row", "record", *FIELDS)
    assert [tuple(value or None for value in row[2:]) for row in rows] == [
        ("1", "2", "4.5", "100"),
        (None, None, "4", None),
        ("1", "2", "3", "5,6"),
        (None, None, "1", None),
    ]
    assert [row[0] for row in rows] == [2, 4, 5, 6]
    assert rows[1][1] == "4,x"


def test_parquet_may_have_instants(tmp_path: Path) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=1)
    columns = {"user_id": [1, 2], "movie_id": [3.0, None], "rating": [4, 5], EVENT_TIMESTAMP: [at, None]}
    pq.write_table(pa.table(columns), tmp_path / "new.parquet")
    first, second = read_events(tmp_path / "new.parquet", RATINGS).rows.in_memory().to_pylist()
    assert first["timestamp"] == at
    assert (first["user_id"], first["movie_id"], first["rating"]) == (1, 3.0, 4)
    assert (second["movie_id"], second["timestamp"], second["row"]) == (None, None, 2)


def write_csv(path: Path, head: str) -> None:
    path.write_text(f"{head}\n")


EMPTY: dict[str, Callable[[Path], object]] = {
    "parquet": lambda path: pq.write_table(as_table().slice(0, 0), path),
    "parquet by another name": lambda path: pq.write_table(as_table().slice(0, 0), path),
    "header": lambda path: path.write_text("user_id,movie_id,rating,timestamp\n"),
    "header and blank lines": lambda path: path.write_text("user_id,movie_id,rating,timestamp\n\n \n"),
    "nothing": lambda path: path.write_bytes(b""),
    "blank lines": lambda path: path.write_bytes(b"\n\r\n \n"),
    "packed header": lambda path: path.write_bytes(gzip.compress(b"user_id,movie_id,rating,timestamp\n")),
}


@pytest.mark.parametrize("kind", EMPTY)
def test_file_without_rows_says_so(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("new.parquet" if kind == "parquet" else "new.csv")
    EMPTY[kind](path)
    with pytest.raises(MarqueeError, match=rf"^There are no ratings in {path}[.:]"):
        read_events(path, RATINGS)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone.csv", None, "There is no file"),
        ("empty.csv", b"", "is empty"),
        (
            "other.csv",
            b"user_id,movie_id,stars,timestamp\n",
            "lacks the column rating; it has user_id, movie",
        ),
        (
            "twice.csv",
            b"user_id,userId,movie_id,rating,timestamp\n1,1,1,1,1\n",
            "several columns for user_id",
        ),
        ("bad.parquet", b"user_id", "not a Parquet file that can be read"),
        ("cut.parquet", b"PAR1 and no more", "not a Parquet file that can be read"),
        ("packed.csv", b"PK\x03\x04", "is a zip archive, not text"),
    ],
)
def test_files_that_cannot_be_used_are_one_sentence(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MarqueeError, match=words) as raised:
        read_events(tmp_path / name, RATINGS)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "head", ["userId,movieId,rating,timestamp", "USER_ID,MovieId,Rating,event_timestamp"]
)
def test_columns_are_known_in_any_case_and_order(tmp_path: Path, head: str) -> None:
    names, values = head.split(","), ["1", "2", "4.5", str(SECONDS)]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        path = tmp_path / "new.csv"
        lines = [",".join(line[at] for at in order) for line in (names, values)]
        path.write_text("\n".join(lines))
        assert raw_values(no_spark, read_events(path, RATINGS), *FIELDS) == [("1", "2", "4.5", str(SECONDS))]


def test_path_of_a_file_is_no_partition(tmp_path: Path) -> None:
    """Folders named like `user_id=7` give columns to data sets, not to a file that has them itself."""
    folder = tmp_path / "user_id=7"
    folder.mkdir()
    assert [row[0] for row in good_ratings(rating_file(folder / "new.parquet"))] == [1, 2]


def test_every_table_of_events_can_be_read(tmp_path: Path) -> None:
    tables: list[Table] = [DOMAIN.events, PRESS.events]
    for table in tables:
        head = ",".join(column.name for column in table.all_columns)
        (tmp_path / "new.csv").write_text(f"{head}\n1,2,3,{SECONDS}\n")
        assert read_events(tmp_path / "new.csv", table).rows.count >= 1
