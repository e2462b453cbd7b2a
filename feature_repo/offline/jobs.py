"""Retrievals: what of one both stores do alike, and the one that gives Arrow."""

from collections.abc import Callable

import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.saved_dataset import SavedDatasetStorage

from common.errors import MarqueeError
from feature_repo.offline.tables import save


class AsOfJob(RetrievalJob):
    """A retrieval whose result is computed when it is asked for.

    Args:
        compute: the result as Arrow.
        full_feature_names, on_demand_feature_views: as Feast asks for them.
        metadata: what Feast is told of the labels, found out when it asks; None for a pull, which has none.
    """

    def __init__(
        self,
        config: RepoConfig,
        compute: Callable[[], pa.Table],
        full_feature_names: bool = False,
        on_demand_feature_views: list[OnDemandFeatureView] | None = None,
        metadata: Callable[[], RetrievalMetadata] | None = None,
    ) -> None:
        self._config = config
        self._compute = compute
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = on_demand_feature_views or []
        self._metadata = metadata

    @property
    def full_feature_names(self) -> bool:
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        return self._metadata() if self._metadata else None

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002
        return self._compute()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return frame

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool | None = False,
        timeout: int | None = None,
    ) -> None:
        """Write the result to a Delta table (or a Parquet file), whole or not at all.

        Raises:
            SavedDatasetLocationAlreadyExists: there is something, and `allow_overwrite` is false.
        """
        save(self._config, self.to_arrow(timeout=timeout), saved_as_file(storage), bool(allow_overwrite))


def saved_as_file(storage: SavedDatasetStorage) -> SavedDatasetFileStorage:
    """The storage, if it is one that these stores can write.

    Raises:
        MarqueeError: it is another.
    """
    if not isinstance(storage, SavedDatasetFileStorage):
        raise MarqueeError(
            f"A data set is saved as SavedDatasetFileStorage, not as {type(storage).__name__}."
        )
    return storage
