"""The offline store at scale: point-in-time joins by sort-merge on Spark over Delta tables.

Views of the same keys are joined in one pass: their rows and the labels are put into one stream, hashed by
key, sorted by key and time (Spark does both, on disk where it must), and merged as it streams past (`merge`),
in memory for one batch. A pass costs O(n log n) whatever the rows per key; a popular key needs no more memory
than a rare one. The result stays a Spark DataFrame (`to_spark_df`) or streams as Arrow batches; only
`to_arrow` and `to_df` bring it to the driver. The rules of the join stand in `feature_repo.offline`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from feast.data_format import DeltaFormat
from feast.data_source import DataSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores.offline_store import RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import RepoConfig
from feast.saved_dataset import SavedDatasetStorage
from pydantic import Field, field_validator
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from common.errors import MarqueeError
from common.settings import load_settings
from feature_repo.feast_internals import asked_on_demand, dates_without_labels
from feature_repo.home import placed_for_feast
from feature_repo.offline.asof import AsOfConfig, AsOfOfflineStore
from feature_repo.offline.jobs import AsOfJob, saved_as_file
from feature_repo.offline.labels import Labels, frame_to_arrow, labels_of, retrieval_metadata, utc
from feature_repo.offline.spark_frames import (
    between,
    column,
    microseconds,
    read_source,
    since_epoch,
    spark_session,
)
from feature_repo.offline.spark_join import (
    REFUSED,
    Given,
    GivenFrame,
    given_frame,
    keys_seen,
    label_names,
    point_in_time_join,
    query_labels,
)
from feature_repo.offline.tables import (
    as_stored,
    dataset,
    file_source,
    saved_path,
)
from feature_repo.offline.views import (
    RetrievedView,
    check_outputs,
    pulled_columns,
    requested_views,
    with_dummy_key,
)


class AsOfSparkOfflineStoreConfig(AsOfConfig):
    """What `offline_store:` in the profile at scale may hold, beside what `AsOfConfig` says.

    A Spark session that the process already has is used as it is; these settings make one otherwise.

    Args:
        type: the store's class, as Feast wants it.
        master: URL of the Spark master.
        memory: heap of the driver.
        partitions: into how many parts a pass is cut.
        spark_conf: any further Spark settings.
        log: the file that gets what Spark prints; the process's own output where None.
    """

    type: str = "feature_repo.offline.spark_asof.AsOfSparkOfflineStore"
    master: str = Field(default_factory=lambda: load_settings().spark_master)
    memory: str = Field(default_factory=lambda: load_settings().spark_memory)
    partitions: int = Field(default_factory=lambda: load_settings().spark_shuffle_partitions)
    spark_conf: dict[str, str] | None = None
    log: Path | None = None

    _placed = field_validator("log", mode="before")(placed_for_feast)


class AsOfSparkOfflineStore(AsOfOfflineStore):
    """Retrieval by Spark, as Feast asks for it; see the module."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | pa.Table | DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> "SparkJob":
        """Join features to labels.

        Args:
            entity_df: the labels as pandas, Arrow or a Spark DataFrame; or SQL for Spark, in which the lake's
                tables go by name; or None for all keys seen from `start_date` to `end_date`, at `end_date`.

        Raises:
            MarqueeError: the labels or a table are not as they should be.
        """
        spark = spark_session(config)
        views = requested_views(feature_views, feature_refs, full_feature_names)
        if entity_df is None:
            start, end = dates_without_labels(feature_views, start_date, end_date)
            given: Given = given_frame(keys_seen(config, spark, views, start, end))
        elif isinstance(entity_df, str):
            given = given_frame(query_labels(config, spark, entity_df))
        elif isinstance(entity_df, DataFrame):
            given = given_frame(entity_df)
        elif isinstance(entity_df, pa.Table):
            given = labels_of(entity_df)
        elif isinstance(entity_df, pd.DataFrame):
            given = labels_of(frame_to_arrow(entity_df))
        else:
            raise MarqueeError(
                "Labels are a pandas frame, an Arrow table, a Spark frame or SQL, not"
                f" {type(entity_df).__name__}: convert them."
            )
        check_outputs(label_names(given), views)
        join = partial(point_in_time_join, config, given, views, filter_by_created_timestamp)
        return SparkJob(
            config,
            lambda: _named(join(whole=True), given, views, config.offline_store.partitions),
            lambda: _collected(config, join, given, views),
            full_feature_names,
            asked_on_demand(feature_refs, project, registry),
            lambda: _metadata(given, feature_refs),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> "SparkJob":
        """The newest row of each key in [start_date, end_date]; rows with a null key are left out."""
        columns = pulled_columns(
            join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column
        )
        frame = between(
            read_source(config, data_source), timestamp_field, since_epoch(start_date), since_epoch(end_date)
        )
        newest = [F.desc(microseconds(frame, timestamp_field))]
        if created_timestamp_column:
            newest.append(F.desc_nulls_last(microseconds(frame, created_timestamp_column)))
        for key in join_key_columns:
            frame = frame.where(column(key).isNotNull())
        partition = [column(key) for key in join_key_columns] or [F.lit(0)]
        window = Window.partitionBy(*partition).orderBy(*newest)
        frame = frame.withColumn("__place", F.row_number().over(window)).where("__place = 1")
        return _pull_job(config, data_source, frame.select(*map(column, columns)), join_key_columns)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> "SparkJob":
        """All rows in [start_date, end_date]; either end may be open."""
        columns = pulled_columns(
            join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column
        )
        frame = between(
            read_source(config, data_source), timestamp_field, since_epoch(start_date), since_epoch(end_date)
        )
        return _pull_job(config, data_source, frame.select(*map(column, columns)), join_key_columns)


# --- results ----------------------------------------------------------------------------------------------


class SparkJob(AsOfJob):
    """A retrieval whose result is a Spark DataFrame.

    Args:
        frame: the result in Spark.
        compute: the result as Arrow.
        others: what `AsOfJob` takes.
    """

    def __init__(
        self,
        config: RepoConfig,
        frame: Callable[[], DataFrame],
        compute: Callable[[], pa.Table],
        *others: Any,
    ) -> None:
        super().__init__(config, compute, *others)
        self._frame = frame

    def to_spark_df(self) -> DataFrame:
        """The result in Spark, in the labels' order; nothing is computed yet.

        Spark has no unsigned integers, nanoseconds or dictionaries: label columns of such types become the
        nearest type of Spark's that holds their values (nanoseconds are rounded down).

        Raises:
            MarqueeError: there are on-demand features, which only `to_arrow` computes.
        """
        if self._on_demand_feature_views:
            names = ", ".join(view.name for view in self._on_demand_feature_views)
            raise MarqueeError(f"On-demand features ({names}) are computed on the driver: use to_arrow.")
        return self._frame()

    def to_arrow_batches(self) -> Iterator[pa.RecordBatch]:
        """The result in the labels' order, one partition on the driver at a time."""
        frame = self.to_spark_df()
        with refused():
            for row in frame.mapInArrow(_as_bytes, "batch binary").toLocalIterator(prefetchPartitions=True):
                yield from pa.ipc.open_stream(row.batch)

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        with refused():
            return super()._to_arrow_internal(timeout)

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool | None = False,
        timeout: int | None = None,
    ) -> None:
        """Write the result to a Delta table by Spark; to Parquet, or with on-demand features, by the driver.

        Raises:
            SavedDatasetLocationAlreadyExists: there is something, and `allow_overwrite` is false.
        """
        overwrite, file = bool(allow_overwrite), saved_as_file(storage)
        delta = isinstance(file_source(file.to_data_source()).file_format, DeltaFormat)
        if self._on_demand_feature_views or not delta:
            super().persist(storage, allow_overwrite, timeout)
            return
        path = saved_path(self._config, file, overwrite)
        writer = self.to_spark_df().write.format("delta").mode("overwrite" if overwrite else "error")
        with refused():
            writer.option("overwriteSchema", str(overwrite).lower()).save(path)


def _pull_job(config: RepoConfig, source: DataSource, frame: DataFrame, keys: list[str]) -> SparkJob:
    def collected() -> pa.Table:
        return with_dummy_key(as_stored(frame.toArrow(), dataset(config, source).schema), keys)

    return SparkJob(config, lambda: frame, collected)


def _named(frame: DataFrame, given: Given, views: Sequence[RetrievedView], parts: int) -> DataFrame:
    """The join's result in the labels' order, under the columns' right names."""
    if isinstance(given, Labels):
        part = F.floor(F.col("row") * parts / max(given.table.num_rows, 1))
    else:
        part = F.least(F.shiftright("row", 33), F.lit(parts - 1))  # the upper bits number the input's parts
    ordered = frame.repartitionById(parts, part.cast("int")).sortWithinPartitions("row").drop("row")
    return ordered.toDF(*label_names(given), *(output for view in views for output in view.outputs))


def _collected(
    config: RepoConfig, join: Callable[..., DataFrame], given: Given, views: Sequence[RetrievedView]
) -> pa.Table:
    """The result on the driver, features in their stored types, labels from the driver as they were."""
    table = join(whole=isinstance(given, GivenFrame)).toArrow()
    order = pa.array(np.argsort(table.column("row").to_numpy(), kind="stable"))
    table = table.drop_columns(["row"]).take(order)
    if isinstance(given, Labels):
        result = given.table
    else:
        names = label_names(given)
        result = table.select([f"l{i}" for i in range(len(names))]).rename_columns(names)
    features = iter(name for name in table.column_names if name.startswith("f"))
    for view in views:
        schema = dataset(config, view.source).schema if view.features else None
        for stored, output in view.features:
            assert schema is not None
            result = result.append_column(
                output, table.column(next(features)).cast(schema.field(stored).type)
            )
    return result


def _metadata(given: Given, feature_refs: list[str]) -> RetrievalMetadata:
    if isinstance(given, Labels):
        return retrieval_metadata(feature_refs, given)
    at = column(given.timestamp)
    (ends,) = given.frame.agg(F.min(at).alias("first"), F.max(at).alias("last")).collect()
    first, last = (None if end is None else utc(end) for end in (ends["first"], ends["last"]))
    return RetrievalMetadata(
        features=feature_refs,
        keys=[name for name in given.frame.columns if name != given.timestamp],
        min_event_timestamp=first,
        max_event_timestamp=last,
    )


@contextmanager
def refused() -> Iterator[None]:
    """An error that a label row raised in Spark, as the sentence that it carries."""
    try:
        yield
    except PySparkException as error:
        text = str(error)
        if REFUSED not in text:
            raise
        sentence = text.split(REFUSED, 1)[1].split(".", 1)[0].splitlines()[0]
        raise MarqueeError(f"{sentence}.") from error


def _as_bytes(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Each batch as one row of bytes, which Spark can hand on without reading them."""
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        yield pa.RecordBatch.from_arrays([pa.array([sink.getvalue().to_pybytes()], pa.binary())], ["batch"])
