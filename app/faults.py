"""Errors of the machine, its files and its servers as one sentence: by their kind, wherever they arise.

A library is asked for its exceptions only where it was loaded: what was not loaded raised nothing.
"""

import errno
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from common.errors import causes, in_words, is_panic, shortened
from common.files import REFUSALS

Judge = Callable[[Sequence[BaseException], Path], str | None]
"""Gives the sentence for an error, with what led to it, of a command on a home; None for another kind."""

ELSEWHERE = "choose another folder (--home or MARQUEE_HOME)"
REMEDIES = {
    errno.ENOSPC: f"free some space, or {ELSEWHERE}, and run it again",
    errno.EDQUOT: f"free some space, or {ELSEWHERE}, and run it again",
    errno.EACCES: f"let it be written and read, or {ELSEWHERE}",
    errno.EPERM: f"let it be written and read, or {ELSEWHERE}",
    errno.EROFS: ELSEWHERE,
    errno.EIO: "look into the system's log for what is wrong with the disk",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "name a folder",
    errno.EISDIR: "name a file",
    errno.ELOOP: "mend the link",
    errno.EMFILE: "let processes open more files (ulimit -n)",
}
"""What to do where the operating system refuses, by its number."""
FULL = ("database or disk is full", "disk I/O error", "readonly database", *REFUSALS)
"""What libraries say of a disk whose errors have no number."""


def in_a_sentence(error: BaseException, home: Path) -> str | None:
    """What went wrong, with what to do; None for what is a mistake of our own.

    Args:
        home: that the command is about.
    """
    chain = list(causes(error))
    return next((said for judge in JUDGES if (said := judge(chain, home)) is not None), None)


def of_server(chain: Sequence[BaseException], _: Path) -> str | None:
    """Redis and PostgreSQL."""
    if not {"redis", "psycopg"} & sys.modules.keys():
        return None
    from feature_repo.servers import unanswered

    sentence = unanswered(chain[0])
    if sentence is not None:
        return str(sentence)
    refuses = {
        "Redis": (("redis.exceptions", "RedisError"),),
        "PostgreSQL": (
            ("psycopg", "OperationalError"),
            ("psycopg", "InternalError"),
            ("psycopg.errors", "InsufficientPrivilege"),
        ),
    }
    for error in chain:
        for server, kinds in refuses.items():
            if any(_is(error, *kind) for kind in kinds):
                return f"{server} refuses ({in_words(error)}): see to that, and run it again."
    return None


def of_own_model(chain: Sequence[BaseException], _: Path) -> str | None:
    """The code of a model of the user's own."""
    own = sys.modules.get("training.models.own")
    where = None if own is None else own.failed_in(chain)
    if where is None:
        return None
    return f"The model {where} failed ({type(chain[-1]).__name__}: {in_words(chain[-1])}): mend it."


def of_memory(chain: Sequence[BaseException], _: Path) -> str | None:
    """Too little of it, in this process, in DuckDB or in Spark."""
    for error in chain:
        if _is(error, "duckdb", "OutOfMemoryException"):
            return f"DuckDB has too little memory ({in_words(error)}): raise MARQUEE_DUCKDB_MEMORY."
        if "java.lang.OutOfMemoryError" in str(error):
            return "Spark has too little memory: raise MARQUEE_SPARK_MEMORY."
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            return f"There is too little memory ({in_words(error)}): end other programs, or take fewer rows."
    return None


def of_file(chain: Sequence[BaseException], home: Path) -> str | None:
    """What the operating system refuses, for a file that it names or for some file of the home."""
    for error in chain:
        if isinstance(error, OSError) and error.filename and error.errno in REMEDIES:
            place, why = shortened(str(error.filename)), error.strerror
            return f"{place} cannot be used ({why}): {REMEDIES[error.errno]}."
        refusal = next((text for text in FULL if text in str(error)), None)
        if refusal is not None:
            return f"{home} cannot be written ({refusal}): {REMEDIES[errno.ENOSPC]}."
    return None


def of_table(chain: Sequence[BaseException], home: Path) -> str | None:
    """Whatever reads tables, where one of the lake cannot be read."""
    reads = (
        ("pyarrow", "ArrowException"),
        ("deltalake.exceptions", "DeltaError"),
        ("duckdb", "Error"),
        ("py4j.protocol", "Py4JError"),
        ("pyspark.errors", "PySparkException"),
    )
    if not any(
        isinstance(error, OSError) or is_panic(error) or any(_is(error, *kind) for kind in reads)
        for error in chain
    ):
        return None
    from lake.damage import fault_in

    fault = fault_in(home / "lake")
    return None if fault is None else str(fault)


def of_spark(chain: Sequence[BaseException], home: Path) -> str | None:
    """Spark, but for what it says of a query that we wrote wrongly."""
    ours = ("AnalysisException", "ParseException", "PySparkTypeError", "PySparkValueError")
    for error in chain:
        if _is(error, "py4j.protocol", "Py4JNetworkError"):
            return (
                f"Spark's Java ended unexpectedly ({in_words(error)}): its last words are in"
                f" {home / 'logs' / 'spark.log'}; where the machine lacks memory, lower MARQUEE_SPARK_MEMORY."
            )
        if _is(error, "py4j.protocol", "Py4JError") or _is(error, "pyspark.errors", "PySparkException"):
            if any(_is(error, "pyspark.errors", name) for name in ours):
                return None
            *_, java = str(error).partition("\n: ")
            why = in_words(Exception(java) if java else error)
            return f"Spark cannot go on ({why}): its own words are in {home / 'logs' / 'spark.log'}."
    return None


def of_database(chain: Sequence[BaseException], home: Path) -> str | None:
    """The files of SQLite: the registry is read by SQLAlchemy, the online store is not."""
    for error in chain:
        if not (
            _is(error, "sqlite3", "DatabaseError") or _is(error, "google.protobuf.message", "DecodeError")
        ):
            continue
        if any(_is(error, "sqlite3", name) for name in ("IntegrityError", "ProgrammingError")):
            return None
        registry = any(_is(other, "sqlalchemy.exc", "SQLAlchemyError") for other in chain)
        file = home / ("registry.db" if registry else "online.db")
        if "locked" in str(error):
            return f"Another process holds {file} ({in_words(error)}): wait until it ends, and run it again."
        again = "`marquee features apply`" if registry else "`marquee features materialize`"
        return f"{file} cannot be read ({in_words(error)}): remove it, and make it again by {again}."
    return None


def of_query(chain: Sequence[BaseException], home: Path) -> str | None:
    """What DuckDB and deltalake say of files that are whole."""
    for error in chain:
        if _is(error, "duckdb", "OperationalError"):
            return f"DuckDB cannot go on ({in_words(error)}): see that {home} can be read and written."
        if _is(error, "deltalake.exceptions", "DeltaError"):
            return f"The tables in {home / 'lake'} cannot be used ({in_words(error)}): run it again."
        if isinstance(error, OSError):
            place = shortened(str(error.filename)) if error.filename else "A file"
            why = error.strerror or in_words(error)
            return f"{place} cannot be read or written ({why}): see to it, and run it again."
    return None


def of_store(chain: Sequence[BaseException], _: Path) -> str | None:
    """What Feast says."""
    for error in chain:
        if _is(error, "feast.errors", "FeastError"):
            return f"Feast cannot go on ({in_words(error)}): run `marquee features apply` first."
    return None


JUDGES: tuple[Judge, ...] = (
    of_server,
    of_memory,
    of_file,
    of_table,
    of_spark,
    of_database,
    of_query,
    of_store,
    of_own_model,
)
"""In the order in which they are asked: the plainer the cause, the earlier."""


def _is(error: BaseException, module: str, name: str) -> bool:
    """Whether an exception is of a kind, by the module that has it and its name there."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(error, kind)
