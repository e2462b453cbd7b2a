"""The real ratings, delivered in the months in which they happened, some late: as one full run by Spark."""

import os
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from feature_repo.define.column import EVENT_TIMESTAMP
from feature_repo.domains.movies import DOMAIN
from lake.tables import append, open_table, overwrite
from pipelines.features.jobs import run_job
from pipelines.ingest import ingest
from pipelines.sources.movielens import read_movielens
from tests.raw_rows import no_spark
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
    spark: SparkSession, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "lake"
    ingest(no_spark, read_movielens(real_data / "movielens-small"), whole, DOMAIN)
    for name in ("movies", "posters"):
        overwrite(open_table(whole, name).to_pyarrow_table(), folder, name)
    parts = deliveries(open_table(whole, "ratings").to_pyarrow_table(), DELIVERIES)
    assert len(parts) > 1
    late_keys = 0
    for place, part in enumerate(parts):
        (append if place else overwrite)(part, folder, "ratings")
        for name in TABLES:
            done = run_job(no_spark, folder, DOMAIN, name, created=NOW + timedelta(minutes=place))
            assert done.how == ("updated" if place else "rebuilt")
            late_keys += done.late_keys
    assert late_keys, "some ratings came late"
    monkeypatch.setattr("lake.session.FEW", -1)
    for name in TABLES:
        run_job(lambda: spark, whole, DOMAIN, name, created=NOW)
        assert content(folder, name) == content(whole, name), name
