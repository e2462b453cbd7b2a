"""The real ratings, delivered in the months in which they happened, some late: as one full run."""

import os
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from feature_repo.domains.movies import DOMAIN
from feature_repo.schema import EVENT_TIMESTAMP, MOVIES, POSTERS, RATINGS
from feature_repo.spark import spark_schema
from lake import spark_tables
from lake.tables import append
from pipelines.features.jobs import run_job
from pipelines.ingest import ingest
from pipelines.sources.movielens import read_movielens
from tests.test_incremental import NOW, content

TABLES = ("movie_rating_stats", "user_rating_stats", "user_recent_likes")
DELIVERIES = int(os.environ.get("MARQUEE_TEST_DELIVERIES", "12"))
"""Months are put together into so many deliveries of about as many ratings, or stay as they are if fewer."""
LATE = 0.01
"""Share of ratings that come a delivery late."""


def deliveries(ratings: pa.Table, most: int) -> list[pa.Table]:
    """The ratings by month, or by several, in order of time but for the late ones."""
    months = ratings.column(EVENT_TIMESTAMP).to_numpy().astype("datetime64[M]")
    _, month, counts = np.unique(months, return_inverse=True, return_counts=True)
    before = (np.cumsum(counts) - counts) / ratings.num_rows
    place = np.unique((before * most).astype(int), return_inverse=True)[1] if most < len(counts) else None
    delivery = month if place is None else place[month]
    late = np.random.default_rng(0).random(ratings.num_rows) < LATE
    delivery = np.minimum(delivery + late, delivery.max())
    return [ratings.filter(pa.array(delivery == number)) for number in range(delivery.max() + 1)]


def test_real_ratings_delivered_by_month_end_in_the_tables_of_one_full_run(
    spark: SparkSession, real_data: Path, tmp_path: Path
) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "lake"
    ingest(lambda: spark, read_movielens(real_data / "movielens-small"), whole, DOMAIN)
    for table in (MOVIES, POSTERS):
        rows = spark_tables.read(spark, whole, table.name)
        spark_tables.overwrite(rows, folder, table.name, spark_schema(table))
    parts = deliveries(spark_tables.read(spark, whole, RATINGS.name).toArrow(), DELIVERIES)
    assert len(parts) > 1
    late_keys = 0
    for place, part in enumerate(parts):
        if place:
            append(part, folder, RATINGS.name)
        else:
            first = spark.createDataFrame(part)
            spark_tables.overwrite(first, folder, RATINGS.name, spark_schema(RATINGS))
        for name in TABLES:
            done = run_job(spark, folder, name, created=NOW + timedelta(minutes=place))
            assert done.how == ("updated" if place else "rebuilt")
            late_keys += done.late_keys
    assert late_keys, "some ratings came late"
    for name in TABLES:
        run_job(spark, whole, name, created=NOW)
        assert content(spark, folder, name) == content(spark, whole, name), name
