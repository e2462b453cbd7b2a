"""Tells Feast's universal test suite to test one of our offline stores over Delta tables.

`scripts/feast_universal_suite.sh` runs it. The suite's own `tests` package comes first on the path there.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from deltalake import write_deltalake
from feast import FileSource
from feast.data_format import DeltaFormat

from tests.universal.feature_repos.universal.data_sources.file import DeltaFileSourceCreator


class MarqueeSourceCreator(DeltaFileSourceCreator):  # type: ignore[misc]
    """Data sources as Delta tables in a lake, joined by the engine that ENGINE names."""

    def __init__(self, project_name: str, *arguments: Any, **options: Any) -> None:
        super().__init__(project_name, *arguments, **options)
        self.lake = tempfile.TemporaryDirectory(prefix="marquee-suite-")

    def get_prefixed_table_name(self, suffix: str) -> str:
        return f"{self.project_name}_{suffix}"

    def create_data_source(
        self,
        df: pd.DataFrame,
        destination_name: str,
        created_timestamp_column: str = "created_ts",
        field_mapping: dict[str, str] | None = None,
        timestamp_field: str | None = "ts",
    ) -> FileSource:
        name = self.get_prefixed_table_name(destination_name)
        write_deltalake(Path(self.lake.name) / name, df)
        source = FileSource(
            file_format=DeltaFormat(),
            path=name,
            timestamp_field=timestamp_field,
            created_timestamp_column=created_timestamp_column,
            field_mapping=field_mapping or {"ts_1": "ts"},
        )
        # Labels may be SQL over the lake's tables; by this attribute the suite knows what a table is called.
        source.table = name
        return source

    def create_offline_store_config(self) -> Any:
        engine = os.environ.get("ENGINE", "duckdb")
        if engine == "duckdb":
            from feature_repo.offline.duckdb_asof import AsOfDuckDBOfflineStoreConfig

            return AsOfDuckDBOfflineStoreConfig(lake=self.lake.name)
        if engine == "spark":
            from feature_repo.offline.spark_asof import AsOfSparkOfflineStoreConfig

            return AsOfSparkOfflineStoreConfig(lake=self.lake.name, master="local[2]")
        raise ValueError(f"ENGINE is duckdb or spark, not {engine}")

    def teardown(self) -> None:
        super().teardown()
        self.lake.cleanup()


AVAILABLE_OFFLINE_STORES = [("local", MarqueeSourceCreator)]
AVAILABLE_ONLINE_STORES = {"sqlite": ({"type": "sqlite"}, None)}
