"""Paths that cannot be used are refused in one sentence before any work; commands that read make nothing."""

import os
from pathlib import Path

import pytest

from common.errors import MarqueeError
from common.settings import load_settings
from tests.marquee import in_process, refused
from tests.small_home import dataset, small_home

READ = (
    *(
        "pipeline ingest --source movielens --path P",
        "pipeline ingest --source movielens --path DATA --posters P",
    ),
    *("features dataset --service gbt_v1 --labels P --out OUT", "features push P"),
    *("train gbt --config P", "train gbt --data P", "train --like P", "tune gbt --trials 1 --config P"),
    *("evaluate P", "report --run P"),
)
WRITTEN = (
    *("features dataset --service gbt_v1 --labels LABELS --out P", "train gbt --out P"),
    *("tune gbt --trials 1 --study P", "tune gbt --trials 1 --out P"),
    *("reproduce mmdin --source movielens --path DATA --doc P", "reproduce mmdin --out P"),
)
USELESS = {
    "empty": ("", "empty"),
    "a long name": ("x" * 400, "too long"),
    "a long path": ("y/" * 2500, "too long"),
    "no text": ("\udcff", "UTF-8"),
    "below a file": ("FILE/below/name", ""),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_home(tmp_path_factory.mktemp("given"))


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """All that is in a folder, with sizes and times of writing."""
    found = {path: path.stat() for path in sorted(folder.rglob("*"))}
    return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in found.items() if not path.is_dir()}


def said_of(command: str, path: str, home: Path) -> str:
    """What a command says of a path, having made nothing."""
    file = home.with_name("file")
    file.write_text("x")
    places = {
        "P": path.replace("FILE", str(file)),
        "DATA": home.with_name("data"),
        "LABELS": home.with_name("labels.parquet"),
        "OUT": home.with_name("out.parquet"),
    }
    before = tree(home.parent)
    said = refused(home, *(places.get(word, word) for word in command.split()))
    after = {
        name: stat for name, stat in tree(home.parent).items() if not name.endswith((".lock", "errors.log"))
    }
    assert {name: before.get(name) for name in after} == after
    assert len(said) < 1500
    return said


@pytest.mark.parametrize("kind", USELESS)
@pytest.mark.parametrize("command", [*READ, *WRITTEN])
def test_a_path_that_cannot_be_used_is_refused_before_any_work(command: str, kind: str, home: Path) -> None:
    path, says = USELESS[kind]
    assert says in said_of(command, path, home)


@pytest.mark.parametrize("command", READ)
def test_what_is_not_there_or_of_another_kind_is_refused_before_any_work(command: str, home: Path) -> None:
    for path in ("FILE", str(home.parent), str(home.with_name("absent"))):
        said_of(command, path, home)


SPELLINGS = {
    "the same": "labels.parquet",
    "another spelling": "home/../labels.parquet",
    "a link": "link.parquet",
    "in a linked folder": "linked/labels.parquet",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_labels_are_not_replaced_by_their_data_set(spelling: str, home: Path) -> None:
    for link, place in (("link.parquet", "labels.parquet"), ("linked", ".")):
        home.with_name(link).unlink(missing_ok=True)
        home.with_name(link).symlink_to(place)
    out = str(home.parent / SPELLINGS[spelling])
    said = said_of("features dataset --service gbt_v1 --labels LABELS --out P", out, home)
    assert f"--out {out} is what --labels reads" in said


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("tune gbt --trials 1 --config P --out P", "--config"),
        ("tune gbt --trials 1 --study P --out P", "--study"),
        ("train --like P --out P", "--like"),
        ("train gbt --config P/gbt.yaml --out P", "--config"),
        ("train gbt --data P/predictions.parquet --out P", "--data"),
    ],
)
def test_nothing_is_replaced_by_what_is_made_from_it(
    command: str, option: str, home: Path, tmp_path: Path
) -> None:
    place = tmp_path / "given"
    if command.startswith("train"):
        assert in_process(home, "train", "gbt", "--out", place).code == 0
    settings = place / "gbt.yaml" if place.is_dir() else place
    if option != "--study":
        settings.write_text("model: gbt\nconfig:\n  iterations: 9\n")
    before = tree(tmp_path)
    said = refused(home, *(word.replace("P", str(place), 1) for word in command.split()))
    assert option in said and "would replace it" in said
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "place", ["registry.db", "online.db", "source.json", "lake/x", "lake/ratings/_delta_log/x"]
)
@pytest.mark.parametrize(
    "command",
    [
        "features dataset --service gbt_v1 --labels LABELS --out P",
        "train gbt --out P",
        "tune gbt --trials 1 --out P",
        "reproduce mmdin --source movielens --path DATA --doc P",
    ],
)
def test_what_a_home_keeps_is_no_place_for_anything_else(command: str, place: str, home: Path) -> None:
    before, path = tree(home), str(home / place)
    assert f"{path} is a place of the home's own" in said_of(command, path, home)
    assert tree(home) == before


def test_a_device_is_not_replaced(home: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    said = said_of("features dataset --service gbt_v1 --labels LABELS --out P", str(pipe), home)
    assert "is no regular file" in said and pipe.is_fifo()


def test_a_page_is_not_written_into_a_file_of_the_data(home: Path) -> None:
    doc = str(home.with_name("data") / "ratings.csv")
    said = said_of("reproduce mmdin --source movielens --path DATA --doc P", doc, home)
    assert "is a file of --path" in said


HOMES = (
    "data describe",
    "features lookup --user 1",
    "pipeline run",
    "data synth --ratings 10",
    "report",
)


@pytest.mark.parametrize("command", HOMES)
@pytest.mark.parametrize("kind", USELESS)
def test_a_home_that_cannot_be_used_is_refused(
    command: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "FILE").write_text("x")
    monkeypatch.chdir(tmp_path)
    path, says = USELESS[kind]
    assert says in refused(path, *command.split())
    assert [entry.name for entry in tmp_path.iterdir()] == ["FILE"]


def test_a_home_that_the_environment_leaves_empty_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARQUEE_HOME", "")
    with pytest.raises(MarqueeError, match=r"MARQUEE_HOME='' cannot be used: .*empty"):
        load_settings()
    assert load_settings(tmp_path).home == tmp_path


def test_a_memory_limit_below_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MARQUEE_DUCKDB_MEMORY", "-5GB")
    with pytest.raises(MarqueeError, match=r"MARQUEE_DUCKDB_MEMORY='-5GB' cannot be used: -5GB is no size"):
        load_settings(tmp_path)


READING = (
    *("data describe", "features plan", "features lookup --user 1 --movie 2"),
    *("pipeline run nothing", "train foo", "report", "evaluate FOLDER"),
)


@pytest.mark.parametrize("command", READING)
def test_commands_that_read_leave_a_home_as_it_is(command: str, home: Path) -> None:
    before = tree(home)
    in_process(home, *command.replace("FOLDER", str(home)).split())
    assert tree(home) == before


def test_a_data_set_is_the_only_thing_that_is_made(home: Path) -> None:
    before = tree(home.parent)
    assert in_process(home, *dataset(home).split()).code == 0
    assert set(tree(home.parent)) - set(before) <= {str(home.with_name("out.parquet"))}
    home.with_name("out.parquet").unlink()
