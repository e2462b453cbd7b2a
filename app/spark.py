"""Spark as the settings say."""

import shutil
from typing import TYPE_CHECKING

from common.progress import Stages
from common.settings import Settings

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


def spark_stage(settings: Settings, stages: Stages) -> "SparkSession":
    """Start Spark, and say so: the first start ever downloads jars."""
    stages.note("Starting Spark (the first start downloads Delta's jars)")
    with stages.stage("Spark") as stage:
        spark = start_spark(settings)
        stage.outcome = f"{settings.spark_master}, {settings.spark_memory} heap"
    return spark
