"""A domain's views, services and keys as Feast's objects.

A source names its table only; the offline store knows where the lake is, so the same objects serve every home
and every profile.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyarrow as pa
from feast import Entity, FeatureService, FeatureView, Field, FileSource, Project, ValueType
from feast.data_format import DeltaFormat
from feast.types import Array, FeastType, Float64, Int64, String, UnixTimestamp

from feature_repo.arrow import ARROW_TYPES
from feature_repo.define.column import CREATED_TIMESTAMP, EVENT_TIMESTAMP, Column, Type
from feature_repo.define.domain import Domain
from feature_repo.define.table import Table
from feature_repo.define.view import View

FEAST_TYPES: dict[Type, FeastType] = {
    Type.INT64: Int64,
    Type.FLOAT64: Float64,
    Type.STRING: String,
    Type.TIMESTAMP: UnixTimestamp,
    Type.INT64_LIST: Array(Int64),
    Type.FLOAT64_LIST: Array(Float64),
    Type.STRING_LIST: Array(String),
}
ARROW_BY_FEAST = {str(kind): ARROW_TYPES[type] for type, kind in FEAST_TYPES.items()}
KEY_TYPES: dict[Type, ValueType] = {Type.INT64: ValueType.INT64, Type.STRING: ValueType.STRING}
"""What a key may be."""


@dataclass(frozen=True, slots=True)
class FeastObjects:
    """What Feast is told of a domain, each by its name; entities by the name of their key."""

    project: Project
    entities: dict[str, Entity]
    sources: dict[str, FileSource]
    views: dict[str, FeatureView]
    services: dict[str, FeatureService]

    @property
    def all(self) -> list[Any]:
        """All of them, in an order in which Feast can apply them."""
        named: tuple[dict[str, Any], ...] = (self.sources, self.entities, self.views, self.services)
        return [self.project, *(found for objects in named for found in objects.values())]


def feast_objects(domain: Domain, project: str) -> FeastObjects:
    """New objects for a domain; Feast writes into what it applies.

    Args:
        project: Feast's name for what belongs together in a registry.
    """
    entities = {key.name: _entity(key) for key in domain.keys}
    tables = [view.table for view in domain.views]
    sources = {table.name: _source(table) for table in tables}
    views = {table.name: _view(table, entities, sources[table.name]) for table in tables}
    services = {
        name: FeatureService(name=name, features=[_part(views[view.name], view) for view in asked])
        for name, asked in domain.services.items()
    }
    about = Project(name=project, description=domain.description)
    return FeastObjects(about, entities, sources, views, services)


def arrow_type(kind: FeastType) -> pa.DataType:
    """What a published feature of this type is in Arrow."""
    return ARROW_BY_FEAST[str(kind)]


def _entity(key: Column) -> Entity:
    return Entity(
        name=key.name.removesuffix("_id"),
        join_keys=[key.name],
        value_type=KEY_TYPES[key.type],
        description=key.description,
    )


def _source(table: Table) -> FileSource:
    return FileSource(
        name=table.name,
        path=table.name,
        file_format=DeltaFormat(),
        timestamp_field=EVENT_TIMESTAMP,
        created_timestamp_column=CREATED_TIMESTAMP,
        description=table.description,
    )


def _view(table: Table, entities: dict[str, Entity], source: FileSource) -> FeatureView:
    return FeatureView(
        name=table.name,
        entities=[entities[key.name] for key in table.key],
        schema=[_field(column) for column in table.key + table.columns],
        source=source,
        ttl=timedelta(0),  # a feature holds until the next row of its key
        description=table.description,
    )


def _part(whole: FeatureView, view: View) -> FeatureView:
    """A published view as a service joins it: with the features that the service's own view has."""
    names = [column.name for column in view.columns]
    return whole if len(names) == len(whole.features) else whole[names]


def _field(column: Column) -> Field:
    tags = {"unit": column.unit} if column.unit else {}
    return Field(name=column.name, dtype=FEAST_TYPES[column.type], description=column.description, tags=tags)
