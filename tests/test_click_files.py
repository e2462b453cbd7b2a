"""Files of click logs: one or many, packed or not, whatever their names; what is no log is refused."""

import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from common.errors import MarqueeError
from feature_repo.domains.clicks.avazu import AVAZU
from feature_repo.domains.clicks.criteo import CRITEO
from lake.session import StartSpark
from pipelines.ingest import ingest
from pipelines.sources.click_logs import AVAZU_HEADER, READERS
from pipelines.sources.lines import count_lines, read_lines
from tests.click_lines import AVAZU_LINE, CRITEO_LINE, avazu_line, criteo_line, read, stored, written
from tests.raw_rows import no_spark, table_rows

LOGS = {log.name: log for log in (CRITEO, AVAZU)}


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
        read(no_spark, LOGS[name], make(tmp_path / "log"), tmp_path / "lake")
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
