"""What the two as-of stores do alike, which is all but retrieval."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores.offline_store import OfflineStore
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import RepoConfig

from feature_repo.offline.tables import append, check_source, source_columns, write_logs


class AsOfOfflineStore(OfflineStore):
    """Appending to views, logging, and looking at sources, as Feast asks for them."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: pa.Table,
        progress: Callable[[int], Any] | None,
    ) -> None:
        append(config, feature_view, table)
        if progress:
            progress(table.num_rows)

    @staticmethod
    def write_logged_features(
        config: RepoConfig,
        data: pa.Table | Path,
        source: LoggingSource,  # noqa: ARG004
        logging_config: LoggingConfig,
        registry: BaseRegistry,  # noqa: ARG004
    ) -> None:
        write_logs(config, data, logging_config)

    def validate_data_source(self, config: RepoConfig, data_source: DataSource) -> None:
        check_source(config, data_source)

    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> list[tuple[str, str]]:
        return source_columns(config, data_source)
