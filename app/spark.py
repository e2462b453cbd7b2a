"""Spark as the settings say."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from common.progress import Stages
from common.settings import Settings
from lake.session import StartSpark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def start_spark(settings: Settings) -> "SparkSession":
    """A session whose own words are kept in a log; the caller holds the home for writing.

    Raises:
        MarqueeError: there is no Java to run it, or the master does not answer.
    """
    from lake.session import spark_session

    # What a killed command left there, such as a copy of the jars, is nobody's.
    shutil.rmtree(settings.home / "scratch", ignore_errors=True)
    return spark_session(
        settings.spark_master,
        settings.spark_memory,
        settings.spark_shuffle_partitions,
        settings.home / "scratch",
        settings.spark_log,
    )


def starting() -> str:
    """What is said before Spark starts: the first start ever takes long."""
    from lake.spark_java import delta_jars

    return "Starting Spark" if delta_jars() else "Starting Spark, which downloads Delta's jars (some 90 MB)"


def spark_stage(settings: Settings, stages: Stages) -> "SparkSession":
    """Start Spark, and say so."""
    stages.note(starting())
    with stages.stage("Spark") as stage:
        spark = start_spark(settings)
        stage.outcome = f"{settings.spark_master}, {settings.spark_memory} heap"
    return spark


def spark_on_demand(settings: Settings, stages: Stages) -> StartSpark:
    """What starts Spark when it is first called, and says so; the caller holds the home for writing."""

    @cache
    def start() -> "SparkSession":
        stages.note(starting())
        return start_spark(settings)

    return start


@contextmanager
def spark_meanwhile(settings: Settings, stages: Stages) -> Iterator[StartSpark]:
    """`spark_on_demand`, for a while: a session that it started is stopped at the end."""
    start = spark_on_demand(settings, stages)
    started: list[SparkSession] = []

    def start_or_take() -> "SparkSession":
        session = _running()
        if session is None:
            session = start()
            started.append(session)
        return session

    try:
        yield start_or_take
    finally:
        for session in started:
            session.stop()


def stop_spark() -> None:
    """Stop the process's session, if it has one."""
    session = _running()
    if session is not None:
        session.stop()


def _running() -> "SparkSession | None":
    """The process's session, if it has one."""
    if "pyspark" not in sys.modules:
        return None
    from lake.spark import running_session

    return running_session()
