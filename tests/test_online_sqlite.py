# ruff: noqa: F811 (fixtures that another module has are named as arguments)
"""What our SQLite store does beyond Feast's: it compares and counts, and is whole after whatever happened."""

import sqlite3
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import pytest
from feast import FeatureStore
from feast.infra.online_stores.sqlite import SqliteOnlineStore

from feature_repo.online import send
from feature_repo.online.newest import Tally, microseconds
from tests.online_stores import (
    Event,
    entity_key,
    newest,
    open_store,
    rows,
    served,
    sqlite,
    stored,
    write_online,
)
from tests.test_online_whole import KEYS, in_file, send_once  # noqa: F401


def test_a_tally_is_of_the_rows_that_are_there_whoever_changes_them(tmp_path: Path) -> None:
    store = open_store(tmp_path, sqlite(tmp_path))
    online, words = store._get_provider().online_store, store.get_feature_view("words")

    def tally(*events: Event) -> Tally:
        instants = [[microseconds(at) & 0xFFFF_FFFF for at in row[2:]] for row in rows(events)]
        return Tally(len(events), sum(31 * event + created for event, created in instants))

    one, other = Event(1, 5, 7), Event(2, 2**32 + 3, 9)
    assert online.tallies(store.config, words) == (tally(), None)
    write_online(store, [one, other])
    assert online.tallies(store.config, words) == (tally(one, other), None)
    online.expect(store.config, words, 2)
    assert online.tallies(store.config, words) == (tally(one, other),) * 2
    newer, third = Event(1, 6, 2), Event(3, 1, 1)
    write_online(store, [newer, third])
    assert online.tallies(store.config, words) == (tally(newer, other, third),) * 2
    online.keep_only(store.config, words, {send.serialised_key(store.config, entity_key(2))})
    assert online.tallies(store.config, words) == (tally(other), tally(newer, other, third))
    with closing(sqlite3.connect(tmp_path / "online.db")) as connection, connection:
        connection.execute('UPDATE "words_words#tally" SET rows = 7, digest = 7')
    online.expect(store.config, words, 1)
    assert online.tallies(store.config, words) == (tally(other),) * 2


def drop(folder: Path, *names: str) -> None:
    """Remove tables from the file of a folder's store."""
    with closing(sqlite3.connect(folder / "online.db")) as connection, connection:
        for name in names:
            connection.execute(f'DROP TABLE "{name}"')


@pytest.mark.parametrize("dropped", [["words_words"], ["words_words", "words_words#order"]])
def test_tables_that_are_missing_have_no_rows_and_are_made_by_writing(
    tmp_path: Path, dropped: list[str]
) -> None:
    store = open_store(tmp_path, sqlite(tmp_path))
    online, words = store._get_provider().online_store, store.get_feature_view("words")
    keys = [entity_key(key) for key in (1, 2)]
    for expects in (False, True):
        write_online(store, [Event(1, 10, 0), Event(2, 10, 0)])
        drop(tmp_path, *dropped)
        assert online.online_read(store.config, words, keys) == [(None, None), (None, None)]
        assert online.tallies(store.config, words) == (Tally(0, 0), None)
        assert online.is_empty(store.config, words)
        if expects:
            online.expect(store.config, words, 0)
            assert online.tallies(store.config, words) == (Tally(0, 0), Tally(0, 0))
        write_online(store, [Event(2, 5, 0)])
        assert served(store, KEYS) == {2: Event(2, 5, 0)}


@pytest.mark.parametrize("dropped", ["words_words#order", "words_words#tally"])
def test_without_its_tables_a_store_cannot_tell_what_it_has(tmp_path: Path, dropped: str) -> None:
    store = open_store(tmp_path, sqlite(tmp_path))
    online, words = store._get_provider().online_store, store.get_feature_view("words")
    write_online(store, [Event(1, 10, 0)])
    online.expect(store.config, words, 1)
    drop(tmp_path, dropped)
    assert online.tallies(store.config, words) == (Tally(0, 0), None)
    assert not online.is_empty(store.config, words)


def test_what_stands_beside_a_table_goes_with_it(tmp_path: Path) -> None:
    store = open_store(tmp_path, sqlite(tmp_path))
    online, words = store._get_provider().online_store, store.get_feature_view("words")
    write_online(store, [Event(1, 10, 0)])
    drop(tmp_path, "words_words")
    online.update(store.config, [], [words], [], [], partial=False)
    write_online(store, [Event(1, 5, 0)])
    assert served(store, KEYS) == {1: Event(1, 5, 0)}
    online.update(store.config, [words], [], [], [], partial=False)
    with closing(sqlite3.connect(tmp_path / "online.db")) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []


def test_a_row_of_the_same_instants_is_not_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path, sqlite(tmp_path))
    online, words = store._get_provider().online_store, store.get_feature_view("words")
    for event, refused in (
        (Event(1, 5, 7), 0),
        (Event(1, 5, 7), 0),
        (Event(1, 5, 6), 1),
        (Event(1, 4, 9), 1),
    ):
        assert online.write(store.config, words, rows([event]), whatever=False) == refused
    assert online.write(store.config, words, rows([Event(1, 4, 9)]), whatever=True) == 0
    assert served(store, [1]) == {1: Event(1, 4, 9)}


def test_a_write_that_fails_writes_nothing(in_file: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    before = served(in_file, KEYS)
    monkeypatch.setattr(SqliteOnlineStore, "online_write_batch", Mock(side_effect=OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_online(in_file, [Event(1, 99, 0)])
    monkeypatch.undo()
    assert served(in_file, KEYS) == before
    assert send_once(in_file).rows == 0
    write_online(in_file, [Event(1, 99, 0)])
    assert served(in_file, [1]) == {1: Event(1, 99, 0)}


def test_nobody_else_writes_between_what_a_write_reads_and_writes(
    in_file: FeatureStore, tmp_path: Path
) -> None:
    online = in_file._get_provider().online_store
    with closing(sqlite3.connect(tmp_path / "online.db", timeout=0)) as other:
        with (
            online._transaction(in_file.config),
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")


def test_many_keys_are_read_in_several_queries(
    in_file: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feature_repo.online.sqlite.MOST_KEYS", 7)
    assert served(in_file, [999, *KEYS, 999]) == newest(stored(in_file))


def test_only_the_features_asked_for_are_read(in_file: FeatureStore) -> None:
    online, words = in_file._get_provider().online_store, in_file.get_feature_view("words")
    for asked, names in ((["said"], {"said"}), (None, {"said", "seen"}), ([], None)):
        ((_, values),) = online.online_read(in_file.config, words, [entity_key(1)], asked)
        assert (values and set(values)) == names
