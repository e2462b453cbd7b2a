"""Files of MovieLens as people have them: other encodings, columns, packing, odd years."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from common.errors import MarqueeError
from feature_repo.domains.movies import DOMAIN
from lake.session import StartSpark
from pipelines.ingest import IngestReport, add, add_events, ingest
from pipelines.sources.lines import line_rows
from pipelines.sources.movielens import read_movielens
from pipelines.sources.new_events import read_events
from pipelines.sources.titles import read_title
from tests.raw_rows import Parted, no_spark, part, table_rows
from tests.test_movielens import LAYOUTS, MOVIES, RATINGS, atomic_layout, csv_layout, movies_in, ratings_in

# --- files as people have them -----------------------------------------------------------------------------


def ingested(folder: Path, tmp_path: Path, start: StartSpark = no_spark) -> IngestReport:
    return ingest(start, read_movielens(folder), tmp_path / "lake", DOMAIN)


def ratings_parted(folder: Path, start: StartSpark) -> Parted:
    """The ratings of a folder, checked against a catalogue of movies 10 and 20."""
    return part(start, DOMAIN, "ratings", read_movielens(folder).tables["ratings"], {"movies": [10, 20]})


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def movies_of(tmp_path: Path) -> dict[int, tuple[str, int | None]]:
    rows = table_rows(tmp_path / "lake", "movies")
    return {row["movie_id"]: (row["title"], row["release_year"]) for row in rows}


WINDOWS = ["Café – the film (1995)", "Show (2006–2007)", "It’s € “quoted” (2001)"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "latin-1", "mixed"])
def test_titles_are_what_they_are_in_utf_8_whatever_the_encoding(tmp_path: Path, encoding: str) -> None:
    titles = WINDOWS if encoding != "latin-1" else ["Café (1995)", "Señor (2006-2007)", "It's (2001)"]
    lines = ["movieId,title,genres", *(f"{at},{title},Drama" for at, title in enumerate(titles, start=1))]
    csv_layout(tmp_path)
    if encoding == "mixed":
        encodings = ["utf-8", "cp1252", "utf-8", "cp1252"]
        data = b"\r\n".join(line.encode(kind) for line, kind in zip(lines, encodings, strict=True))
    else:
        data = "\n".join(lines).encode(encoding)
    (tmp_path / "movies.csv").write_bytes(data)
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4,964982703\n")
    report = ingested(tmp_path, tmp_path)
    parted = [read_title(title) for title in titles]
    assert movies_of(tmp_path) == {
        at: (title.title, int(title.year or 0)) for at, title in enumerate(parted, start=1)
    }
    guessed = {"cp1252": 3, "latin-1": 2, "mixed": 2}.get(encoding, 0)
    assert len(report.notes) == bool(guessed)
    assert all(f"{guessed} lines are not in UTF-8" in note for note in report.notes)


HEADER = b"userId,movieId,rating,timestamp,remark\n"
FOREIGN = HEADER + b"1,10,4,964982703,caf\xe9\n2,10,nice \x93x\x94,964982703,\n"


def assert_told(note: str, path: Path) -> None:
    said = "2 lines are not in UTF-8 and read as Windows-1252 (the first in row 2); "
    assert note.startswith(f"{path}: {said}")


def test_ratings_in_another_encoding_are_read_and_said_as_titles_are(
    start: StartSpark, tmp_path: Path
) -> None:
    csv_layout(tmp_path)
    (tmp_path / "ratings.csv").write_bytes(FOREIGN)
    found = ratings_parted(tmp_path, start)
    (note,), (refused,) = found.notes, found.bad
    assert_told(note, tmp_path / "ratings.csv")
    assert found.good == [(1, 10, 4.0, at(964982703))]
    assert refused["record"] == "2,10,nice “x”,964982703,"
    assert refused["reason"] == "rating 'nice “x”' is not a number"


def test_what_was_guessed_is_said_by_ingest_and_when_more_is_added(tmp_path: Path) -> None:
    csv_layout(tmp_path)
    (tmp_path / "ratings.csv").write_bytes(FOREIGN)
    for taken in (
        ingested(tmp_path, tmp_path),
        add(no_spark, read_movielens(tmp_path), tmp_path / "lake", DOMAIN),
    ):
        (note,) = taken.notes
        assert_told(note, tmp_path / "ratings.csv")


def test_new_ratings_in_another_encoding_are_said(tmp_path: Path) -> None:
    csv_layout(tmp_path)
    ingested(tmp_path, tmp_path)
    (tmp_path / "new.csv").write_bytes(FOREIGN)
    rows = read_events(tmp_path / "new.csv", DOMAIN.events)
    (note,) = add_events(no_spark, rows, tmp_path / "lake", DOMAIN).notes
    assert_told(note, tmp_path / "new.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "any bytes"])
def test_lines_are_the_same_in_memory_and_by_spark(
    spark: SparkSession, tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "lines.csv"
    if encoding == "any bytes":
        upper = (b"x%cy\xe9" % byte for byte in range(0x80, 0x100))
        path.write_bytes(b"\n".join([b"h", b"a b", b"caf\xc3\xa9", *upper]))
    else:
        path.write_text("h\ncafé\n\n∞", encoding)
    rows = line_rows(path, header=True)
    here = rows.in_memory()
    there = rows.on_spark(spark).toArrow().select(here.column_names).sort_by("row")
    assert there.to_pylist() == here.to_pylist()
    guessed = sum(here["guessed"].to_pylist())
    assert guessed == (128 if encoding == "any bytes" else 0)
    assert "\ufffd" not in "".join(here["record"].to_pylist())


def test_spark_reads_packed_lines_by_a_name_in_its_own_scratch(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(gzip.compress(b"a\nb\n"))
    read = line_rows(tmp_path / "lines", header=False).on_spark(spark)
    assert sorted(row.record for row in read.collect()) == ["a", "b"]
    (file,) = read.inputFiles()
    scratch = spark.sparkContext.getConf().get("spark.local.dir")
    assert scratch and Path(file.removeprefix("file:")).is_relative_to(scratch)


def test_bytes_that_windows_does_not_have_are_latin_1(tmp_path: Path) -> None:
    csv_layout(tmp_path)
    (tmp_path / "movies.csv").write_bytes(b"movieId,title,genres\n10,caf\xe9 \x81 (1995),Drama\n")
    ingested(tmp_path, tmp_path)
    assert movies_of(tmp_path) == {10: ("café \x81", 1995)}


def test_number_that_is_no_year_costs_neither_the_movie_nor_its_ratings(tmp_path: Path) -> None:
    csv_layout(tmp_path)
    (tmp_path / "movies.csv").write_text(
        "movieId,title,genres\n10,Space 2063 (3000),Drama\n20,Old (1492),Drama\n"
    )
    report = ingested(tmp_path, tmp_path)
    assert movies_of(tmp_path) == {10: ("Space 2063 (3000)", None), 20: ("Old (1492)", None)}
    assert (report.tables["ratings"].accepted, report.tables["ratings"].quarantined) == (3, 0)
    (note,) = report.notes
    assert "no year" in note and "2 titles (3000, 1492)" in note


@pytest.mark.parametrize(
    ("column", "year"),
    [
        *(("1995", 1995), ("1995.0", 1995), ("1995.", 1995), ("3000", None), ("0", None), ("-1", None)),
        *(("1995.5", None), ("unknown", None), ("", None), ("1e9", None), ("9" * 30, None)),
    ],
)
def test_year_of_an_atomic_column_is_a_year_or_none(tmp_path: Path, column: str, year: int | None) -> None:
    atomic_layout(tmp_path)
    head = "item_id:token\tmovie_title:token_seq\trelease_year:float\tclass:token_seq"
    (tmp_path / "x.item").write_text(f"{head}\n10\tAlpha\t{column}\tDrama\n20\tBeta\t1996.0\tDrama\n")
    report = ingested(tmp_path, tmp_path)
    assert movies_of(tmp_path) == {10: ("Alpha", year), 20: ("Beta", 1996)}
    assert report.tables["ratings"].accepted == 3
    said = column not in ("unknown", "") and year is None
    assert len(report.notes) == said


def test_year_in_other_digits_costs_neither_the_movie_nor_its_ratings(tmp_path: Path) -> None:
    csv_layout(tmp_path)
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n10,Foo (١٩٩٥),Drama\n20,Bar (1995),Drama\n")
    report = ingested(tmp_path, tmp_path)
    assert movies_of(tmp_path) == {10: ("Foo (١٩٩٥)", None), 20: ("Bar", 1995)}
    assert (report.tables["ratings"].accepted, report.tables["ratings"].quarantined) == (3, 0)


SHAPES = {
    "float ids": (["userId,movieId,rating,timestamp", "1.0,10.0,4.0,964982703", "2.00,20.,3,964982704.0"]),
    "extra": (["userId,movieId,rating,timestamp,liked", "1,10,4.0,964982703,1", '2,20,3,964982704,"a,b"']),
    "extra first": ["note,userId,movieId,rating,timestamp", "a,1,10,4,964982703", '"b,c",2,20,3,964982704'],
    "many extra first": [
        f"{','.join(f'c{at}' for at in range(12))},userId,movieId,rating,timestamp",
        f"{',' * 12}1,10,4,964982703",
        f'{",".join(["x"] * 11)},"a ""b"", c",2,20,"3",964982704',
    ],
    "reordered": (["movieId,timestamp,userId,rating", "10,964982703,1,4.0", "20,964982704,2,3"]),
    "snake": (["user_id,movie_id,rating,timestamp", "1,10,4.0,964982703", "2,20,3,964982704"]),
    "item": (["user_id,item_id,rating,timestamp", "1,10,4.0,964982703", "2,20,3,964982704"]),
    "other case": (["USERID,MovieID,Rating,Timestamp", "1,10,4.0,964982703", "2,20,3,964982704"]),
    "quoted": (['"userId","movieId","rating","timestamp"', '"1","10","4","964982703"', '2,20,"3",964982704']),
    "blank lines": (["", "userId,movieId,rating,timestamp", "", "1,10,4,964982703", " ", "2,20,3,964982704"]),
    "powers": (["userId,movieId,rating,timestamp", "1,10,4.0,9.64982703E8", "2,20,3e0,964982704"]),
}


@pytest.mark.parametrize("lines", SHAPES.values(), ids=SHAPES)
def test_ratings_are_read_as_what_they_plainly_mean(
    start: StartSpark, tmp_path: Path, lines: list[str]
) -> None:
    csv_layout(tmp_path)
    (tmp_path / "ratings.csv").write_text("\n".join(lines))
    found = ratings_parted(tmp_path, start)
    assert (found.good, found.bad) == ([(1, 10, 4.0, at(964982703)), (2, 20, 3.0, at(964982704))], [])


MORE = {
    "plain": "1,10,4,5,964982703,a",
    "quoted": '1,10,4,5,964982703,"a"',
    "a quoted comma": '1,10,4,5,964982703,"a,b"',
    "quoted twice": '1,10,4,964982703,"a","b"',
    "a quote within": '1,10,4,964982703,a"b,c',
    "blanks before a quote": '1,10,4,964982703, "a,b" ,c',
}
AS_MANY = (
    "1,10,4,964982703,a",
    '2,10,4,964982703,"a,b"',
    '3,10,4,964982703, "a,b" ',
    '4,10,4,964982703,"a,b',
)


def test_line_with_more_fields_than_its_header_is_quarantined(start: StartSpark, tmp_path: Path) -> None:
    """Else a comma within a number would move one column's value into another."""
    csv_layout(tmp_path)
    lines = ["userId,movieId,rating,timestamp,note", *MORE.values(), *AS_MANY]
    (tmp_path / "ratings.csv").write_text("\n".join(lines))
    found = ratings_parted(tmp_path, start)
    assert {row["row"]: row["reason"] for row in found.bad} == dict.fromkeys(
        range(2, 2 + len(MORE)), "the line has more than 5 fields"
    )
    assert len(found.good) == len(AS_MANY)


def test_quotes_mean_nothing_between_tabs(start: StartSpark, tmp_path: Path) -> None:
    atomic_layout(tmp_path)
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float\tnote:token"
    lines = ['1\t10\t4\t964982703\t"a', '2\t10\t4\t964982703\t"a\tb"']
    (tmp_path / "x.inter").write_text("\n".join([head, *lines]))
    found = ratings_parted(tmp_path, start)
    assert [row[0] for row in found.good] == [1]
    assert [row["reason"] for row in found.bad] == ["the line has more than 5 fields"]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_what_gzip_packed_is_read_under_any_name(
    start: StartSpark, tmp_path: Path, layout: Callable[[Path], None], suffix: str
) -> None:
    layout(tmp_path)
    for path in list(tmp_path.iterdir()):
        packed = gzip.compress(path.read_bytes())
        path.unlink()
        path.with_name(f"{path.name}{suffix}").write_bytes(packed)
    source = read_movielens(tmp_path)
    assert ratings_in(source, start) == RATINGS
    assert movies_in(source) == MOVIES


def test_a_packed_file_that_is_damaged_far_below_its_first_lines_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.sources.lines.CHUNK", 100)
    csv_layout(tmp_path)
    path = tmp_path / "ratings.csv"
    lines = "".join(f"{user},10,4,964982703\n" for user in range(1, 2_000))
    packed = bytearray(gzip.compress(f"userId,movieId,rating,timestamp\n{lines}".encode(), mtime=0))
    packed[-6] ^= 1  # of the checksum at its end
    path.write_bytes(packed)
    with pytest.raises(MarqueeError, match=r"Cannot read .*ratings\.csv: CRC check failed"):
        read_movielens(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04...", "ratings.csv is a zip archive, not text; unpack it"),
        (b"PAR1...", "is a Parquet file, not text"),
        (b"BZh91AY", "is packed by bzip2"),
        # The time is in the bytes, these are in the test's name, and each process must give it the same.
        (
            gzip.compress(b"userId,movieId,rating,timestamp\n1,1,1,1\n", mtime=0)[:-12],
            "Cannot read .*ratings.csv",
        ),
        (
            b"userId,user_id,movieId,rating,timestamp\n1,1,1,1,1\n",
            "several columns for user_id: userId, user_id",
        ),
        (b"userId;movieId;rating;timestamp\n1;10;4;964982703\n", "line 1: expected the header"),
    ],
)
def test_what_is_not_plain_is_one_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    csv_layout(tmp_path)
    (tmp_path / "ratings.csv").write_bytes(content)
    with pytest.raises(MarqueeError, match=words) as raised:
        read_movielens(tmp_path)
    assert "\n" not in str(raised.value)
