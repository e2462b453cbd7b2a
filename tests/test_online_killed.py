"""A send that was killed is gone on with, and online is then as the table says."""

import shutil
from typing import Any

import pytest
from feast import FeatureStore

from feature_repo.online import send
from feature_repo.online.send import send_changed
from tests.online_stores import Event, entity_key, newest, path, served, stored, write, write_online
from tests.test_online_whole import KEYS, in_file, in_redis, mended, send_once, store

__all__ = ["in_file", "in_redis", "store"]


class KilledError(Exception):
    """What stands for a kill."""


def kill(*_: object, **__: object) -> None:
    raise KilledError


def test_a_send_that_was_killed_is_gone_on_with(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store, [Event(key, 12, 0) for key in KEYS[:30]])
    monkeypatch.setattr(send, "BATCH", 10)
    with pytest.raises(KilledError):
        send_changed(store, on_progress=kill)
    sent = mended(store)
    assert (sent.since, sent.rows) == (1, 30)


@pytest.mark.parametrize("before", ["keep_only", "expect", "write_record", "the end"])
@pytest.mark.parametrize("found_by", ["another table", "rows that are missing"])
def test_a_table_that_was_replaced_is_online_alone_wherever_its_send_was_killed(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, before: str, found_by: str
) -> None:
    """Keys that it lacks go, although the first try came as far as to write all of its rows."""
    if found_by == "another table":
        shutil.rmtree(path(store))
    else:
        write_online(store, [Event(7777, 1, 0)])
        online, words = store._get_provider().online_store, store.get_feature_view("words")
        everything = [send.record_key(words), *(entity_key(key) for key in [*KEYS[:50], 7777])]
        online.keep_only(store.config, words, {send.serialised_key(store.config, key) for key in everything})
    write(store, [Event(key, 5, 0) for key in KEYS[:50]])
    owner: Any = send if before == "write_record" else type(store._get_provider().online_store)
    with monkeypatch.context() as patch:
        if before != "the end":
            patch.setattr(owner, before, kill)
            with pytest.raises(KilledError):
                send_changed(store)
        else:
            send_changed(store)
    send_once(store)
    assert served(store, [*KEYS, 7777]) == newest(stored(store))
    assert send_once(store).rows == 0
