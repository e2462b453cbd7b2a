"""Homes that share one Redis and one PostgreSQL; and what is told where these refuse, or forget."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from sqlalchemy import text

from app.audit import audit_consistency, audit_leakage
from app.doctor import servers as look_at_servers
from app.features import materialize_stage
from app.lookup import lookup_many
from common.errors import MarqueeError
from common.progress import Silence, Stages
from common.settings import Settings
from feature_repo import lock, store
from feature_repo.domains.movies import DOMAIN
from feature_repo.identity import FILE, space_of
from feature_repo.lock import registry_lock
from feature_repo.profile import profile_settings
from feature_repo.registry import server_engine
from tests.lake import build_lake, newest_by_key
from tests.marquee import feast, in_process, refused
from tests.promises.faults import Clock
from tests.promises.home import FIRST, Home
from tests.promises.model import Rating
from tests.servers import Servers, servers_at_scale
from validation.audit.oracle import same
from validation.audit.verdict import require_passed

pytestmark = pytest.mark.scale

MOVIES = range(1, 61)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with servers_at_scale("stores") as found, found.used():
        yield found


@pytest.fixture(scope="module")
def homes(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:  # noqa: ARG001
    """Two homes with different tables, both applied and materialised, one after the other."""
    found = (tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second"))
    for seed, home in enumerate(found):
        build_lake(home, seed=seed)
        store.apply(Settings(home=home), DOMAIN)
        store.materialize(Settings(home=home))
    return found


@pytest.fixture
def home(homes: tuple[Path, Path]) -> Path:
    """The first of them."""
    return homes[0]


def served(home: Path) -> dict[int, object]:
    """A feature of each movie, as a home serves it."""
    pairs = pa.table({"user_id": [1] * len(MOVIES), "movie_id": list(MOVIES)})
    found = lookup_many(store.open_store(Settings(home=home)), None, pairs)
    return dict(zip(MOVIES, found.column("movie_rating_count").to_pylist(), strict=True))


def newest(home: Path) -> dict[int, object]:
    """The same, as the home's table has it."""
    rows = newest_by_key(DeltaTable(home / "lake" / "movie_rating_stats").to_pyarrow_table(), "movie_id")
    return {movie: rows[movie]["movie_rating_count"] for movie in MOVIES}


def sent(home: Path) -> int:
    """The number of rows that a materialise brought online."""
    return sum(part.rows for part in store.materialize(Settings(home=home)))


def registry(home: Path) -> dict[str, object]:
    return dict(profile_settings(Settings(home=home))["registry"])


# --- homes that share the servers -------------------------------------------------------------------------


def test_two_homes_work_side_by_side(homes: tuple[Path, Path]) -> None:
    first, second = homes
    assert newest(first) != newest(second)
    for home in (*homes, first):
        assert sent(home) == 0, "what the other sent is no loss, and no news"
        assert served(home) == newest(home)
        assert store.plan(Settings(home=home), DOMAIN) == []


def test_machines_with_clocks_apart_push_to_one_home(
    servers: Servers,  # noqa: ARG001
    spark: SparkSession,  # noqa: ARG001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """New, late and repeated ratings. What is there is what a rebuild gives, and both audits pass."""
    clock = Clock(monkeypatch)
    home = Home(tmp_path / "home", tmp_path / "sources")
    drawn = np.random.default_rng(3)
    lines = [
        Rating(int(user), int(movie), stars / 2, int(second))
        for user, movie, stars, second in drawn.integers((1, 1, 1, 0), (6, 6, 11, 600), (120, 4))
    ]
    home.ingest(DOMAIN, lines[:60], FIRST, adding=False)
    home.run(DOMAIN)
    home.publish(DOMAIN)
    for turn, start in enumerate(range(55, 115, 10)):
        clock.ahead = timedelta(hours=(0, -3, 0, 3, -3, 3)[turn])
        taken = home.push(DOMAIN, home.file(lines[start : start + 15], "new.csv"))
        assert taken.accepted > 0 and taken.known > 0
    found = {view.name: home.rows(view) for view in DOMAIN.views}
    pairs = pa.table({"user_id": [*range(1, 6)], "movie_id": [*range(1, 6)]})
    served = lookup_many(store.open_store(home.settings), None, pairs).to_pylist()
    home.run(DOMAIN, full=True)
    for view in DOMAIN.views:
        assert found[view.name] == home.rows(view), view.name
        newest = {row[view.by.name]: row for row in found[view.name]}
        for row in served:
            for column in view.columns:
                expected = newest.get(row[view.by.name], {}).get(column.name)
                assert same(row[column.name], expected), column.name
    for report, page in (
        audit_leakage(home.settings, DOMAIN, sample=100, seed=0, costs=False, stages=Stages()),
        audit_consistency(home.settings, DOMAIN, 40, 2, pairs=10, late=0.3, seed=0, stages=Stages()),
    ):
        require_passed(report, page)


def test_homes_do_not_wait_for_each_other(homes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_SERVER_TIMEOUT", "1")
    one, other = (registry(home) for home in homes)
    with registry_lock(one), registry_lock(other):
        pass
    waits = pytest.raises(MarqueeError, match="has held the registry for 1 s: wait until it ends")
    with registry_lock(one), waits, registry_lock(one):
        pass


def test_a_lock_goes_back_soon_when_its_holder_is_gone_without_a_word(home: Path) -> None:
    """A server by itself looks after two hours whether a silent client is there."""
    with server_engine(registry(home)).connect() as connection:
        lock.hold(connection, 1, 1)
        found = [
            connection.execute(text(f"SHOW tcp_keepalives_{name}")).scalar_one()
            for name in ("idle", "interval", "count")
        ]
    assert found == ["10", "10", "3"]


def test_a_home_that_was_never_applied_finds_nothing(home: Path, tmp_path: Path) -> None:
    assert store.plan(Settings(home=tmp_path), DOMAIN) != []
    for command in ("lookup --user 1", "materialize", "push --user 1 --movie 1 --rating 4"):
        sentence = refused(tmp_path, "features", *command.split())
        assert f"There is no feature store for {tmp_path}: run marquee run" in sentence
    done = feast(tmp_path, "feature-views", "list", profile="scale")
    assert (done.exit_code, done.output.count("\n")) == (2, 4)
    assert f"Nothing on the servers belongs to {tmp_path}: run marquee features apply" in done.output
    assert list(tmp_path.iterdir()) == []
    assert served(home) == newest(home)


def test_what_an_older_version_left_on_the_servers_is_no_homes(home: Path, tmp_path: Path) -> None:
    """Before homes had an identity, all was in the schema that a connection has by itself."""
    engine = server_engine(registry(home))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE feature_views (feature_view_name text)"))
    sentence = refused(tmp_path, "features", "lookup", "--user", 1)
    assert "was put there by an older version, and is not used any more" in sentence
    assert sentence.endswith("run marquee features apply, then marquee features materialize.")
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE feature_views"))


def test_feasts_own_command_applies_a_home_for_the_first_time(
    homes: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(homes[1] / "lake", tmp_path / "lake")
    done = feast(tmp_path, "apply", profile="scale")
    assert done.exit_code == 0, done.output
    assert sent(tmp_path) > 0
    assert served(tmp_path) == newest(homes[1])
    assert served(homes[0]) == newest(homes[0])


def test_a_copy_asks_and_is_then_a_home_of_its_own(home: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(home, tmp_path / "copy")
    asks = f"{copy} is a copy of {home}, or was moved from there"
    for command in ("plan", "apply", "materialize", "lookup --user 1", "push --user 1 --movie 1 --rating 4"):
        assert asks in refused(copy, "features", *command.split()), command
    for command in ("apply", "materialize-incremental 2031-01-01T00:00:00", "feature-views list"):
        done = feast(copy, *command.split(), profile="scale")
        assert done.exit_code == 2, command
        assert asks in done.output
    assert in_process(copy, "home", "new").code == 0
    assert "run marquee run, or marquee features apply" in refused(copy, "features", "lookup", "--user", 1)
    store.apply(Settings(home=copy), DOMAIN)
    with pytest.raises(MarqueeError, match="Nothing is online yet"):
        served(copy)
    assert sent(copy) > 0
    assert served(copy) == served(home) == newest(home)
    done = feast(copy, "teardown", profile="scale")
    assert done.exit_code == 0, done.output
    assert "no views yet" in refused(copy, "features", "lookup", "--user", 1)
    assert served(home) == newest(home)


def test_a_moved_home_goes_on_with_what_it_had(homes: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(homes[1] / "lake", tmp_path / "before" / "lake")
    store.apply(Settings(home=tmp_path / "before"), DOMAIN)
    assert sent(tmp_path / "before") > 0
    moved = (tmp_path / "before").rename(tmp_path / "after")
    assert "marquee home moved" in refused(moved, "features", "materialize")
    assert in_process(moved, "home", "moved").code == 0
    assert served(moved) == newest(moved)
    assert sent(moved) == 0


def test_a_home_whose_schema_is_gone_is_applied_again(homes: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(homes[1] / "lake", tmp_path / "lake")
    store.apply(Settings(home=tmp_path), DOMAIN)
    with server_engine(registry(tmp_path)).begin() as connection:
        connection.execute(text(f"DROP SCHEMA {space_of(tmp_path)} CASCADE"))
    for command in ("features lookup --user 1", "features materialize"):
        assert "There is no feature store" in refused(tmp_path, *command.split())
    assert feast(tmp_path, "feature-views", "list", profile="scale").exit_code == 0
    store.apply(Settings(home=tmp_path), DOMAIN)
    assert sent(tmp_path) > 0
    assert served(tmp_path) == newest(tmp_path)


# --- servers that forget, or refuse -----------------------------------------------------------------------


def test_rows_that_are_gone_from_redis_are_back_after_the_next_materialise(
    servers: Servers, homes: tuple[Path, Path]
) -> None:
    with servers.redis as client:
        names = sorted(client.scan_iter("marquee_*"))
        client.delete(*np.random.default_rng(0).choice(names, len(names) * 4 // 5, replace=False))
    for home in homes:
        assert sent(home) > 0
        assert served(home) == newest(home)
        assert sent(home) == 0


@dataclass
class Notes(Silence):
    """Listens to notes only."""

    taken: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.taken.append(text)


def test_a_redis_that_may_evict_is_told_by_materialise_and_doctor(servers: Servers, home: Path) -> None:
    notes, settings = Notes(), Settings(home=home)
    with servers.redis as client:
        client.config_set("maxmemory", 10**9)
        for policy in ("allkeys-lru", "noeviction"):
            client.config_set("maxmemory-policy", policy)
            materialize_stage(settings, Stages(notes))
            well = {finding.subject: finding.well for finding in look_at_servers(settings)}
            assert well.pop("online memory") == (policy == "noeviction")
            assert well == {
                "home on servers": True,
                "Spark master": False,
                "registry": True,
                "online store": True,
            }
        client.config_set("maxmemory", 0)
    assert [("(allkeys-lru): give it memory" in note) for note in notes.taken] == [True]


REFUSALS = {
    "password": ("marquee:another@", "", "set its user and password in MARQUEE_POSTGRES"),
    "database": ("", "/another", "make the database, or name another one in MARQUEE_POSTGRES"),
    "rights": ("guest:guest@", "", "give the user of MARQUEE_POSTGRES that right"),
    "read only": ("", "?options=-c%20default_transaction_read_only%3Don", "it takes no changes"),
}


@pytest.mark.parametrize(("user", "place", "says"), REFUSALS.values(), ids=REFUSALS)
def test_what_postgresql_refuses_is_one_sentence(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str, place: str, says: str
) -> None:
    if user.startswith("guest"):
        with server_engine(registry(home)).begin() as connection:
            connection.execute(text("CREATE ROLE guest LOGIN PASSWORD 'guest'"))
    url = os.environ["MARQUEE_POSTGRES"]
    known, secret = url.partition("//")[2].partition("@")[0], url.partition("@")[0].rpartition(":")[2]
    url = url.replace(f"{known}@", user) if user else url
    url = url.removesuffix("/marquee") + place if place.startswith("/") else url + place
    monkeypatch.setenv("MARQUEE_POSTGRES", url)
    sentence = refused(tmp_path, "features", "apply")
    assert sentence.startswith("Error: PostgreSQL refuses (")
    assert says in sentence
    assert secret not in sentence
    monkeypatch.undo()
    store.apply(Settings(home=tmp_path), DOMAIN)
    assert (tmp_path / FILE).is_file()
