"""Online is whole, or the next send makes it whole: whatever took a part away, or put back an older one."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from feast import FeatureStore
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import TimeoutError as RedisTimeout

from common.errors import MarqueeError
from feature_repo.online import record, send
from feature_repo.online.send import Sent, send_changed
from tests.online_stores import (
    Event,
    empty,
    entity_key,
    newest,
    open_store,
    path,
    rows,
    served,
    sqlite,
    stored,
    view,
    write,
    write_online,
)

KEYS = range(1, 201)
VALUES, ORDERS, TALLY = '"words_words"', '"words_words#order"', '"words_words#tally"'
NAMES = "words:words:*"
KIND = "feature_repo.online.redis.NewestRedisOnlineStore"

Fault = Callable[[Any], object]


def send_once(store: FeatureStore) -> Sent:
    (sent,) = send_changed(store)
    return sent


def filled(store: FeatureStore) -> FeatureStore:
    """The store with a row online for each key, of which some came after the first send."""
    shutil.rmtree(path(store), ignore_errors=True)
    empty(store)
    write(store, [Event(key, 10, 0) for key in KEYS])
    assert send_once(store).rows == len(KEYS)
    write(store, [Event(key, 11, 0) for key in KEYS[:20]])
    assert send_once(store).rows == 20
    assert send_once(store).rows == 0
    return store


def mended(store: FeatureStore) -> Sent:
    """What the next send did; online is then as the table says, and stays so."""
    sent = send_once(store)
    assert served(store, KEYS) == newest(stored(store))
    assert send_once(store).rows == 0
    return sent


# --- SQLite -----------------------------------------------------------------------------------------------


@pytest.fixture
def in_file(tmp_path: Path) -> FeatureStore:
    """Its file is the folder's `online.db`."""
    return filled(open_store(tmp_path, sqlite(tmp_path)))


def sql(*statements: str) -> Fault:
    """Statements that somebody runs on the file."""

    def run(file: Path) -> None:
        with closing(sqlite3.connect(file)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    return run


OF_ONE_KEY = f"entity_key = (SELECT max(entity_key) FROM {VALUES})"

IN_FILE: dict[str, Fault] = {
    "the file": lambda file: file.unlink(),
    "all in the file": lambda file: file.write_bytes(b""),
    "all values": sql(f"DELETE FROM {VALUES}"),
    "the values of one key": sql(f"DELETE FROM {VALUES} WHERE {OF_ONE_KEY}"),
    "one value": sql(f"DELETE FROM {VALUES} WHERE {OF_ONE_KEY} AND feature_name = 'said'"),
    "four in five values": sql(f"DELETE FROM {VALUES} WHERE rowid % 5 > 0"),
    "all orders": sql(f"DELETE FROM {ORDERS}"),
    "one order": sql(f"DELETE FROM {ORDERS} WHERE {OF_ONE_KEY}"),
    "the table of values": sql(f"DROP TABLE {VALUES}"),
    "the table of orders": sql(f"DROP TABLE {ORDERS}"),
    "the table of the tally": sql(f"DROP TABLE {TALLY}"),
    "the tally": sql(f"DELETE FROM {TALLY}"),
    "the record": sql(f"DELETE FROM {VALUES} WHERE feature_name = 'marquee_sent'"),
    "one row for an older one": sql(
        f"UPDATE {ORDERS} SET event = event - 1 WHERE {OF_ONE_KEY}",
        f"UPDATE {VALUES} SET event_ts = 0 WHERE {OF_ONE_KEY}",
    ),
    "one key for another": sql(
        f"DELETE FROM {VALUES} WHERE {OF_ONE_KEY}",
        f"INSERT INTO {ORDERS} SELECT x'00', event, created FROM {ORDERS} LIMIT 1",
    ),
}


@pytest.mark.usefixtures("in_file")
@pytest.mark.parametrize("fault", IN_FILE.values(), ids=IN_FILE)
def test_what_was_taken_out_of_the_file_is_back_after_the_next_send(tmp_path: Path, fault: Fault) -> None:
    fault(tmp_path / "online.db")
    again = open_store(tmp_path, sqlite(tmp_path))
    assert mended(again).rows == len(KEYS)


@pytest.mark.usefixtures("in_file")
@pytest.mark.parametrize("fault", IN_FILE.values(), ids=IN_FILE)
def test_a_send_of_changes_brings_the_rest_back_too(tmp_path: Path, fault: Fault) -> None:
    fault(tmp_path / "online.db")
    again = open_store(tmp_path, sqlite(tmp_path))
    write(again, [Event(3, 12, 0)])
    assert mended(again).since is None


def test_rows_put_back_from_yesterdays_file_are_brought_up_to_date(tmp_path: Path) -> None:
    store, file = open_store(tmp_path, sqlite(tmp_path)), tmp_path / "online.db"
    write(store, [Event(key, 10, 0) for key in KEYS])
    send_once(store)
    shutil.copy(file, tmp_path / "yesterday.db")
    write(store, [Event(key, 11, 0) for key in KEYS[:20]])
    send_once(store)
    put_back = sql(
        f"ATTACH '{tmp_path / 'yesterday.db'}' AS yesterday",
        *(f"DELETE FROM main.{table}" for table in (VALUES, ORDERS)),
        f"INSERT INTO main.{ORDERS} SELECT * FROM yesterday.{ORDERS}",
        f"INSERT INTO main.{VALUES} SELECT * FROM yesterday.{VALUES} WHERE feature_name <> 'marquee_sent'",
    )
    put_back(file)
    assert served(store, KEYS) == {key: Event(key, 10, 0) for key in KEYS}
    mended(open_store(tmp_path, sqlite(tmp_path)))
    # With the whole file comes its record: what came after that is sent.
    shutil.copy(tmp_path / "yesterday.db", file)
    again = open_store(tmp_path, sqlite(tmp_path))
    assert mended(again).rows == 20


@pytest.mark.usefixtures("in_file")
def test_rows_that_nobody_sent_are_none_that_are_missing(tmp_path: Path) -> None:
    others = sql(f"INSERT INTO {ORDERS} VALUES (x'00', 1, 1), (x'01', 1, 1)")
    others(tmp_path / "online.db")
    assert mended(open_store(tmp_path, sqlite(tmp_path))).missing == 0


def test_rows_that_go_while_others_are_sent_are_an_error(in_file: FeatureStore) -> None:
    online, words = in_file._get_provider().online_store, in_file.get_feature_view("words")
    kept = {send.serialised_key(in_file.config, entity_key(1))}

    def let_go(*_: object) -> None:
        online.keep_only(in_file.config, words, kept)

    write(in_file, [Event(key, 12, 0) for key in KEYS])
    with pytest.raises(MarqueeError, match=r"let go of 200 rows of words while .*: give it memory"):
        send_changed(in_file, on_progress=let_go)
    assert mended(in_file).missing == len(KEYS)


@pytest.mark.usefixtures("in_file")
def test_a_file_of_before_rows_were_counted_is_sent_once_more(tmp_path: Path) -> None:
    sql(
        f"DROP TABLE {TALLY}",
        *(f'DROP TRIGGER "words_words#{name}"' for name in ("gone", "more", "less", "other")),
    )(tmp_path / "online.db")
    assert mended(open_store(tmp_path, sqlite(tmp_path))).rows == len(KEYS)


# --- Redis ------------------------------------------------------------------------------------------------


@pytest.fixture
def client(redis: str) -> Iterator[Redis]:
    host, port = redis.split(":")
    with Redis(host, int(port)) as client:
        yield client
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")


@pytest.fixture
def in_redis(redis: str, tmp_path: Path) -> FeatureStore:
    return filled(open_store(tmp_path, {"type": KIND, "connection_string": redis}))


def names(client: Redis) -> list[bytes]:
    return sorted(client.scan_iter(NAMES))


def buckets(client: Redis) -> list[bytes]:
    return [name for name in names(client) if client.hexists(name, "#")]


IN_REDIS: dict[str, Fault] = {
    "all": lambda client: client.delete(*names(client)),
    "four in five names": lambda client: client.delete(*names(client)[: len(names(client)) * 4 // 5]),
    "the other four in five": lambda client: client.delete(*names(client)[len(names(client)) // 5 :]),
    "one name": lambda client: client.delete(buckets(client)[7]),
    "one name, by expiry": lambda client: client.pexpire(buckets(client)[7], 0),
    "one row": lambda client: client.hdel(buckets(client)[7], client.hkeys(buckets(client)[7])[0]),
    "one row, and one for it": lambda client: (
        client.hdel(buckets(client)[7], max(client.hkeys(buckets(client)[7]))),
        client.hset(buckets(client)[7], "x", "y"),
        client.hincrby(buckets(client)[7], "#", -1),
    ),
    "what is expected": lambda client: client.delete("words:words:expected"),
    "how many are expected": lambda client: client.hdel("words:words:expected", "rows"),
    "all but what is expected": lambda client: client.delete(*buckets(client)),
}


@pytest.mark.parametrize("fault", IN_REDIS.values(), ids=IN_REDIS)
def test_what_redis_lost_is_back_after_the_next_send(
    in_redis: FeatureStore, client: Redis, fault: Fault
) -> None:
    fault(client)
    assert mended(in_redis).rows == len(KEYS)


@pytest.mark.parametrize("fault", IN_REDIS.values(), ids=IN_REDIS)
def test_a_send_of_changes_brings_back_what_redis_lost(
    in_redis: FeatureStore, client: Redis, fault: Fault
) -> None:
    fault(client)
    write(in_redis, [Event(3, 12, 0)])
    assert mended(in_redis).since is None


def test_names_put_back_from_yesterday_are_brought_up_to_date(in_redis: FeatureStore, client: Redis) -> None:
    yesterday = {name: client.dump(name) for name in names(client)}
    write(in_redis, [Event(key, 12, 0) for key in KEYS])
    send_once(in_redis)

    def put_back(*which: bytes) -> None:
        for name in which:
            client.restore(name, 0, yesterday[name], replace=True)

    put_back(buckets(client)[3])
    assert mended(in_redis).since is None
    put_back(*buckets(client))
    assert mended(in_redis).rows == len(KEYS)
    # With everything comes the record: what came after that is sent.
    put_back(*yesterday)
    sent = mended(in_redis)
    assert (sent.since, sent.rows) == (1, len(KEYS))


def test_rows_that_redis_evicts_are_back_once_it_has_the_memory(
    in_redis: FeatureStore, client: Redis
) -> None:
    before = len(names(client))
    client.config_set("maxmemory-policy", "allkeys-random")
    client.config_set("maxmemory", client.info("memory")["used_memory"] - 5_000)
    with pytest.raises(MarqueeError, match=r"let go of \d+ rows of words while .*: give it memory"):
        for _ in range(5):
            write(in_redis, [Event(key, 12, 0) for key in KEYS])
            send_once(in_redis)
    assert len(names(client)) < before
    client.config_set("maxmemory", 0)
    assert mended(in_redis).missing > 0


def test_rows_that_were_held_up_on_their_way_replace_no_newer_ones(
    in_redis: FeatureStore, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender gives up after a while, and what it sent may still arrive, after others wrote."""

    def held_up() -> list[tuple[Any, ...]]:
        """What a send of all rows, as they are now, has on its way when it gives up."""
        found: list[tuple[Any, ...]] = []

        def no_answer(pipe: Pipeline, **_: object) -> None:
            found.extend(arguments for arguments, _ in pipe.command_stack)
            raise RedisTimeout

        with monkeypatch.context() as patch, pytest.raises(RedisTimeout):
            patch.setattr(Pipeline, "execute", no_answer)
            everything = rows([*newest(stored(in_redis)).values()])
            in_redis._get_provider().online_store.write(in_redis.config, view(), everything, whatever=True)
        return found

    def arrive(commands: list[tuple[Any, ...]]) -> None:
        assert commands
        for command in commands:
            client.execute_command(*command)

    first = held_up()
    write(in_redis, [Event(key, 12, 0) for key in KEYS[:20]])
    assert send_once(in_redis).rows == 20
    arrive(first)
    assert served(in_redis, KEYS) == newest(stored(in_redis))
    second = held_up()
    write_online(in_redis, [Event(1, 13, 0)])
    arrive(second)
    assert served(in_redis, KEYS) == newest([*stored(in_redis), Event(1, 13, 0)])
    assert send_once(in_redis).rows == 0, "nothing is missing"


# --- both -------------------------------------------------------------------------------------------------


@pytest.fixture(params=["in_file", pytest.param("in_redis", marks=pytest.mark.process)])
def store(request: pytest.FixtureRequest) -> FeatureStore:
    found: FeatureStore = request.getfixturevalue(request.param)
    return found


def test_without_the_record_newer_rows_and_strangers_go(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_online(store, [Event(1, 99, 0), Event(7777, 1, 0)])
    monkeypatch.setattr(send, "sent_record", lambda *_: None)
    send_once(store)
    monkeypatch.undo()
    assert served(store, [*KEYS, 7777]) == newest(stored(store))
    assert send_once(store).rows == 0


def test_a_record_counts_although_the_clock_was_set_back(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = Mock(now=lambda zone: datetime.now(zone) + timedelta(hours=3))
    write(store, [Event(1, 12, 0)])
    monkeypatch.setattr(record, "datetime", ahead)
    send_once(store)
    monkeypatch.undo()
    write(store, [Event(2, 12, 0)])
    assert send_once(store).rows == 1
    again = send_once(store)
    assert (again.since, again.version, again.rows) == (3, 3, 0)


def test_nothing_was_sent_until_somebody_wrote(store: FeatureStore) -> None:
    words = store.get_feature_view("words")
    assert not record.never_sent(store, words)
    empty(store)
    assert record.never_sent(store, words)
    write_online(store, [Event(1, 1, 0)])
    assert not record.never_sent(store, words)


def test_a_store_that_cannot_tell_may_have_been_sent_to(tmp_path: Path) -> None:
    plain = open_store(tmp_path, {"type": "sqlite", "path": str(tmp_path / "online.db")})
    assert not record.never_sent(plain, plain.get_feature_view("words"))


def test_how_many_rows_had_gone_is_told(store: FeatureStore) -> None:
    online, words = store._get_provider().online_store, store.get_feature_view("words")
    kept = {send.serialised_key(store.config, send.record_key(words))} | {
        send.serialised_key(store.config, entity_key(key)) for key in KEYS[:50]
    }
    online.keep_only(store.config, words, kept)
    assert mended(store).missing == len(KEYS) - 50
    assert mended(store).missing == 0


def test_what_others_wrote_by_feast_is_no_loss(store: FeatureStore) -> None:
    write_online(store, [Event(1, 99, 0), Event(7777, 1, 0)])
    assert send_once(store).rows == 0
    write(store, [Event(2, 12, 0)])
    sent = send_once(store)
    assert (sent.since, sent.rows) == (1, 1)
