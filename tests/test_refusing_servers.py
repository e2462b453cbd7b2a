"""A server that is up but refuses is one sentence that names it and says what to do."""

import re
import shutil
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import sqlalchemy.exc
from feast import FeatureStore
from redis import Redis
from redis._parsers.base import BaseParser

from feature_repo.online.send import send_changed
from feature_repo.servers import eviction, redis_version, unanswered
from tests.online_stores import Event, newest, open_store, served, stored, write
from tests.servers import redis_in

KEYS = range(1, 301)


def assert_says(error: BaseException, says: str) -> None:
    """It is one sentence, of this form."""
    found = unanswered(error)
    assert found is not None, repr(error)
    sentence = str(found)
    assert "\n" not in sentence
    assert len(sentence) < 300, sentence
    assert re.fullmatch(says, sentence), sentence


# --- a Redis that refuses ---------------------------------------------------------------------------------


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[str]:
    """The address of a Redis of this test's own."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with redis_in(folder) as address:
        yield address


@pytest.fixture
def client(own_redis: str) -> Iterator[Redis]:
    host, port = own_redis.split(":")
    with Redis(host, int(port)) as client:
        yield client
        forgive(client)


def forgive(client: Redis) -> None:
    for name, value in (("maxmemory", 0), ("maxclients", 100), ("save", ""), ("requirepass", "")):
        client.config_set(name, value)
    client.replicaof("NO", "ONE")


def opened(folder: Path, address: str) -> FeatureStore:
    kind = "feature_repo.online.redis.NewestRedisOnlineStore"
    return open_store(folder, {"type": kind, "connection_string": address})


def fill(client: Redis) -> str:
    client.config_set("maxmemory", client.info("memory")["used_memory"] - 1_000)
    return ""


def forbid_to_write(client: Redis) -> str:
    client.acl_setuser("reader", enabled=True, nopass=True, keys=["*"], categories=["+@read", "+@connection"])
    return ",username=reader,password=any"


def make_a_replica(client: Redis) -> str:
    client.replicaof("127.0.0.1", "1")
    return ""


def fail_to_save(client: Redis) -> str:
    shutil.rmtree(client.config_get("dir")["dir"])
    client.config_set("save", "3600 1")
    client.bgsave()
    while client.info("persistence")["rdb_bgsave_in_progress"]:
        pass
    return ""


def admit_few(client: Redis) -> str:
    client.config_set("maxclients", 1)
    return ""


def change_the_password(client: Redis) -> str:
    client.config_set("requirepass", "secret")
    return ",password=another"


REFUSALS: dict[str, tuple[Callable[[Redis], str], str]] = {
    "full": (fill, r"Redis refuses \(.*'maxmemory'\): it is full: raise its maxmemory, .*\."),
    "no right to write": (
        forbid_to_write,
        r"Redis refuses \(.*no permissions.*\): its user needs .*\+@write .*\.",
    ),
    "a replica": (
        make_a_replica,
        r"Redis refuses \(.*read only replica\): .* its primary in MARQUEE_REDIS\.",
    ),
    "a failed snapshot": (fail_to_save, r"Redis refuses \(MISCONF .*\): it cannot save its data: .*\."),
    "too many clients": (admit_few, r"Redis refuses \(max number of clients reached\): it has too many .*\."),
    "another password": (
        change_the_password,
        r"Redis refuses \(.*\): set its user and password in MARQUEE_REDIS\.",
    ),
}


@pytest.mark.process
@pytest.mark.parametrize(("refuse", "says"), REFUSALS.values(), ids=REFUSALS)
def test_what_redis_refuses_is_one_sentence_and_the_next_send_completes(
    own_redis: str, client: Redis, tmp_path: Path, refuse: Callable[[Redis], str], says: str
) -> None:
    store = opened(tmp_path, own_redis)
    write(store, [Event(key, 10, 0) for key in KEYS])
    send_changed(store)
    write(store, [Event(key, 11, 0) for key in KEYS])
    options = refuse(client)
    with pytest.raises(Exception) as caught:
        send_changed(opened(tmp_path, own_redis + options))
    assert_says(caught.value, says)
    forgive(client)
    send_changed(store)
    assert served(store, KEYS) == newest(stored(store))


ANSWERS = {
    "LOADING Redis is loading the dataset in memory": "wait until it has done what it is busy with, .*",
    "BUSY Redis is busy running a script.": "wait until it has done what it is busy with, .*",
    "MASTERDOWN Link with MASTER is down": "wait until its primary and replicas see each other, .*",
    "CLUSTERDOWN The cluster is down": "wait until its primary and replicas see each other, .*",
    "NOREPLICAS Not enough good replicas to write.": "wait until its primary and replicas see .*",
    "MISCONF Errors writing to the AOF file: No space left on device": "it cannot save its data: .*",
    "NOAUTH Authentication required.": "set its user and password in MARQUEE_REDIS",
    "WRONGPASS invalid username-password pair": "set its user and password in MARQUEE_REDIS",
    "ERR max number of clients reached": "it has too many clients: .*",
    "OOM command not allowed when used memory > 'maxmemory'.": "it is full: .*",
    "ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed": "it is full: .*",
    "NOPERM this user has no permissions": r"its user needs .*",
    "READONLY You can't write against a read only replica.": "it is a replica: .*",
    "ERR unknown command 'EVAL'": "change that, or name another one in MARQUEE_REDIS",
}


@pytest.mark.parametrize(("answer", "remedy"), ANSWERS.items())
def test_whatever_redis_answers_is_one_sentence(answer: str, remedy: str) -> None:
    error = BaseParser.parse_error(answer)
    says = rf"Redis refuses \(.+\): {remedy}\."
    assert_says(error, says)
    error.args = (f"Command # 7 (EVAL\nlocal (1), 2) of pipeline caused error: {error}",)
    assert_says(error, says)
    assert "EVAL\n" not in str(unanswered(error))


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that says the same to everything; its address."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(65536):
                self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


OTHERS = {"another server": b"HTTP/1.1 400 Bad Request\r\n\r\n", "a server that says nothing": b""}


@pytest.mark.parametrize("answer", OTHERS.values(), ids=OTHERS)
def test_what_is_no_redis_is_one_sentence(answer: bytes) -> None:
    with answering(answer) as address, pytest.raises(Exception) as caught:
        redis_version({"online_store": {"connection_string": f"{address},socket_timeout=0.05"}})
    assert_says(caught.value, r"Redis (refuses|does not answer) \(.+\): .*MARQUEE_REDIS.*\.")


# --- a Redis that forgets ---------------------------------------------------------------------------------

POLICIES = {
    ("noeviction", 10**8): False,
    ("allkeys-lru", 10**8): True,
    ("allkeys-lfu", 10**8): True,
    ("allkeys-random", 10**8): True,
    ("allkeys-lru", 0): False,
    ("volatile-lru", 10**8): False,  # of keys that expire, which ours do not
}


@pytest.mark.process
def test_a_redis_that_may_evict_rows_is_known(own_redis: str, client: Redis) -> None:
    profile = {"online_store": {"connection_string": own_redis}}
    for (policy, memory), evicts in POLICIES.items():
        client.config_set("maxmemory-policy", policy)
        client.config_set("maxmemory", memory)
        found = eviction(profile)
        assert (found is not None) == evicts, policy
        assert found is None or f"100 MB ({policy}): give it memory" in found
    client.acl_setuser(
        "writer", enabled=True, nopass=True, keys=["*"], categories=["+@write", "+@connection"]
    )
    asked = {"online_store": {"connection_string": f"{own_redis},username=writer,password=any"}}
    assert eviction(asked) is None, "who may not ask is not stopped"


# --- a PostgreSQL that refuses ----------------------------------------------------------------------------

CODES = {
    "42501": "give the user of MARQUEE_POSTGRES that right; .*",
    "25006": "it takes no changes: name the primary in MARQUEE_POSTGRES",
    "53100": "make room on its disk",
    "53200": "give it more memory, .*",
    "53300": "it has too many connections: .*",
    "28P01": "set its user and password in MARQUEE_POSTGRES, .*",
    "28000": "set its user and password in MARQUEE_POSTGRES, .*",
    "3D000": "make the database, or name another one in MARQUEE_POSTGRES",
    "57014": "run the command again: .*",
    "55P03": "run the command again: .*",
    "40P01": "run the command again: .*",
    "57P01": "wait until it is up, .*",
    "57P02": "wait until it is up, .*",
    "57P03": "wait until it is up, .*",
    "08006": "start it, or set MARQUEE_POSTGRES; .*",
    "58030": "its log says why",
    "XX001": "its log says why",
}


@pytest.mark.parametrize(("code", "remedy"), CODES.items())
def test_whatever_postgresql_refuses_is_one_sentence(code: str, remedy: str) -> None:
    told = psycopg.errors.lookup(code)("no, for a reason\nLINE 1: SELECT")
    error = sqlalchemy.exc.DBAPIError.instance("SELECT 1", {}, told, psycopg.Error)
    error.__cause__ = told
    assert_says(error, rf"PostgreSQL (refuses|does not answer) \(no, for a reason\): {remedy}\.")


ADMISSION = {
    'FATAL:  password authentication failed for user "marquee"': "set its user and password in .*",
    'FATAL:  role "marquee" does not exist': "set its user and password in .*",
    'FATAL:  no pg_hba.conf entry for host "10.0.0.1"': "set its user and password in .*",
    'FATAL:  database "marquee" does not exist': "make the database, .*",
    "FATAL:  sorry, too many clients already": "it has too many connections: .*",
    "FATAL:  the database system is starting up": "wait until it is up, .*",
    "FATAL:  the database system is shutting down": "wait until it is up, .*",
    "FATAL:  the database system is in recovery mode": "wait until it is up, .*",
    "Connection refused": "start it, or set MARQUEE_POSTGRES; .*",
    "timeout expired": "start it, or set MARQUEE_POSTGRES; .*",
}


@pytest.mark.parametrize(("says", "remedy"), ADMISSION.items())
def test_whoever_postgresql_does_not_admit_is_told_why(says: str, remedy: str) -> None:
    told = f'connection failed: connection to server at "127.0.0.1", port 5432 failed: {says}'
    answer = r"PostgreSQL (refuses|does not answer) \(connection failed: .*\): "
    assert_says(psycopg.OperationalError(told), answer + rf"{remedy}\.")
    assert_says(psycopg.errors.ConnectionTimeout("connection timeout expired"), answer[:39] + ".*")


MISTAKES = [
    psycopg.errors.lookup("42P01")('relation "views" does not exist'),
    psycopg.errors.lookup("42601")("syntax error"),
    psycopg.errors.lookup("23505")("duplicate key"),
    sqlalchemy.exc.InvalidRequestError("no password"),
]


@pytest.mark.parametrize("error", MISTAKES, ids=repr)
def test_our_own_mistakes_are_not_taken_for_the_servers(error: Exception) -> None:
    assert unanswered(error) is None
