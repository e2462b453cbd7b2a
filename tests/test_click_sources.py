"""Click logs: each row of the published samples read as it stands; what is no row quarantined or refused."""

import csv
import gzip
import os
import tarfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from common.errors import MarqueeError
from feature_repo.define.column import Type
from feature_repo.define.domain import Domain
from feature_repo.domains.clicks.avazu import AVAZU
from feature_repo.domains.clicks.criteo import CRITEO
from lake.session import StartSpark
from pipelines.ingest import IngestReport, ingest
from pipelines.sources.click_logs import AVAZU_HEADER, READERS
from pipelines.sources.lines import count_lines, read_lines
from pipelines.sources.source import Source
from tests.raw_rows import ENGINES, engine_named, no_spark, table_rows

AVAZU_LINE = (
    "10000169349117863715,0,14102100,1005,0,1fbe01fe,f3845767,28905ebd,ecad2386,7801e8d9,07d7df22,a99f214a,"
    "96809ac8,711ee120,1,0,15704,320,50,1722,0,35,100084,79"
)
CRITEO_LINE = "\t".join(["1", *map(str, range(1, 14)), *(f"{place:08x}" for place in range(26))])


def criteo_line(**changed: str) -> str:
    """A good line but for some fields, such as `i2` or `c26`."""
    values = dict(zip(CRITEO.events.column_names[1:], CRITEO_LINE.split("\t"), strict=True)) | changed
    return "\t".join(values.values())


def avazu_line(**changed: str) -> str:
    """As `criteo_line`, in the header's order."""
    values = dict(zip(AVAZU_HEADER.lower().split(","), AVAZU_LINE.split(","), strict=True)) | changed
    return ",".join(values.values())


def written(path: Path, lines: Iterable[str], end: str = "\n") -> Path:
    data = "".join(line + end for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read(start: StartSpark, log: Domain, path: Path, lake: Path) -> IngestReport:
    return ingest(start, READERS[log.name](path), lake, log)


def stored(lake: Path, log: Domain) -> list[dict[str, Any]]:
    return table_rows(lake, log.events.name)


# --- the published samples ------------------------------------------------------------------------------


def as_column(log: Domain, name: str, value: str) -> int | str | None:
    """A field of a file, by the declared type of its column: what an independent reader makes of it."""
    if value == "":
        return None
    return int(value) if log.events.column(name).type is Type.INT64 else value


def criteo_rows(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        lines = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    names = ("click", *(f"i{n}" for n in range(1, 14)), *(f"c{n}" for n in range(1, 27)))
    return [
        {"position": at} | {n: as_column(CRITEO, n, v) for n, v in zip(names, line, strict=True)}
        for at, line in enumerate(lines, start=1)
    ]


def avazu_rows(path: Path) -> list[dict[str, Any]]:
    rows = []
    with path.open(newline="") as file:
        for at, line in enumerate(csv.DictReader(file), start=1):
            hour = datetime.strptime(line.pop("hour"), "%y%m%d%H").replace(tzinfo=UTC)
            row = {name.lower(): as_column(AVAZU, name.lower(), value) for name, value in line.items()}
            weekday = hour.weekday()
            row |= {"hour_of_day": hour.hour, "weekday": weekday, "weekend": int(weekday > 4)}
            rows.append({"position": at, "hour": hour, **row})
    return rows


SAMPLES = {
    "criteo": (CRITEO, "criteo-sample/criteo-8000.tsv", criteo_rows, 8000),
    "avazu": (AVAZU, "avazu-sample/avazu-9k.csv", avazu_rows, 8999),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_each_field_of_a_published_sample_is_what_an_independent_reader_finds(
    name: str, start: StartSpark, real_data: Path, tmp_path: Path
) -> None:
    log, file, rows, count = SAMPLES[name]
    path = real_data / file
    if start is not no_spark:  # which takes many times as long
        path, count = tmp_path / "head", 1000
        lines = (real_data / file).read_text().splitlines()
        written(path, lines[: count + (log is AVAZU)])
    table = read(start, log, path, tmp_path / "lake").tables[log.events.name]
    assert (table.read, table.accepted, table.quarantined) == (count, count, 0)
    assert stored(tmp_path / "lake", log) == [
        {column: row[column] for column in log.events.column_names} for row in rows(path)
    ]


# --- bad rows -------------------------------------------------------------------------------------------

BAD_CRITEO = {
    criteo_line(click="2"): ("click_in_range", "click is outside [0, 1]: 2"),
    criteo_line(click=""): ("click_is_present", "click is missing"),
    criteo_line(i3="many"): ("i3_is_number", "i3 'many' is not a whole number"),
    criteo_line(i3="1.5"): ("i3_is_number", "i3 '1.5' is not a whole number"),
    CRITEO_LINE + "\t": ("columns_are_complete", "the line has 41 columns, not 40"),
    CRITEO_LINE.partition("\t")[2]: ("columns_are_complete", "the line has 39 columns, not 40"),
    "\t": ("columns_are_complete", "the line has 2 columns, not 40"),
    "label\t" + "\t".join(CRITEO.events.column_names[2:]): (
        "click_is_number",
        "click 'label' is not a whole number",
    ),
}
NO_HOUR = "is not an hour such as 14102100 (year, month, day, hour)"
BAD_AVAZU = {
    avazu_line(click="2"): ("click_in_range", "click is outside [0, 1]: 2"),
    avazu_line(id=""): ("id_is_present", "id is missing"),
    avazu_line(c14="x"): ("c14_is_number", "c14 'x' is not a whole number"),
    avazu_line(hour="14103199"): ("hour_is_number", f"hour '14103199' {NO_HOUR}"),
    avazu_line(hour="14023000"): ("hour_is_number", f"hour '14023000' {NO_HOUR}"),
    avazu_line(hour="yesterday"): ("hour_is_number", f"hour 'yesterday' {NO_HOUR}"),
    avazu_line(hour=""): ("hour_is_present", "hour is missing"),
    AVAZU_LINE + ",1": ("columns_are_complete", "the line has 25 columns, not 24"),
    AVAZU_LINE.rpartition(",")[0]: ("columns_are_complete", "the line has 23 columns, not 24"),
    f'"{AVAZU_LINE}': (
        "columns_are_complete",
        "the line has other than 24 columns, or a quote that is not closed",
    ),
    AVAZU_HEADER: ("click_is_number", "click 'click' is not a whole number"),
}
BAD = {
    "criteo": (CRITEO, [CRITEO_LINE], BAD_CRITEO),
    "avazu": (AVAZU, [AVAZU_HEADER, AVAZU_LINE], BAD_AVAZU),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_lines_are_quarantined_with_the_reason_and_leave_their_place_empty(
    name: str, start: StartSpark, tmp_path: Path
) -> None:
    log, good, bad = BAD[name]
    path = written(tmp_path / "log", [*good, *bad, good[-1]], end="\r\n")
    table = read(start, log, path, tmp_path / "lake").tables[log.events.name]
    assert (table.read, table.accepted, table.quarantined) == (len(bad) + 2, 2, len(bad))
    assert [row["position"] for row in stored(tmp_path / "lake", log)] == [1, len(bad) + 2]
    quarantine = {
        row["record"]: (row["rule"], row["reason"])
        for row in table_rows(tmp_path / "lake", "quarantine")
        if row["source"] == str(path)
    }
    assert quarantine == bad


def test_missing_numbers_and_categories_are_null_and_negative_ones_are_themselves(tmp_path: Path) -> None:
    path = written(tmp_path / "log", [criteo_line(i2="-3", i4="", i5="7.0", c1="", c26=""), CRITEO_LINE])
    read(no_spark, CRITEO, path, tmp_path / "lake")
    row, other = stored(tmp_path / "lake", CRITEO)
    assert [row[name] for name in ("i2", "i4", "i5", "c1", "c26")] == [-3, None, 7, None, None]
    assert (other["i13"], other["c26"]) == (13, "00000019")


def test_columns_of_avazu_are_found_by_name_and_fields_may_be_quoted(tmp_path: Path) -> None:
    names, values = AVAZU_HEADER.split(","), avazu_line(site_id='"a,""b"""').replace("a,", "a;").split(",")
    turned = [",".join(["more", *reversed(names)]), ",".join(["x", *reversed(values)]).replace("a;", "a,")]
    read(no_spark, AVAZU, written(tmp_path / "log.csv", turned), tmp_path / "lake")
    (row,) = stored(tmp_path / "lake", AVAZU)
    assert (row["site_id"], row["id"], row["c21"]) == ('a,"b"', "10000169349117863715", 79)
    assert (row["hour"], row["weekday"]) == (datetime(2014, 10, 21, tzinfo=UTC), 1)


# --- files ----------------------------------------------------------------------------------------------


def test_files_of_a_folder_are_one_log_in_order_of_their_names(start: StartSpark, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    header = AVAZU_HEADER
    written(folder / "b.gz", ["", header, *(avazu_line(id=f"b{n}") for n in range(30))])
    written(folder / "a.csv", [header, *(avazu_line(id=f"a{n}") for n in range(3)), "broken"])
    written(folder / "c", [header, avazu_line(id="c0")])
    written(folder / "_SUCCESS", [])
    report = read(start, AVAZU, folder, tmp_path / "lake")
    assert report.source == f"avazu: a.csv, b.gz, c of {folder}"
    assert report.tables["clicks_avazu"].quarantined == 1
    found = {row["position"]: row["id"] for row in stored(tmp_path / "lake", AVAZU)}
    expected = ["a0", "a1", "a2", None, *(f"b{n}" for n in range(30)), "c0"]
    assert found == {place: name for place, name in enumerate(expected, start=1) if name}


def test_each_file_of_the_table_holds_an_ascending_range_of_the_log(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lake.session.FEW", -1)
    monkeypatch.setattr("pipelines.ingest.spark_engine.MOST_IN_FILE", 70)
    folder = tmp_path / "log"
    folder.mkdir()
    for name, rows in (("a", 5), ("b", 400), ("c", 100), ("d", 200)):
        written(folder / name, [CRITEO_LINE] * rows)
    spark.conf.set("spark.sql.files.maxPartitionBytes", "30000")
    try:
        read(lambda: spark, CRITEO, folder, tmp_path / "lake")
    finally:
        spark.conf.unset("spark.sql.files.maxPartitionBytes")
    files = DeltaTable(tmp_path / "lake" / "clicks_criteo").file_uris()
    parts = sorted(pq.read_table(file, columns=["position"])[0].to_pylist() for file in files)
    assert len(parts) > 705 / 70
    assert max(map(len, parts)) <= 70
    assert [place for part in parts for place in part] == list(range(1, 706))
    assert all(pq.read_table(file)["position"].to_pylist() in parts for file in files)


@given(st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\r\n"]), max_size=12), st.integers(1, 5))
def test_lines_are_counted_as_they_are_read(parts: list[bytes], chunk: int) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder, "log")
        path.write_bytes(b"".join(parts))
        patch.setattr("pipelines.sources.lines.CHUNK", chunk)
        assert count_lines(path) == len(read_lines(path).texts)


def test_lines_in_another_encoding_are_read_and_said(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(f"{CRITEO_LINE}\n{criteo_line(c2='é')}\n".encode("cp1252"))
    report = read(no_spark, CRITEO, path, tmp_path / "lake")
    assert stored(tmp_path / "lake", CRITEO)[1]["c2"] == "é"
    assert [note.partition(" not in UTF-8")[0] for note in report.notes] == [f"{path}: 1 line is"]


def cut(path: Path) -> Path:
    """A packed log without its end."""
    lines = (criteo_line(c1=f"{n * 2654435761 % 2**32:08x}") for n in range(3000))
    data = written(path, lines).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def archive(path: Path, how: Literal["w", "w:gz"]) -> Path:
    """A tar archive of a good log."""
    log = written(path.with_name("train.txt"), [CRITEO_LINE] * 5)
    with tarfile.open(path, how) as packed:
        packed.add(log, log.name)
    return path


def linked(folder: Path, name: str) -> Path:
    """A folder with a good log, and a link to nothing beside it."""
    written(folder / "a", [CRITEO_LINE])
    (folder / name).symlink_to("nothing")
    return folder


def folder_of(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).mkdir(parents=True)
    path.mkdir(exist_ok=True)
    return path


UNREADABLE: dict[str, tuple[str, Callable[[Path], Path], str]] = {
    "absent": ("criteo", lambda path: path, "There is no file or folder"),
    "empty": ("criteo", lambda path: written(path, []), "is empty"),
    "blank": ("avazu", lambda path: written(path, ["", " "]), "is empty"),
    "no files": ("criteo", folder_of, "There are no files in"),
    "inner folder": ("avazu", lambda path: folder_of(path, "day1"), "did you mean .*/day1"),
    "test set": (
        "criteo",
        lambda path: written(path, [CRITEO_LINE.partition("\t")[2]] * 3),
        "39 columns, so it lacks the label, as a test set does",
    ),
    "another layout": ("criteo", lambda path: written(path, [AVAZU_LINE]), "line 1: expected 40 columns"),
    "test set with a header": (
        "avazu",
        lambda path: written(path, [AVAZU_HEADER.replace("click,", ""), AVAZU_LINE]),
        "lacks the column click, as a test set does",
    ),
    "no header": ("avazu", lambda path: written(path, [AVAZU_LINE]), "line 1: expected the header id,click"),
    "a column lacks": (
        "avazu",
        lambda path: written(path, [AVAZU_HEADER.replace(",C21", ""), AVAZU_LINE]),
        "lacks the column c21",
    ),
    "a column twice": (
        "avazu",
        lambda path: written(path, [AVAZU_HEADER.replace("C21", "C20"), AVAZU_LINE]),
        "has several columns for c20",
    ),
    "only a header": ("avazu", lambda path: written(path, [AVAZU_HEADER]), "no rows below it"),
    "Parquet": ("criteo", lambda path: path.write_bytes(b"PAR1....") and path, "is a Parquet file, not text"),
    "zip": ("avazu", lambda path: path.write_bytes(b"PK\x03\x04....") and path, "is a zip archive"),
    "a tar archive": ("criteo", lambda path: archive(path, "w"), "log is a tar archive, not text; unpack it"),
    "a packed tar archive": ("avazu", lambda path: archive(path, "w:gz"), "log is a tar archive, not text"),
    "a pipe": ("criteo", lambda path: os.mkfifo(path) or path, "log is neither a file nor a folder"),
    "a link to nothing": (
        "criteo",
        lambda path: linked(folder_of(path), "b"),
        "log/b is neither a file nor a folder, or a link to nothing",
    ),
    "a name that is no text": (
        "criteo",
        lambda path: written(folder_of(path) / os.fsdecode(b"\xff.tsv"), [CRITEO_LINE]).parent,
        r"log/\\udcff.tsv' cannot be used: a path is text in UTF-8",
    ),
    "cut off": ("criteo", lambda path: cut(path.with_name("log.gz")), "Cannot read .*log.gz"),
    "only bad rows": (
        "criteo",
        lambda path: written(path, [criteo_line(click="2")] * 3),
        "None of the 3 clicks_criteo that were read can be used",
    ),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_read_is_one_sentence_and_leaves_the_lake_alone(what: str, tmp_path: Path) -> None:
    name, make, says = UNREADABLE[what]
    with pytest.raises(MarqueeError, match=says):
        read(no_spark, BAD[name][0], make(tmp_path / "log"), tmp_path / "lake")
    assert not any(tmp_path.glob("lake/*"))


def test_a_packed_file_that_spark_finds_cut_off_is_one_sentence(spark: SparkSession, tmp_path: Path) -> None:
    whole = written(tmp_path / "log.gz", [CRITEO_LINE])
    source = READERS["criteo"](whole)
    cut(whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lake.session.FEW", -1)
        with pytest.raises(MarqueeError, match=r"Cannot read /.*log\.gz: it was cut off\."):
            ingest(lambda: spark, source, tmp_path / "lake", CRITEO)
    assert not any(tmp_path.glob("lake/*"))


def test_a_file_that_grows_while_it_is_read_leaves_the_lake_as_it_was(
    start: StartSpark, tmp_path: Path
) -> None:
    folder, lake = folder_of(tmp_path / "log"), tmp_path / "lake"
    written(folder / "a", [CRITEO_LINE] * 2)
    written(folder / "b", [CRITEO_LINE] * 2)
    read(start, CRITEO, folder, lake)
    source = READERS["criteo"](folder)
    with (folder / "a").open("a") as grows:
        grows.write(f"{criteo_line(i1='9')}\n" * 2)
    with pytest.raises(MarqueeError, match=r"/log/a vanished or changed while it was read; run again"):
        ingest(start, source, lake, CRITEO)
    assert [(row["position"], row["i1"]) for row in stored(lake, CRITEO)] == [(n, 1) for n in range(1, 5)]


def test_folders_beside_the_files_are_named_as_left_out(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "log", "day2", ".git")
    written(folder / "day1", [CRITEO_LINE])
    assert READERS["criteo"](folder).description == f"criteo: day1 of {folder}, without its folders day2"


@pytest.mark.parametrize("name", ["_log", ".log", "log.bz2", "log.gz", "log._COPYING_"])
def test_a_file_is_read_whatever_its_name(name: str, start: StartSpark, tmp_path: Path) -> None:
    (tmp_path / name).write_text(f"{CRITEO_LINE}\n{criteo_line(click='2')}\n")
    table = read(start, CRITEO, tmp_path / name, tmp_path / "lake").tables["clicks_criteo"]
    assert (table.read, table.accepted) == (2, 1)
    (bad,) = table_rows(tmp_path / "lake", "quarantine")
    assert (bad["source"], bad["row"]) == (str(tmp_path / name), 2)


def test_places_go_on_after_a_file_in_utf_16_and_blank_lines_before_a_header(
    start: StartSpark, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "log")
    (folder / "a").write_text(f"  \n{AVAZU_HEADER}\n{AVAZU_LINE}\n{AVAZU_LINE}\n", encoding="utf-16")
    written(folder / "b", ["", " ", AVAZU_HEADER, AVAZU_LINE])
    read(start, AVAZU, folder, tmp_path / "lake")
    assert [row["position"] for row in stored(tmp_path / "lake", AVAZU)] == [1, 2, 3]


def test_files_of_avazu_have_one_header(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "log")
    written(folder / "a", [AVAZU_HEADER, AVAZU_LINE])
    written(folder / "b", [AVAZU_HEADER + ",more", AVAZU_LINE + ",1"])
    with pytest.raises(MarqueeError, match=r"/b has another header than .*/a"):
        READERS["avazu"](folder)


# --- the quarantine that domains share ------------------------------------------------------------------


def one_bad(log: Domain, folder: Path) -> Source:
    good, bad = BAD[log.name][1:]
    return READERS[log.name](written(folder / log.name, [*good, next(iter(bad))]))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_quarantine_keeps_what_is_of_other_domains(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    for log in (CRITEO, AVAZU):
        ingest(no_spark, one_bad(log, tmp_path), lake, log)
    avazu = [row for row in table_rows(lake, "quarantine") if row["table"] == "clicks_avazu"]
    criteo = READERS["criteo"](written(tmp_path / "criteo", [CRITEO_LINE, "x", "y"]))
    with engine_named(engine, request) as start:
        report = ingest(start, criteo, lake, CRITEO)
    assert report.tables["clicks_criteo"].quarantined == 2
    kept = table_rows(lake, "quarantine")
    assert sorted(row["record"] for row in kept if row["table"] == "clicks_criteo") == ["x", "y"]
    assert [row for row in kept if row["table"] == "clicks_avazu"] == avazu
    assert len(avazu) == 1


def test_a_log_and_its_quarantine_are_written_both_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = tmp_path / "lake"
    ingest(no_spark, one_bad(CRITEO, tmp_path), lake, CRITEO)
    before = stored(lake, CRITEO), table_rows(lake, "quarantine")
    source = READERS["criteo"](written(tmp_path / "other", [CRITEO_LINE] * 5))

    def refuse(*_: object, **__: object) -> None:
        if len(stored(lake, CRITEO)) == 5:
            raise MarqueeError("no space")
        written_before(*_, **__)  # type: ignore[arg-type]

    from lake.tables import overwrite as written_before

    monkeypatch.setattr("lake.tables.overwrite", refuse)
    with pytest.raises(MarqueeError, match="no space"):
        ingest(no_spark, source, lake, CRITEO)
    assert (stored(lake, CRITEO), table_rows(lake, "quarantine")) == before
