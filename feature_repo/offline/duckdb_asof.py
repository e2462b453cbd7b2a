"""The embedded offline store: point-in-time joins by DuckDB's ASOF join over Delta tables.

Tables are read by deltalake as Arrow datasets (only the columns asked for), so no extension has to be
downloaded. Each view is one as-of join of the labels' keys and instants; the label table itself never enters
DuckDB, hence its columns come back as they were. Cost: O(n log n) of labels plus rows per view, in a memory
limit, spilling to disk; nothing passes through pandas. The rules of the join stand in `feature_repo.offline`.
"""

from datetime import datetime

import pandas as pd
import pyarrow as pa
from feast.data_source import DataSource
from feast.feature_view import FeatureView
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import RepoConfig

from feature_repo.feast_internals import asked_on_demand, dates_without_labels
from feature_repo.offline.asof import AsOfConfig, AsOfOfflineStore
from feature_repo.offline.duckdb_join import keys_seen, label_table, point_in_time_join
from feature_repo.offline.duckdb_sql import between, connection, filtered, listed
from feature_repo.offline.jobs import AsOfJob
from feature_repo.offline.labels import labels_of, retrieval_metadata
from feature_repo.offline.latest import latest_rows
from feature_repo.offline.tables import as_stored, dataset
from feature_repo.offline.views import check_outputs, pulled_columns, requested_views, with_dummy_key


class AsOfDuckDBOfflineStoreConfig(AsOfConfig):
    """What `offline_store:` in feature_store.yaml may hold: what `AsOfConfig` says."""

    type: str = "feature_repo.offline.duckdb_asof.AsOfDuckDBOfflineStore"


class AsOfDuckDBOfflineStore(AsOfOfflineStore):
    """Retrieval by DuckDB, as Feast asks for it; see the module."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | pa.Table | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> AsOfJob:
        """Join features to labels.

        Args:
            entity_df: the labels as pandas or Arrow; or SQL for DuckDB, in which the lake's tables go by
                name; or None for all keys seen from `start_date` to `end_date`, at `end_date`.

        Raises:
            MarqueeError: the labels or a table are not as they should be.
        """
        views = requested_views(feature_views, feature_refs, full_feature_names)
        if entity_df is None:
            start, end = dates_without_labels(feature_views, start_date, end_date)
            labels = labels_of(keys_seen(config, views, start, end))
        else:
            labels = labels_of(label_table(config, entity_df))
        check_outputs(labels.table.column_names, views)

        def compute() -> pa.Table:
            return point_in_time_join(config, labels, views, filter_by_created_timestamp)

        return AsOfJob(
            config,
            compute,
            full_feature_names,
            asked_on_demand(feature_refs, project, registry),
            lambda: retrieval_metadata(feature_refs, labels),
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
    ) -> AsOfJob:
        """The newest row of each key in [start_date, end_date]; rows with a null key are left out."""

        def compute() -> pa.Table:
            return latest_rows(
                config,
                data_source,
                join_key_columns,
                feature_name_columns,
                timestamp_field,
                created_timestamp_column,
                start_date,
                end_date,
            )

        return AsOfJob(config, compute)

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
    ) -> AsOfJob:
        """All rows in [start_date, end_date]; either end may be open."""

        def compute() -> pa.Table:
            rows = dataset(config, data_source)
            columns = pulled_columns(
                join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column
            )
            with connection(config) as con:
                con.register("rows", rows)
                where = filtered(between(rows.schema, timestamp_field, start_date, end_date))
                table = con.sql(f"SELECT {listed(columns)} FROM rows{where}").to_arrow_table()
            return with_dummy_key(as_stored(table, rows.schema), join_key_columns)

        return AsOfJob(config, compute)
