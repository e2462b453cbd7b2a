"""A home is one home to servers: a copy is refused until a person says if it is the same or a new one."""

import json
import platform
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import pytest
from feast import FeatureStore

from app.doctor import whose
from app.lookup import lookup
from common.errors import MarqueeError
from common.settings import Settings
from feature_repo import store
from feature_repo.home import space_for
from feature_repo.identity import FILE, give_identity, identity_of, say_moved, say_new, space_of
from feature_repo.online.send import send_changed
from tests.lake import build_tables
from tests.marquee import in_process, refused
from tests.online_stores import Event, open_store, served, write, write_online
from tests.toy_domain import PRESS

KEYS = range(1, 6)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that servers know."""
    folder = tmp_path / "a home"
    folder.mkdir()
    give_identity(folder)
    return folder


@pytest.fixture
def copied(home: Path) -> Path:
    return shutil.copytree(home, home.with_name("copy"))


# --- what a home says of itself ---------------------------------------------------------------------------


def test_a_home_keeps_the_identity_that_it_was_given(home: Path) -> None:
    first = space_of(home)
    give_identity(home)
    assert space_of(home) == first
    assert [found.name for found in home.iterdir() if found.name.startswith(f".{FILE}")] == []


def test_of_several_first_applies_at_once_one_gives_the_identity(tmp_path: Path) -> None:
    def give(_: int) -> str:
        give_identity(tmp_path)
        return space_of(tmp_path)

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(give, range(16)))) == 1


def test_two_homes_are_two(tmp_path: Path, home: Path) -> None:
    give_identity(tmp_path)
    assert space_of(tmp_path) != space_of(home)


def test_a_home_reached_by_a_link_is_itself(home: Path) -> None:
    link = home.with_name("link")
    link.symlink_to(home)
    assert space_of(link) == space_of(home)


def test_a_home_that_was_never_applied_is_told_to_be(tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match="run marquee features apply, then marquee features materialize"):
        space_of(tmp_path)
    for answer in (say_moved, say_new):
        with pytest.raises(
            MarqueeError, match=r"of the profile scale.*an embedded home may be copied or moved"
        ):
            answer(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["copied", "moved"])
def test_a_home_elsewhere_is_refused_with_both_places_and_both_answers(home: Path, how: str) -> None:
    other = home.with_name("other home")
    if how == "copied":
        shutil.copytree(home, other)
        assert space_of(home)
    else:
        home.rename(other)
    with pytest.raises(MarqueeError) as caught:
        space_of(other)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert f"{other} is a copy of {home}, or was moved" in sentence
    for command in ("moved", "new"):
        assert f"`marquee home {command} --home '{other}'`" in sentence


def test_the_same_path_on_another_machine_is_another_place(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "node", lambda: "elsewhere")
    assert space_of(home), "two machines that share a file system see one home"
    copy = home / "copy.json"
    shutil.copy(home / FILE, copy)
    copy.replace(home / FILE)
    here = identity_of(home)
    assert here is not None
    with pytest.raises(MarqueeError, match=f"copy of {home} on {here.machine}, or was moved"):
        space_of(home)


def test_a_moved_home_goes_on_as_the_same(home: Path) -> None:
    space = space_of(home)
    other = home.rename(home.with_name("other"))
    assert say_moved(other) == str(home)
    assert space_of(other) == space
    with pytest.raises(MarqueeError, match="neither a copy nor moved"):
        say_moved(other)


def test_a_copy_cannot_take_the_place_of_a_home_that_is_still_there(home: Path, copied: Path) -> None:
    with pytest.raises(MarqueeError, match=f"{home} is still there"):
        say_moved(copied)
    space = space_of(home)
    shutil.rmtree(home)
    say_moved(copied)
    assert space_of(copied) == space


def test_a_copy_that_is_new_has_nothing_of_the_first(home: Path, copied: Path) -> None:
    assert say_new(copied) == str(home)
    assert space_of(copied) != space_of(home)
    with pytest.raises(MarqueeError, match="neither a copy nor moved"):
        say_new(copied)


DAMAGED = {
    "empty": "",
    "not JSON": "{",
    "another file": "[]",
    "no id": json.dumps({"folder": "/a", "machine": "b", "inode": 1}),
    "an id that is none": json.dumps({"id": 'x"; DROP', "folder": "/a", "machine": "b", "inode": 1}),
    "more than it has": json.dumps(
        {"id": "0" * 16, "folder": "/a", "machine": "b", "inode": 1, "project": "c"}
    ),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_identity_is_named(home: Path, content: str) -> None:
    (home / FILE).write_text(content)
    for ask in (space_of, give_identity, say_moved, say_new):
        with pytest.raises(MarqueeError, match=f"{home / FILE} cannot be read .*: restore it, or remove it"):
            ask(home)


def test_a_home_that_cannot_be_written_is_not_given_an_identity(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MarqueeError, match="Cannot write"):
        give_identity(tmp_path / "file" / "home")


# --- commands ---------------------------------------------------------------------------------------------


def answered(home: Path, word: str, capsys: pytest.CaptureFixture[str]) -> str:
    done = in_process(home, "home", word)
    assert (done.code, done.lines) == (0, [])
    return " ".join(capsys.readouterr().out.split())


def test_a_person_says_by_command_that_a_home_was_moved(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = home.rename(home.with_name("other"))
    assert f"{other} is the home that {home} was" in answered(other, "moved", capsys)
    assert "neither a copy nor moved" in refused(other, "home", "moved")


def test_a_person_says_by_command_that_a_copy_is_a_new_home(
    home: Path, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"still there, and is the home that the servers know: remove it if {copied}" in refused(
        copied, "home", "moved"
    )
    said = answered(copied, "new", capsys)
    assert f"stays that of {home}: run marquee features apply, then marquee features materialize" in said


def test_commands_make_no_home(tmp_path: Path) -> None:
    for word in ("moved", "new"):
        assert "Nothing on the servers belongs to" in refused(tmp_path / "none", "home", word)
    assert list(tmp_path.iterdir()) == []


def test_doctor_knows_a_copy(home: Path, copied: Path, tmp_path: Path) -> None:
    found = [whose(Settings(home=each)) for each in (home, copied, tmp_path)]
    assert [finding.well for finding in found] == [True, False, True]
    assert str(home) in found[1].remedy


def test_feasts_own_command_says_it_in_one_line(
    home: Path, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARQUEE_HOME", str(home))
    assert space_for("{home}") == space_of(home)
    monkeypatch.setenv("MARQUEE_HOME", str(copied))
    with pytest.raises(click.UsageError, match=f"{copied} is a copy of {home}"):
        space_for("{home}")


def test_the_embedded_profile_asks_nothing_of_a_copy(tmp_path: Path) -> None:
    first, second = Settings(home=tmp_path / "first"), Settings(home=tmp_path / "second")
    build_tables(first.home, PRESS, {"reader_id": 3, "article_id": 3})
    store.apply(first, PRESS)
    store.materialize(first)
    shutil.copytree(first.home, second.home)
    shutil.rmtree(first.home)
    assert identity_of(second.home) is None
    assert lookup(store.open_store(second), None, {"reader_id": 1}).unknown == ()


# --- in Redis ---------------------------------------------------------------------------------------------


def in_redis(home: Path, address: str) -> FeatureStore:
    """A store in a home's part of a Redis; its project is called like all others'."""
    kind = "feature_repo.online.redis.NewestRedisOnlineStore"
    return open_store(home, {"type": kind, "connection_string": address, "home": str(home)})


def test_two_homes_on_one_redis_do_not_meet(redis: str, home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    give_identity(other)
    first, second = in_redis(home, redis), in_redis(other, redis)
    write(first, [Event(key, 10, 0) for key in KEYS])
    write(second, [Event(key, 5, 0) for key in KEYS[:2]])
    send_changed(first)
    assert served(second, KEYS) == {}
    send_changed(second)
    write_online(second, [Event(4, 7, 0)])
    assert served(first, KEYS) == {key: Event(key, 10, 0) for key in KEYS}
    write(second, [Event(1, 4, 0)], mode="overwrite")
    send_changed(second)
    assert served(second, KEYS) == {1: Event(1, 4, 0)}
    second.teardown()  # type: ignore[no-untyped-call]
    assert served(in_redis(other, redis), KEYS) == {}
    assert served(first, KEYS) == {key: Event(key, 10, 0) for key in KEYS}


def test_a_copy_reads_and_writes_nothing_of_the_first(redis: str, home: Path) -> None:
    first = in_redis(home, redis)
    write(first, [Event(key, 10, 0) for key in KEYS])
    send_changed(first)
    copy = shutil.copytree(home, home.with_name("copy"))
    second = in_redis(copy, redis)
    write(second, [Event(1, 11, 0)])
    for use in (
        lambda: served(second, KEYS),
        lambda: send_changed(second),
        lambda: write_online(second, [Event(1, 12, 0)]),
    ):
        with pytest.raises(MarqueeError, match=f"{copy} is a copy of {home}"):
            use()
    say_new(copy)
    third = in_redis(copy, redis)
    assert served(third, KEYS) == {}
    (sent,) = send_changed(third)
    assert (sent.since, sent.rows) == (None, len(KEYS))
    assert served(first, KEYS) == {key: Event(key, 10, 0) for key in KEYS}
    assert served(third, KEYS)[1] == Event(1, 11, 0)


def test_a_home_without_an_identity_finds_nothing_in_redis(redis: str, tmp_path: Path) -> None:
    opened = in_redis(tmp_path, redis)
    with pytest.raises(MarqueeError, match="Nothing on the servers belongs to"):
        served(opened, KEYS)
