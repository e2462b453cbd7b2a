"""Whatever goes wrong ends as one sentence and an exit code, by its kind, wherever it arises."""

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from feast.errors import FeatureViewNotFoundException
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark.errors import AnalysisException, PySparkRuntimeError
from sqlalchemy import create_engine, text

from app import describe
from app.faults import REMEDIES, in_a_sentence
from common.errors import MarqueeError, causes, in_words, mendable, shortened
from common.logs import FILE, MOST, write_traceback
from feature_repo.addresses import check_postgres, check_redis
from lake.duckdb import connection
from tests.marquee import in_process, refused


def raised(do: Callable[[], object]) -> BaseException:
    """What a call raises."""
    try:
        do()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def wrapped(error: BaseException) -> BaseException:
    """The error as a library would hand it on."""

    def again() -> None:
        try:
            raise error
        except BaseException as inner:
            raise RuntimeError("job failed") from inner

    return raised(again)


def malformed(tmp_path: Path) -> Path:
    file = tmp_path / "file.db"
    file.write_bytes(b"x" * 5000)
    return file


def query(file: Path) -> Callable[[], object]:
    return lambda: sqlite3.connect(file).execute("SELECT * FROM sqlite_master")


def locked(tmp_path: Path) -> Callable[[], object]:
    file = tmp_path / "locked.db"
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("CREATE TABLE t (a)")
    holder.execute("BEGIN EXCLUSIVE")
    other = sqlite3.connect(file, timeout=0)
    return lambda: (holder, other.execute("SELECT * FROM t"))


def by_sqlalchemy(file: Path) -> Callable[[], object]:
    return lambda: create_engine(f"sqlite:///{file}").connect().execute(text("SELECT * FROM feature_views"))


def out_of_memory() -> None:
    with duckdb.connect(config={"memory_limit": "1MB"}) as con:
        con.execute("SET max_temp_directory_size = '0MB'")
        con.execute("CREATE TABLE t AS SELECT range, random() FROM range(10_000_000)").fetchall()


OF_THE_MACHINE: dict[str, tuple[Callable[[Path], Callable[[], object]], str]] = {
    "no space": (
        lambda p: lambda: _raise(OSError(errno.ENOSPC, "No space left", str(p / "f"))),
        "free some space",
    ),
    "a file for a folder": (lambda p: lambda: list(malformed(p).iterdir()), "name a folder"),
    "a folder for a file": (lambda p: p.read_text, "name a file"),
    "a long name": (lambda p: (p / ("x" * 400)).read_text, "choose a shorter name"),
    "no space, as Arrow says it": (
        lambda _: lambda: _raise(OSError("[Errno 28] Error writing bytes: No space left on device")),
        "free some space",
    ),
    "a full disk, as SQLite says it": (
        lambda _: lambda: _raise(sqlite3.OperationalError("database or disk is full")),
        "free some space",
    ),
    "memory": (lambda _: lambda: np.zeros(2**50), "memory"),
    "Arrow's memory": (lambda _: lambda: pa.allocate_buffer(2**60), "memory"),
    "DuckDB's memory": (lambda _: out_of_memory, "MARQUEE_DUCKDB_MEMORY"),
    "Java's memory": (
        lambda _: (
            lambda: _raise(Py4JError("An error occurred\n: java.lang.OutOfMemoryError: Java heap space"))
        ),
        "MARQUEE_SPARK_MEMORY",
    ),
    "online rows that are no database": (lambda p: query(malformed(p)), "online.db cannot be read"),
    "a registry that is no database": (lambda p: by_sqlalchemy(malformed(p)), "registry.db cannot be read"),
    "a registry without tables": (lambda p: by_sqlalchemy(p / "new.db"), "`marquee features apply`"),
    "rows that are held": (locked, "Another process holds"),
    "rows of another kind": (lambda _: lambda: _raise(DecodeError("no")), "`marquee features materialize`"),
    "Java that ended": (
        lambda _: lambda: _raise(Py4JNetworkError("Answer from Java side is empty")),
        "spark.log",
    ),
    "Java that does not start": (
        lambda _: lambda: _raise(PySparkRuntimeError(errorClass="JAVA_GATEWAY_EXITED", messageParameters={})),
        "spark.log",
    ),
    "what is not applied": (
        lambda _: lambda: _raise(FeatureViewNotFoundException("v", "marquee")),
        "`marquee features apply`",
    ),
    "DuckDB's files": (lambda _: lambda: _raise(duckdb.IOException("cannot open")), "DuckDB cannot go on"),
}


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("case", OF_THE_MACHINE)
def test_what_a_person_can_mend_is_one_sentence_however_it_is_wrapped(case: str, tmp_path: Path) -> None:
    make, says = OF_THE_MACHINE[case]
    error = raised(make(tmp_path))
    for found in (error, wrapped(error), wrapped(wrapped(error))):
        sentence = in_a_sentence(found, tmp_path / "home")
        assert sentence is not None
        assert says in sentence
        assert "\n" not in sentence
        assert len(sentence) < 1000


OURS: dict[str, Callable[[], object]] = {
    "a key": lambda: {}["key"],
    "a value": lambda: int("x"),
    "a query that we wrote wrongly": lambda: duckdb.sql("SELECT FROM nothing"),
    "a table that DuckDB was not given": lambda: duckdb.sql("SELECT * FROM nothing"),
    "a cast": lambda: pa.array([1.5]).cast(pa.int64()),
    "SQLite misused": lambda: sqlite3.connect(":memory:").execute("SELECT ?"),
    "Spark misused": lambda: _raise(AnalysisException("no column")),
    "an assertion": lambda: _raise(AssertionError("no")),
}


@pytest.mark.parametrize("case", OURS)
def test_a_mistake_of_ours_is_not_taken_for_one_of_the_machine(case: str, tmp_path: Path) -> None:
    error = raised(OURS[case])
    for found in (error, wrapped(error)):
        assert in_a_sentence(found, tmp_path) is None, found


# --- what the command says --------------------------------------------------------------------------------


def describing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let `data describe` fail so."""
    monkeypatch.setattr(describe, "describe_lake", lambda *_: _raise(error))


def test_a_mistake_of_ours_has_exit_code_1_and_a_log_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    describing(monkeypatch, wrapped(KeyError("a\nb")))
    done = in_process(tmp_path, "data", "describe")
    log = tmp_path / "logs" / FILE
    assert done.code == 1
    (line,) = done.lines
    assert "Marquee's own (KeyError: 'a\\nb')" in line
    assert line.endswith(str(log))
    assert "Traceback" in log.read_text()
    assert "marquee data describe" in log.read_text()
    in_process(tmp_path, "data", "describe")
    assert log.read_text().count("marquee data describe") == 2


def test_where_there_is_no_home_none_is_made_for_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    describing(monkeypatch, KeyError("x"))
    done = in_process(tmp_path / "home", "data", "describe")
    assert done.code == 1
    (log,) = tmp_path.iterdir()
    assert done.lines[0].endswith(str(log))
    assert "KeyError" in log.read_text()


def test_a_log_does_not_grow_for_ever(tmp_path: Path) -> None:
    for _ in range(3):
        log = write_traceback(KeyError("x" * (MOST + 1)), tmp_path)
        assert log == tmp_path / "logs" / FILE
    assert {file.name for file in log.parent.iterdir()} == {FILE, f"{FILE}.1"}


def test_where_no_log_can_be_written_the_sentence_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    (tmp_path / "logs").write_text("a file")
    describing(monkeypatch, OSError(errno.EROFS, os.strerror(errno.EROFS), "/x"))
    done = in_process(tmp_path, "data", "describe")
    assert done.code == 2
    assert REMEDIES[errno.EROFS] in done.lines[0]
    assert "Traceback" not in done.lines[0]


def test_a_known_mistake_that_a_library_wrapped_is_said_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    describing(monkeypatch, wrapped(MarqueeError("The sentence.")))
    assert refused(tmp_path, "data", "describe") == "Error: The sentence."
    assert not (tmp_path / "logs").exists()


class PanicException(BaseException):
    """As a library in Rust raises it."""


PanicException.__module__ = "pyo3_runtime"


def test_a_library_that_breaks_down_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    describing(monkeypatch, PanicException("called `Option::unwrap()` on a `None` value"))
    done = in_process(tmp_path, "data", "describe")
    assert done.code == 1
    assert len(done.lines) == 1


def test_no_password_is_in_a_sentence_or_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_POSTGRES", "postgresql://u:s%20cret77@h/d")
    monkeypatch.setenv("MARQUEE_REDIS", "h:1,password=hush88")
    describing(monkeypatch, KeyError("u:s%20cret77@h and s cret77 and hush88"))
    (line,) = in_process(tmp_path, "data", "describe").lines
    for said in (line, (tmp_path / "logs" / FILE).read_text()):
        for secret in ("cret77", "hush88"):
            assert secret not in said


def test_a_home_is_found_though_the_command_fails_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.settings.load_settings", lambda *_: _raise(KeyError("x")))
    done = in_process(tmp_path, "data", "describe")
    assert done.code == 1
    assert len(done.lines) == 1


# --- words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("plain", "plain"),
        ("first\nsecond", "first"),
        ("why:\n  because\nmore", "why: because"),
        ("  two   spaces.  ", "two spaces"),
        ("", "KeyError"),
        ("\n\n", "KeyError"),
    ],
)
def test_an_exception_is_one_line(said: str, words: str) -> None:
    class PlainError(KeyError):
        def __str__(self) -> str:
            return said

    PlainError.__name__ = "KeyError"
    assert in_words(PlainError()) == words


def test_a_long_name_is_shown_by_its_ends() -> None:
    assert shortened("x" * 300) == "x" * 300
    assert shortened("a" + "x" * 5000 + "b").startswith("ax")
    assert shortened("a" + "x" * 5000 + "b").endswith("xb")
    assert len(shortened("x" * 5000)) < 310


def test_what_led_to_an_error_is_followed_once_round_a_circle() -> None:
    one, other = KeyError("one"), KeyError("other")
    one.__context__, other.__context__ = other, one
    assert list(causes(one)) == [one, other]
    assert mendable(one) is None


# --- settings ---------------------------------------------------------------------------------------------

NO_POSTGRES = [
    *("127.0.0.1/d", "u:hush88@h/d", "mysql://u:hush88@h/d", "sqlite:///x", "postgresql://u:hush88@h:port/d"),
    *("postgresql+asyncpg://u:hush88@h/d", "postgresql+psycopg2://u:hush88@h/d", "x", " "),
]
NO_REDIS = [
    *("127.0.0.1", "redis://h:6379", "redis://:hush88@h:6379", "h:port", "h:0", "h:70000", ":1", " "),
    *("h:1,hush88", "h:1,pass=hush88", "password=hush88", "h:1:2"),
]


@pytest.mark.parametrize("url", NO_POSTGRES)
def test_what_is_no_address_of_postgres_is_said_without_showing_it(url: str) -> None:
    with pytest.raises(
        MarqueeError, match=r"MARQUEE_POSTGRES .* export MARQUEE_POSTGRES=postgresql"
    ) as caught:
        check_postgres(url)
    assert "hush88" not in str(caught.value)


@pytest.mark.parametrize("address", NO_REDIS)
def test_what_is_no_address_of_redis_is_said_without_showing_it(address: str) -> None:
    with pytest.raises(MarqueeError, match=r"MARQUEE_REDIS .* export MARQUEE_REDIS=HOST:6379") as caught:
        check_redis(address)
    assert "hush88" not in str(caught.value)


def test_addresses_of_servers_are_taken() -> None:
    for url in ("postgresql://h/d", "postgresql+psycopg://u:p@h:5432/d?sslmode=require", "postgresql:///d"):
        check_postgres(url)
    for address in ("h:6379", "h:6379,password=p=q,ssl=true,db=1", "a:1,b:2,redis_type=redis_cluster"):
        check_redis(address)


@pytest.mark.parametrize("memory", ["1KB", "lots", "1"])
def test_memory_that_does_not_do_is_named(memory: str, tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match="MARQUEE_DUCKDB_MEMORY"), connection(memory, tmp_path) as con:
        con.execute("CREATE TABLE t AS SELECT range, random() FROM range(100_000)")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("quoted", "shown"),
    [
        ("a\nb\r\n c", "a b c"),
        ("\x1b[2Jx\x00\x7f\t", r"\x1b[2Jx\x00\x7f\t"),
        ("\u2028\u2029\x85", r"\u2028\u2029\x85"),
        ("\ud800", r"\ud800"),
        ("Ünïcode 👩‍👩‍👧 \u3000", "Ünïcode 👩‍👩‍👧 \u3000"),
    ],
)
def test_a_sentence_is_one_line_that_can_be_printed_whatever_it_quotes(quoted: str, shown: str) -> None:
    sentence = str(MarqueeError(f"There is no '{quoted}'."))
    assert sentence == f"There is no '{shown}'."
    assert len(sentence.encode().splitlines()) == 1


def test_a_sentence_that_quotes_very_much_keeps_its_beginning_and_its_end() -> None:
    sentence = str(MarqueeError(f"There is no '{'x' * 100_000}': give another."))
    assert len(sentence) < 2_010
    assert sentence.startswith("There is no 'xxx") and sentence.endswith("xxx': give another.")
