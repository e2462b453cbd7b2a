"""Everything of Feast 0.67 that has no public name, in one place.

Feast documents what a plug-in implements and what a store is asked. What stands here it does not, so a new
version of Feast may change it: this is the file to look at then. Each function says what is needed it for.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import pyarrow as pa
from feast import FeatureStore, FeatureView, ValueType
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_NAME, DUMMY_ENTITY_VAL
from feast.feature_view_projection import FeatureViewProjection
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.offline_stores.offline_store import OfflineStore
from feast.infra.online_stores.helpers import compute_table_id, compute_versioned_name
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig
from feast.type_map import feast_value_type_to_python_type
from feast.utils import _convert_arrow_to_proto, compute_non_entity_date_range

OnlineRow = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
"""Key, values by feature, event and created timestamp, as Feast hands rows to a store; naive ones are UTC."""
Held = tuple[datetime | None, dict[str, Value] | None]
"""What an online store has for a key: event timestamp and values by feature; None, None for no row."""

DUMMY_KEY = DUMMY_ENTITY_ID
"""The key of a view without entities."""
DUMMY_KEY_VALUE = DUMMY_ENTITY_VAL
"""Its one value."""
DUMMY_ENTITY = DUMMY_ENTITY_NAME
"""Its entity, which Feast puts into every registry."""


# --- a store's parts ---------------------------------------------------------------------------------------


def online_store(store: FeatureStore) -> OnlineStore:
    """The online store itself, which has more than Feast's interface asks of it (`KeepsNewest`)."""
    return store._get_provider().online_store


def offline_store(store: FeatureStore) -> OfflineStore:
    """The offline store itself."""
    return store._get_provider().offline_store


@contextmanager
def refreshed_once(store: FeatureStore) -> Iterator[None]:
    """Read the registry again at the end of the block only: Feast does so at each object that it writes."""
    registry: Any = store.registry
    registry.refresh = lambda project=None: None  # noqa: ARG005 (Feast names it)
    try:
        yield
    finally:
        del registry.refresh
        registry.refresh()


def read_online(
    store: FeatureStore, view: FeatureView, keys: Sequence[EntityKey], features: Sequence[str]
) -> list[Held]:
    """What is online for each key, with the row's own timestamp, which `get_online_features` rounds."""
    # Some stores add to the names that they are given.
    return list(store._get_provider().online_read(store.config, view, list(keys), [*features]))


def write_online(store: FeatureStore, view: FeatureView, rows: list[OnlineRow]) -> None:
    """Write rows as they are; `write_to_online_store` takes pandas frames only."""
    store._get_provider().online_write_batch(store.config, view, rows, None)


def sqlite_connection(store: OnlineStore, config: RepoConfig) -> Connection:
    """The connection that Feast's SQLite store works with: what is done on it joins its transactions."""
    return store._get_conn(config)  # type: ignore[attr-defined, no-any-return]


def sqlite_file(store: OnlineStore, config: RepoConfig) -> Path:
    """Where Feast's SQLite store has its file."""
    return Path(store._get_db_path(config))  # type: ignore[attr-defined]


def redis_client(store: OnlineStore, settings: Any) -> Any:
    """The client that Feast's Redis store works with.

    Args:
        settings: the store's own.
    """
    return store._get_client(settings)  # type: ignore[attr-defined]


# --- keys and values ---------------------------------------------------------------------------------------


def key_types(view: FeatureView) -> dict[str, ValueType]:
    """A view's join keys and their types."""
    return {column.name: column.dtype.to_value_type() for column in view.entity_columns}


def entity_key(view: FeatureView, values: Sequence[int | str]) -> EntityKey:
    """A key as online stores are asked for it.

    Args:
        values: of the view's join keys, in their order.
    """
    parts = [
        Value(string_val=value) if isinstance(value, str) else Value(int64_val=value) for value in values
    ]
    return EntityKey(join_keys=list(key_types(view)), entity_values=parts)


def rows_of(table: pa.Table, view: FeatureView) -> list[OnlineRow]:
    """Rows of a view's table as online stores take them."""
    return list(_convert_arrow_to_proto(table, view, key_types(view)))


def plain_value(value: Value) -> Any:
    """A value as Python has it; None where it has none."""
    return feast_value_type_to_python_type(value)


def serialised_key(config: RepoConfig, key: EntityKey) -> bytes:
    """A key as online stores keep it."""
    return bytes(serialize_entity_key(key, config.entity_key_serialization_version))


def sqlite_table(config: RepoConfig, view: FeatureView) -> str:
    """The name of a view's table in SQLite."""
    return str(compute_table_id(config.project, view, config.registry.enable_online_feature_view_versioning))


def redis_name(config: RepoConfig, view: FeatureView) -> str:
    """What a view is called in Redis."""
    return str(compute_versioned_name(view, config.registry.enable_online_feature_view_versioning))


# --- retrieval ---------------------------------------------------------------------------------------------


def asked_name(projection: FeatureViewProjection) -> str:
    """What a view is called in the references of a retrieval."""
    return str(projection.name_to_use())  # type: ignore[no-untyped-call]


def dates_without_labels(
    views: list[FeatureView], start: datetime | None, end: datetime | None
) -> tuple[datetime, datetime]:
    """The instants between which keys are looked for where a retrieval names no labels."""
    first, last = compute_non_entity_date_range(views, start, end)
    return first, last


def asked_on_demand(refs: list[str], project: str, registry: BaseRegistry) -> list[OnDemandFeatureView]:
    """The on-demand views that a retrieval refers to."""
    return list(OnDemandFeatureView.get_requested_odfvs(refs, project, registry))
