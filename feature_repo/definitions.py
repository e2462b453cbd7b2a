"""What Feast knows: entities, sources, views and services, all derived from `feature_repo.schema`.

The one file that Feast scans. A source names its table only; the offline store knows where the lake is, so
the same definitions serve every home and every profile.
"""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, Project, ValueType
from feast.data_format import DeltaFormat
from feast.types import Array, FeastType, Float64, Int64, String, UnixTimestamp

from feature_repo.lock import lock_until_exit
from feature_repo.schema import (
    CREATED_TIMESTAMP,
    EVENT_TIMESTAMP,
    FEATURE_TABLES,
    SERVICES,
    Column,
    Table,
    Type,
)

FEAST_TYPES: dict[Type, FeastType] = {
    Type.INT64: Int64,
    Type.FLOAT64: Float64,
    Type.STRING: String,
    Type.TIMESTAMP: UnixTimestamp,
    Type.INT64_LIST: Array(Int64),
    Type.STRING_LIST: Array(String),
}
VALUE_TYPES = {Type.INT64: ValueType.INT64, Type.STRING: ValueType.STRING}


def _entity(key: Column) -> Entity:
    return Entity(
        name=key.name.removesuffix("_id"),
        join_keys=[key.name],
        value_type=VALUE_TYPES[key.type],
        description=key.description,
    )


def _field(column: Column) -> Field:
    tags = {"unit": column.unit} if column.unit else {}
    return Field(name=column.name, dtype=FEAST_TYPES[column.type], description=column.description, tags=tags)


def _view(table: Table) -> FeatureView:
    return FeatureView(
        name=table.name,
        entities=[ENTITIES[key.name] for key in table.key],
        schema=[_field(column) for column in table.key + table.columns],
        source=SOURCES[table.name],
        ttl=timedelta(0),  # a feature holds until the next row of its key
        description=table.description,
    )


if __name__ == "definitions":
    # Feast's own plan and apply import this file by its path, before they open the registry.
    lock_until_exit()

project = Project(name="marquee", description="Point-in-time features for movie recommendation.")

ENTITIES = {key.name: _entity(key) for table in FEATURE_TABLES for key in table.key}
SOURCES = {
    table.name: FileSource(
        name=table.name,
        path=table.name,
        file_format=DeltaFormat(),
        timestamp_field=EVENT_TIMESTAMP,
        created_timestamp_column=CREATED_TIMESTAMP,
        description=table.description,
    )
    for table in FEATURE_TABLES
}
VIEWS = {table.name: _view(table) for table in FEATURE_TABLES}
FEATURE_SERVICES = {
    name: FeatureService(name=name, features=[VIEWS[table.name] for table in tables])
    for name, tables in SERVICES.items()
}

# Feast finds definitions by looking at the module's attributes.
globals().update({f"entity_{name}": entity for name, entity in ENTITIES.items()})
globals().update({f"view_{name}": view for name, view in VIEWS.items()})
globals().update({f"service_{name}": service for name, service in FEATURE_SERVICES.items()})
