"""What differs between what the registry has and what a domain declares, by meaning.

Feast's own plan compares stamps and defaults that it sets by itself, so it finds differences where there are
none, and says them in protobuf.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feast import Entity, FeatureService, FeatureStore, FeatureView, FileSource, Project

from feature_repo.feast_internals import DUMMY_ENTITY
from feature_repo.publish import FeastObjects

Facts = dict[str, str]
"""What an object says, each under a short name."""
KINDS = ("project", "data source", "entity", "feature view", "feature service")
"""In the order in which changes are told."""


@dataclass(frozen=True, slots=True)
class Change:
    """One object that differs.

    Args:
        action: "create", "update" or "delete".
        kind: one of `KINDS`.
        name: of the object.
        details: what of it differs, for an update.
    """

    action: str
    kind: str
    name: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line."""
        said = f"{self.action} {self.kind} {self.name}"
        return f"{said}: {'; '.join(self.details)}" if self.details else said


def differences(held: Mapping[tuple[str, str], Any], wanted: Mapping[tuple[str, str], Any]) -> list[Change]:
    """What to do to make `held` as `wanted`: by kind, then by name; nothing where they mean the same.

    Args:
        held, wanted: Feast's objects by kind and name.
    """
    found = []
    for kind, name in sorted({*held, *wanted}, key=lambda one: (KINDS.index(one[0]), one[1])):
        now, then = wanted.get((kind, name)), held.get((kind, name))
        if then is None:
            found.append(Change("create", kind, name))
        elif now is None:
            found.append(Change("delete", kind, name))
        elif details := _details(facts(then), facts(now)):
            found.append(Change("update", kind, name, details))
    return found


def held_objects(store: FeatureStore) -> dict[tuple[str, str], Any]:
    """What the registry has of a store's project."""
    parts: dict[str, list[Any]] = {
        "project": [found for found in store.list_projects() if found.name == store.project],
        "data source": store.list_data_sources(),
        "entity": [entity for entity in store.list_entities() if entity.name != DUMMY_ENTITY],
        "feature view": store.list_feature_views(),
        "feature service": store.list_feature_services(),
    }
    if not (parts["feature view"] or parts["entity"] or parts["feature service"]):
        parts["project"] = []  # Feast makes one as soon as it opens a registry
    return {(kind, one.name): one for kind, found in parts.items() for one in found}


def wanted_objects(objects: FeastObjects) -> dict[tuple[str, str], Any]:
    """What a domain declares."""
    return {
        ("project", objects.project.name): objects.project,
        **{("data source", one.name): one for one in objects.sources.values()},
        **{("entity", one.name): one for one in objects.entities.values()},
        **{("feature view", one.name): one for one in objects.views.values()},
        **{("feature service", one.name): one for one in objects.services.values()},
    }


def facts(one: Any) -> Facts:
    """What an object says that people wrote."""
    said = {"description": getattr(one, "description", "") or ""}
    if isinstance(one, Entity):
        return said | {"key": one.join_key, "type": one.value_type.name}
    if isinstance(one, FileSource):
        return said | {
            "path": one.path,
            "format": type(one.file_format).__name__,
            "timestamp": one.timestamp_field or "",
            "created": one.created_timestamp_column or "",
        }
    if isinstance(one, FeatureView):
        return said | {
            "keys": ", ".join(one.entities),
            "source": one.batch_source.name if one.batch_source else "",
            "holds for": str(one.ttl or "ever"),
            **{f"feature {field.name}": _field(field) for field in one.features},
        }
    if isinstance(one, FeatureService):
        return said | {
            f"{feature.name} of {part.name}": ""
            for part in one.feature_view_projections
            for feature in part.features
        }
    assert isinstance(one, Project), type(one)
    return said


def _field(field: Any) -> str:
    unit = f" in {field.tags['unit']}" if field.tags.get("unit") else ""
    return f"{field.dtype}{unit}, {field.description!r}"


def _details(then: Facts, now: Facts) -> tuple[str, ...]:
    told = []
    for name in [*now, *(name for name in then if name not in now)]:
        if name not in then:
            told.append(f"{name} is new" + (f" ({now[name]})" if now[name] else ""))
        elif name not in now:
            told.append(f"{name} goes")
        elif then[name] != now[name]:
            told.append(f"{name} {then[name]} -> {now[name]}")
    return tuple(told)
