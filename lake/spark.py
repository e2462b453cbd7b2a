"""One Spark session a process, the same whoever starts it: the jobs, or the feature store at scale."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

from delta import configure_spark_with_delta_pip
from pyspark import SparkContext, java_gateway
from pyspark.sql import SparkSession

from common.children import end_with_parent
from common.errors import MarqueeError
from common.files import REFUSALS
from common.signals import at_once
from lake.locales import names_in_utf8
from lake.spark_java import JARS, delta_jars, driver_settings
from lake.tables import PROPERTIES

STANDALONE = "spark://"
LOOPBACK = ("127.", "localhost", "[::1]")
PATIENCE = 120
"""Seconds to wait for the first worker of a standalone master."""


def running_session() -> SparkSession | None:
    """The session that the process already has, whichever thread made it."""
    if SparkContext._active_spark_context is None:
        return None
    return SparkSession.getActiveSession() or SparkSession.builder.getOrCreate()


def start_session(
    master: str,
    memory: str,
    shuffle_partitions: int,
    more: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> SparkSession:
    """The process's Spark session, made with Delta Lake and in UTC if there is none.

    Args:
        master: URL of the Spark master.
        memory: heap of the driver (which on a local master does all the work).
        shuffle_partitions: the most partitions of a shuffle; adaptive execution merges small ones.
        more: further settings of Spark.
        log: the file that gets all that the JVM prints; this process's own output where None.

    The first session ever downloads Delta's jars (some 90 MB) from Maven Central. Workers run this process's
    Python, or what PYSPARK_PYTHON names.

    Raises:
        MarqueeError: Spark did not start, or its master has no worker to give.
    """
    # Spark would start its Python workers with whatever `python3` is on the PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    _check_master(master)
    builder = SparkSession.builder.appName("marquee").master(master)
    settings = {**_settings(master, memory, shuffle_partitions), **(more or {})}
    for name, value in settings.items():
        builder = builder.config(name, value)
    if "spark.driver.extraClassPath" not in settings:
        builder = configure_spark_with_delta_pip(builder)
    try:
        with output_into(log), names_in_utf8(), _ending_with_us():
            session = builder.getOrCreate()
    except Exception as error:  # whatever Py4J or the launcher throws, the person's remedy is the same
        where = f"; its own words are in {log}" if log else ""
        refusal = next((text for text in REFUSALS if text in str(error)), None)
        why = refusal or str(error).splitlines()[0].rstrip(".: ")
        remedy = "free some space or choose another --home" if refusal else "see `marquee doctor`"
        raise MarqueeError(f"Spark did not start ({why}): {remedy}{where}.") from error
    _keep_jars_from_python(session.sparkContext)
    _await_worker(session, master)
    return session


def _settings(master: str, memory: str, shuffle_partitions: int) -> dict[str, str]:
    settings = {
        "spark.driver.memory": memory,
        "spark.driver.maxResultSize": "0",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(shuffle_partitions),
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # Spark's default is a type that holds no statistics and that few other readers have.
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        # Delta keeps its own snapshot as a small table; the default of 50 partitions costs small jobs most.
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.jars.ivy": str(JARS),
        **{
            f"spark.databricks.delta.properties.defaults.{name.removeprefix('delta.')}": value
            for name, value in PROPERTIES.items()
        },
        # An update that changes nothing is committed too: its commit says what has been seen.
        "spark.databricks.delta.skipRecordingEmptyCommits": "false",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # Nobody looks at past queries, whose plans in words would fill the heap of a long session.
        "spark.sql.ui.retainedExecutions": "1",
        "spark.ui.retainedJobs": "1",
        "spark.ui.retainedStages": "1",
        "spark.ui.retainedTasks": "1",
        "spark.sql.ui.explainMode": "simple",
        "spark.log.level": "ERROR",
    }
    settings |= driver_settings()
    if master.startswith("local"):
        settings["spark.python.daemon.module"] = "lake.spark_daemon"
    elif jars := delta_jars():
        settings["spark.jars"] = ",".join(map(str, jars))  # which workers get from the driver
    if master.startswith("local") or master.removeprefix(STANDALONE).startswith(LOOPBACK):
        # Elsewhere workers must reach the driver by an address of the network.
        settings |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    return settings


def _keep_jars_from_python(context: SparkContext) -> None:
    """Take Delta's jars from the path that Python imports from, here and in workers.

    Spark puts all jars that it downloaded there too. Their directories, of many thousands of names, would be
    read anew for every task: half a second each time, more than a small task's work.
    """
    names = context._python_includes or []
    context._python_includes = [name for name in names if not name.endswith(".jar")]
    sys.path[:] = [place for place in sys.path if not place.endswith(".jar")]
    for place in [place for place in sys.path_importer_cache if place.endswith(".jar")]:
        del sys.path_importer_cache[place]


def master_answers(master: str) -> bool:
    """Whether a standalone master (or one of several, by comma) takes connections; true for other masters."""
    if not master.startswith(STANDALONE):
        return True
    for address in master.removeprefix(STANDALONE).split(","):
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
                return True
        except (OSError, ValueError):
            continue
    return False


def _check_master(master: str) -> None:
    """Spark itself would try for a minute, and say so in several pages."""
    if not master_answers(master):
        raise MarqueeError(f"No Spark master answers at {master}: start it, or set MARQUEE_SPARK_MASTER.")


def _await_worker(session: SparkSession, master: str) -> None:
    """Spark itself would wait for ever, in silence."""
    if not master.startswith(STANDALONE) or session.conf.get("spark.dynamicAllocation.enabled", "") == "true":
        return
    context = session.sparkContext._jsc.sc()
    until = time.monotonic() + PATIENCE
    while context.getExecutorMemoryStatus().size() < 2:  # the driver counts as one
        if time.monotonic() > until:
            session.stop()
            raise MarqueeError(
                f"The Spark master at {master} gave no worker within {PATIENCE} s: start workers, "
                "or wait until another application frees theirs."
            )
        time.sleep(0.1)


@contextmanager
def _ending_with_us() -> Iterator[None]:
    """Let a JVM that starts meanwhile end when this process does or a signal comes.

    By itself it ends when nobody can write to it any more, but not while it starts. PySpark answers Ctrl-C in
    its own way; how it was answered before is how it is afterwards.
    """
    names, answer, we = vars(java_gateway), signal.getsignal(signal.SIGINT), os.getpid()
    popen = names["Popen"]
    in_main = threading.current_thread() is threading.main_thread()

    def start(command: list[str], preexec_fn: Callable[[], None], **options: Any) -> Popen[bytes]:
        def prepare() -> None:
            preexec_fn()
            if in_main:  # another thread may end before the process
                end_with_parent(we)

        process: Popen[bytes] = popen(command, preexec_fn=prepare, **options)
        at_once(process.terminate)
        return process

    names["Popen"] = start
    try:
        yield
    finally:
        names["Popen"] = popen
        if in_main:
            signal.signal(signal.SIGINT, answer)


@contextmanager
def output_into(log: Path | None) -> Iterator[None]:
    """Let child processes that start meanwhile write into `log`: the JVM inherits our file descriptors."""
    if log is None:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
            os.close(saved[0])
            os.close(saved[1])
