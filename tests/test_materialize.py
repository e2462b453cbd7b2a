"""After any history of writes and sends each key's newest row is online; no older one ever replaced it."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from deltalake import DeltaTable, write_deltalake
from feast import FeatureStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import MarqueeError
from feature_repo.online import send
from feature_repo.online.newest import instant, microseconds
from feature_repo.online.send import Sent, send_changed
from tests.online_stores import (
    START,
    Event,
    empty,
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

KEYS = range(1, 6)
events = st.builds(Event, st.sampled_from(KEYS), st.integers(0, 4), st.integers(0, 4))
batches = st.lists(events, min_size=1, max_size=6)


class KilledError(Exception):
    pass


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """A store on each kind of online store that keeps the newest rows."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        return open_store(folder, sqlite(folder))
    address = request.getfixturevalue("redis")
    kind = "feature_repo.online.redis.NewestRedisOnlineStore"
    return open_store(folder, {"type": kind, "connection_string": address})


@pytest.fixture
def store(opened: FeatureStore) -> FeatureStore:
    """The same with nothing in it, on a new table."""
    start_over(opened)
    return opened


def start_over(store: FeatureStore) -> None:
    shutil.rmtree(path(store), ignore_errors=True)
    empty(store)


def send_all(store: FeatureStore) -> int:
    """The number of rows sent."""
    (sent,) = send_changed(store)
    return sent.rows


def send_killed(store: FeatureStore, _: Any = None) -> None:
    """A send that ends after its first batch of one row, if it has any."""

    def kill(_: str, done: int, total: int) -> None:
        raise KilledError(f"{done} of {total}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(send, "BATCH", 1)
        with suppress(KilledError):
            send_changed(store, on_progress=kill)


def stock_materialize(store: FeatureStore, until: int) -> None:
    """Feast's own, of the rows up to an instant."""
    store.materialize(
        START - timedelta(days=1), START + timedelta(microseconds=until), disable_event_timestamp=False
    )


# What may happen to a table and its online rows, each with what it takes.
STEPS: dict[str, tuple[Callable[[FeatureStore, Any], Any], st.SearchStrategy[Any]]] = {
    "append": (write, batches),
    "send": (lambda store, _: send_all(store), st.none()),
    "killed send": (send_killed, st.none()),
    "stock materialize": (stock_materialize, st.integers(0, 4)),
    "compact": (lambda store, _: DeltaTable(path(store)).optimize.compact(), st.none()),
    "write an old row online": (
        lambda store, place: write_online(store, [stored(store)[place % len(stored(store))]]),
        st.integers(0, 100),
    ),
    "empty": (lambda store, _: empty(store), st.none()),
}
steps = st.lists(
    st.sampled_from(sorted(STEPS)).flatmap(lambda name: st.tuples(st.just(name), STEPS[name][1])), max_size=12
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=batches, then=steps)
def test_online_is_the_newest_row_after_any_history(
    opened: FeatureStore, first: list[Event], then: list[tuple[str, Any]]
) -> None:
    start_over(opened)
    write(opened, first)
    before: dict[int, Event] = {}
    for name, argument in then:
        STEPS[name][0](opened, argument)
        online = served(opened, KEYS)
        if name == "empty":
            before = {}
        for key, row in before.items():
            assert online[key][1:] >= row[1:], f"{name} brought an older row"
        before = online
        if name == "send":
            assert online == newest(stored(opened))
    send_all(opened)
    assert served(opened, KEYS) == newest(stored(opened))
    assert send_all(opened) == 0


def test_only_keys_whose_newest_row_is_new_are_sent(store: FeatureStore) -> None:
    write(store, [Event(1, 10, 0), Event(2, 10, 0), Event(3, 10, 0)])
    assert send_all(store) == 3
    assert send_all(store) == 0
    write(store, [Event(1, 5, 1), Event(2, 10, 1), Event(4, 1, 1)])
    assert send_all(store) == 2, "user 1's late row does not change what is newest"
    assert served(store, KEYS) == {
        e.key: e for e in (Event(1, 10, 0), Event(2, 10, 1), Event(3, 10, 0), Event(4, 1, 1))
    }
    write(store, [Event(1, 11, 0)])
    DeltaTable(path(store)).optimize.compact()
    assert send_all(store) == 1
    DeltaTable(path(store)).optimize.compact()
    assert send_all(store) == 0


def test_what_was_sent_is_told(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store, [Event(key, 10, 0) for key in (1, 2, 3)])
    monkeypatch.setattr(send, "BATCH", 2)
    told: list[tuple[str, int, int]] = []
    (first,) = send_changed(store, ["words"], lambda *done: told.append(done))
    assert told == [("words", 2, 3), ("words", 3, 3)]
    (again,) = send_changed(store)
    write(store, [Event(1, 11, 0)])
    (more,) = send_changed(store)
    assert all(0 <= sent.seconds < 60 for sent in (first, again, more))
    assert [replace(sent, seconds=0) for sent in (first, again, more)] == [
        Sent("words", since=None, version=0, rows=3, refused=0, missing=0, lost=0, seconds=0),
        Sent("words", since=0, version=0, rows=0, refused=0, missing=0, lost=0, seconds=0),
        Sent("words", since=0, version=1, rows=1, refused=0, missing=0, lost=0, seconds=0),
    ]


@pytest.mark.parametrize("column", ["user_id", "seen"])
def test_a_table_that_lacks_a_column_is_refused(store: FeatureStore, column: str) -> None:
    write(store, [Event(1, 10, 0)])
    lacking = DeltaTable(path(store)).to_pyarrow_table().drop_columns([column])
    write_deltalake(path(store), lacking, mode="overwrite", schema_mode="overwrite")
    with pytest.raises(MarqueeError, match=rf"table of view words in .* lacks {column}: compute it again"):
        send_all(store)
    assert served(store, KEYS) == {}


def test_replaced_table_replaces_what_is_online(store: FeatureStore) -> None:
    write(store, [Event(key, 10, 0) for key in KEYS])
    send_all(store)
    write(store, [Event(1, 4, 0), Event(2, 11, 0)], mode="overwrite")
    send_killed(store)
    assert send_all(store) == 2
    assert served(store, KEYS) == {1: Event(1, 4, 0), 2: Event(2, 11, 0)}
    assert send_all(store) == 0
    DeltaTable(path(store)).restore(0)
    assert send_all(store) == 5
    assert served(store, KEYS) == {key: Event(key, 10, 0) for key in KEYS}
    shutil.rmtree(path(store))
    write(store, [Event(3, 1, 0)])
    assert send_all(store) == 1
    assert served(store, KEYS) == {3: Event(3, 1, 0)}


def test_a_view_that_has_more_features_is_sent_whole(store: FeatureStore) -> None:
    fewer = view()
    fewer.features = [feature for feature in fewer.features if feature.name == "said"]
    store.apply([fewer])
    write(store, [Event(1, 10, 0), Event(2, 10, 0)])
    assert send_all(store) == 2
    store.apply([view()])
    (sent,) = send_changed(store)
    assert (sent.since, sent.rows) == (None, 2)
    assert served(store, KEYS) == newest(stored(store))


def test_deleted_rows_are_gone_online(store: FeatureStore) -> None:
    write(store, [Event(1, 10, 0), Event(1, 9, 0), Event(2, 10, 0)])
    send_all(store)
    DeltaTable(path(store)).delete("user_id = 2 OR seen[1] = 10")
    send_all(store)
    assert served(store, KEYS) == newest(stored(store))


def test_files_that_are_gone_make_a_full_send(store: FeatureStore) -> None:
    write(store, [Event(1, 10, 0)])
    send_all(store)
    write(store, [Event(1, 11, 0)])
    table = DeltaTable(path(store))
    table.optimize.compact()
    table.vacuum(0, dry_run=False, enforce_retention_duration=False)
    write(store, [Event(2, 1, 0)])
    (sent,) = send_changed(store)
    assert (sent.since, sent.rows) == (None, 2)
    assert served(store, KEYS) == {1: Event(1, 11, 0), 2: Event(2, 1, 0)}


def test_another_online_store_is_not_believed_to_be_full(store: FeatureStore, tmp_path: Path) -> None:
    write(store, [Event(1, 10, 0)])
    send_all(store)
    other = open_store(tmp_path, sqlite(tmp_path))
    shutil.copytree(path(store), path(other))
    assert send_all(other) == 1
    assert served(other, KEYS) == {1: Event(1, 10, 0)}


def test_without_a_record_the_online_rows_become_the_tables(store: FeatureStore) -> None:
    write_online(store, [Event(1, 10, 1), Event(2, 10, 1), Event(3, 10, 1), Event(5, 10, 1)])
    write(store, [Event(1, 9, 9), Event(2, 10, 0), Event(3, 10, 2)])
    (sent,) = send_changed(store)
    assert (sent.rows, sent.refused) == (3, 0)
    assert served(store, KEYS) == {1: Event(1, 9, 9), 2: Event(2, 10, 0), 3: Event(3, 10, 2)}


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows go one at a time."""
    monkeypatch.setattr(send, "BATCH", 1)


@pytest.mark.usefixtures("one_by_one")
def test_older_rows_are_refused_and_counted_where_somebody_wrote_newer_ones(store: FeatureStore) -> None:
    write(store, [Event(1, 8, 0), Event(2, 8, 0), Event(3, 8, 0)])
    send_all(store)
    write_online(store, [Event(1, 10, 1), Event(2, 10, 1)])
    write(store, [Event(1, 9, 9), Event(2, 10, 0), Event(3, 10, 2)])
    (sent,) = send_changed(store)
    assert (sent.since, sent.rows, sent.refused) == (0, 3, 2)
    assert served(store, KEYS) == {1: Event(1, 10, 1), 2: Event(2, 10, 1), 3: Event(3, 10, 2)}


@given(batch=st.permutations([Event(1, event, created) for event in range(3) for created in range(3)]))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_of_one_key_in_one_batch_leave_the_newest(opened: FeatureStore, batch: list[Event]) -> None:
    empty(opened)
    write_online(opened, batch)
    assert served(opened, KEYS) == {1: Event(1, 2, 2)}


def test_rows_that_others_write_are_counted_for_their_progress(store: FeatureStore) -> None:
    told: list[int] = []
    online, words = store._get_provider().online_store, store.get_feature_view("words")
    online.online_write_batch(store.config, words, rows([Event(1, 10, 0), Event(2, 10, 0)]), told.append)
    assert told == [2]
    assert served(store, KEYS) == {1: Event(1, 10, 0), 2: Event(2, 10, 0)}


def test_instants_are_whole_microseconds_whatever_kind_they_are_of() -> None:
    moment = datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)
    tokyo = moment.astimezone(timezone(timedelta(hours=9)))
    for kind in (moment, moment.replace(tzinfo=None), tokyo, pd.Timestamp(moment)):
        assert repr(microseconds(kind)) == "-1", kind
    assert instant(-1) == moment
    assert microseconds(None) == microseconds(pd.NaT) == -(2**63)
    assert microseconds(START + timedelta(microseconds=1)) == microseconds(START) + 1


@pytest.mark.usefixtures("one_by_one")
def test_a_store_that_takes_anything_is_sent_no_older_row(tmp_path: Path) -> None:
    plain = open_store(tmp_path, {"type": "sqlite", "path": str(tmp_path / "online.db")})
    second = 1_000_000
    write(plain, [Event(1, second, 0), Event(2, second, 0)])
    write_online(plain, [Event(1, 2 * second, 0)])
    assert send_all(plain) == 2
    assert served(plain, KEYS)[1] == Event(1, second, 0), "all that there is was sent"
    write_online(plain, [Event(key, 5 * second, 0) for key in (1, 2, 4)])
    write(plain, [Event(1, 4 * second, 9), Event(2, 5 * second, 1), Event(3, second, 0), Event(4, second, 0)])
    (sent,) = send_changed(plain)
    assert (sent.rows, sent.refused) == (4, 2)
    assert served(plain, KEYS) == {
        1: Event(1, 5 * second, 0),
        2: Event(2, 5 * second, 1),
        3: Event(3, second, 0),
        4: Event(4, 5 * second, 0),
    }
    assert send_all(plain) == 0


def test_what_feasts_own_store_wrote_counts_as_of_its_second(tmp_path: Path) -> None:
    plain = open_store(tmp_path, {"type": "sqlite", "path": str(tmp_path / "online.db")})
    write_online(plain, [Event(1, 5_000_000, 0), Event(2, 5_000_000, 0)])
    ours = open_store(tmp_path, sqlite(tmp_path))
    assert served(ours, KEYS) == served(plain, KEYS)
    write_online(ours, [Event(1, 4_999_999, 9), Event(2, 5_000_000, 1)])
    assert served(ours, KEYS) == {1: Event(1, 5_000_000, 0), 2: Event(2, 5_000_000, 1)}
