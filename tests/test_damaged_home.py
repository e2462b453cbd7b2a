# ruff: noqa: F811 (fixtures that another module has are named as arguments)
"""A home of which something is damaged or gone: every command says what, and what it says mends it."""

import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from deltalake import DeltaTable

from lake.damage import ASIDE, fault_in, fault_of
from lake.journal import JOURNAL
from tests.marquee import content, in_process, refused
from tests.small_home import dataset, home, ingest, small_home, whole  # noqa: F401
from tests.small_movielens import write_small_movielens

VIEW, SOURCE = "user_rating_stats", "ratings"


# --- tables -----------------------------------------------------------------------------------------------


def files(table: Path) -> list[Path]:
    return [table / name for name in DeltaTable(table).files()]


def commits(table: Path) -> list[Path]:
    return sorted((table / "_delta_log").glob("*.json"))


def lose(table: Path) -> None:
    for file in files(table):
        file.unlink()


def cut(table: Path) -> None:
    for file in files(table):
        file.write_bytes(file.read_bytes()[:-50])


def spoil(table: Path) -> None:
    """Other bytes, as many."""
    for file in files(table):
        bytes_ = file.read_bytes()
        file.write_bytes(bytes_[:4] + b"\xa5" * (len(bytes_) - 12) + bytes_[-8:])


def empty(table: Path) -> None:
    for file in files(table):
        file.write_bytes(b"")


def commit(text: str) -> Callable[[Path], object]:
    return lambda table: commits(table)[-1].write_text(text)


def forget(table: Path) -> None:
    for file in commits(table):
        file.unlink()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "file gone": lose,
    "file cut off": cut,
    "file empty": empty,
    "file of other bytes": spoil,
    "commit garbage": commit("\0garbage"),
    "commit empty": commit(""),
    "commit of another kind": commit('{"of": "another kind"}\n'),
    "commit cut off": lambda table: commits(table)[-1].write_bytes(commits(table)[-1].read_bytes()[:-30]),
    "commits gone": forget,
}
READS = {
    VIEW: ("data describe", "features dataset", "audit leakage", "train gbt", f"pipeline run {VIEW}"),
    SOURCE: (
        "data describe",
        "audit leakage",
        "train gbt",
        f"pipeline run {VIEW}",
        f"pipeline run --full {VIEW}",
    ),
}
UNSEEN = {"data describe", f"pipeline run {VIEW}"}
"""Commands that read no rows of a table where nothing is new."""


@pytest.mark.parametrize("table", READS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_table_is_named_with_what_makes_it_again(
    damage: str, table: str, home: Path, whole: Path
) -> None:
    DAMAGES[damage](home / "lake" / table)
    for command in READS[table]:
        if damage == "file of other bytes" and command in UNSEEN:
            continue
        said = refused(home, *(dataset(whole) if command == "features dataset" else command).split())
        assert f"Table {table} in {home / 'lake'} cannot be read" in said, command
        assert "`marquee pipeline ingest`" in said
        assert f"`marquee pipeline run --full {table}`" in said
    remedy = f"pipeline run --full {table}" if table == VIEW else ingest(whole.with_name("data"))
    assert in_process(home, *remedy.split()).code == 0
    assert content(home, table) == content(whole, table)
    for command in ("data describe", "pipeline run", "features materialize", dataset(whole)):
        assert in_process(home, *command.split()).code == 0, command
    assert content(home, VIEW) == content(whole, VIEW)


def test_what_could_not_be_read_is_kept_aside(home: Path) -> None:
    commits(home / "lake" / VIEW)[0].write_text("")
    before = {file.name for file in (home / "lake" / VIEW).glob("*.parquet")}
    assert in_process(home, "pipeline", "run", "--full", VIEW).code == 0
    (aside,) = (home / "lake" / ASIDE).iterdir()
    assert {file.name for file in aside.glob("*.parquet")} == before
    assert in_process(home, "pipeline", "run", "--full", VIEW).code == 0
    assert len(list((home / "lake" / ASIDE).iterdir())) == 1, "what can be read is replaced in its place"


def test_a_source_that_was_made_anew_counts_as_another(home: Path, tmp_path: Path) -> None:
    """Its versions begin at 0 again, so by their numbers nothing would be new."""
    fewer = write_small_movielens(tmp_path / "fewer", users=5, movies=40, seed=1)[0]
    lose(home / "lake" / SOURCE)
    assert in_process(home, *ingest(fewer).split()).code == 0
    assert DeltaTable(home / "lake" / SOURCE).version() == 0
    assert in_process(home, "pipeline", "run").code == 0
    other = tmp_path / "other"
    for command in (ingest(fewer), "pipeline run"):
        assert in_process(other, *command.split()).code == 0
    assert content(home, VIEW) == content(other, VIEW)


def test_the_first_table_that_cannot_be_read_is_found_by_reading_all(home: Path) -> None:
    lake = home / "lake"
    assert fault_in(lake) is None
    spoil(lake / VIEW)
    assert fault_of(lake / VIEW) is None, "by sight nothing is wrong with it"
    assert VIEW in str(fault_in(lake))
    lose(lake / SOURCE)
    assert SOURCE in str(fault_in(lake))


# --- the journal ------------------------------------------------------------------------------------------


NO_JOURNALS = (
    *("", "{", "[]", "[1]", "null", '"ratings"'),
    *('{"../../data": null}', '{"..": null}', '{"ratings": "1"}', '{"ratings": 99}'),
)


@pytest.mark.parametrize("text", NO_JOURNALS)
def test_a_damaged_journal_is_named_and_removing_it_goes_on(text: str, home: Path, whole: Path) -> None:
    journal, outside = home / "lake" / JOURNAL, home.parent / "data"
    outside.mkdir()
    journal.write_text(text)
    for command in ("pipeline run", "features apply", ingest(whole.with_name("data"))):
        assert f"remove {journal}" in refused(home, *command.split())
    assert outside.is_dir()
    journal.unlink()
    assert in_process(home, *ingest(whole.with_name("data")).split()).code == 0


# --- the databases ----------------------------------------------------------------------------------------

BYTES: dict[str, bytes] = {"garbage": os.urandom(9000), "text": b"not a database\n" * 400}


@pytest.mark.parametrize("how", BYTES)
def test_a_damaged_online_store_is_named_and_made_again(how: str, home: Path) -> None:
    file = home / "online.db"
    file.write_bytes(BYTES[how])
    for command in ("features lookup --user 1", "features materialize"):
        said = refused(home, *command.split())
        assert str(file) in said
        assert "`marquee features materialize`" in said
    file.unlink()
    assert in_process(home, "features", "materialize").code == 0
    assert in_process(home, "features", "lookup", "--user", 1).code == 0


@pytest.mark.parametrize("how", BYTES)
def test_a_damaged_registry_is_named_and_made_again(how: str, home: Path, whole: Path) -> None:
    file = home / "registry.db"
    file.write_bytes(BYTES[how])
    for command in ("features lookup --user 1", "features plan", "features apply", dataset(whole)):
        said = refused(home, *command.split())
        assert str(file) in said
        assert "`marquee features apply`" in said
    file.unlink()
    assert in_process(home, "features", "apply").code == 0
    assert in_process(home, "features", "lookup", "--user", 1).code == 0


TABLES_MADE = (1, 3, 6, 9)
"""How many of the registry's tables an apply had made when it was cut off."""


@pytest.mark.parametrize("made", TABLES_MADE)
def test_a_registry_that_was_only_half_made_is_made_whole(made: int, home: Path) -> None:
    file = home / "registry.db"
    with closing(sqlite3.connect(file)) as whole_one:
        tables = [text for (text,) in whole_one.execute("SELECT sql FROM sqlite_master WHERE type = 'table'")]
    # The one by which a registry is known to be there comes first.
    tables.sort(key=lambda text: not re.search(r"TABLE \W?feature_views\b", text))
    file.unlink()
    with closing(sqlite3.connect(file)) as part:
        for text in tables[:made]:
            part.execute(text)
        part.commit()
    assert in_process(home, "features", "apply").code == 0
    assert in_process(home, "features", "lookup", "--user", 1).code == 0
