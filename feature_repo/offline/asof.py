"""What the two as-of stores have in common: settings, and all that they do but retrieval."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores.offline_store import OfflineStore
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from pydantic import Field, field_validator

from common.settings import load_settings
from feature_repo.offline.tables import absolute_lake, append, check_source, source_columns, write_logs


class AsOfConfig(FeastConfigBaseModel):
    """What `offline_store:` of either store may hold. Defaults are those of `Settings`.

    Args:
        lake: folder or URI that relative table paths start from; None for the repository's own folder.
        versions: Delta versions to read, by table path; those not named are read at their newest.
        memory_limit: how much DuckDB may take before it spills.
        threads: how many threads it may use; None for all cores.
        temp_directory: where it spills; None for the lake, or the system's temporary folder where that is no
            folder that can be written.
    """

    lake: str | None = None
    versions: dict[str, int] | None = None
    memory_limit: str = Field(default_factory=lambda: load_settings().duckdb_memory)
    threads: int | None = None
    temp_directory: str | None = None

    _absolute = field_validator("lake")(absolute_lake)


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
