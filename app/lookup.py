"""The online store's view of a user and a movie."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureStore, FeatureView
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type

from common.errors import MarqueeError
from feature_repo.arrow import arrow_field
from feature_repo.domains.movies import DOMAIN
from training.data.dataset import find_service

MAX_ID = 2**63 - 1
MAX_KEYS = 10_000
"""Keys asked for at a time; SQLite allows some 32,000."""

KEYS = tuple(key.name for key in DOMAIN.keys)
ARROW_FIELDS = {column.name: arrow_field(column) for view in DOMAIN.views for column in view.columns}


@dataclass(frozen=True, slots=True)
class ViewStatus:
    """What the online store has of one view for the keys asked for.

    Args:
        view: its name.
        known_since: the instant from which its values are known (UTC); None if there is no row.
    """

    view: str
    known_since: datetime | None

    @property
    def found(self) -> bool:
        return self.known_since is not None


@dataclass(frozen=True, slots=True)
class Lookup:
    """The features of one user and one movie as they would be served now.

    Args:
        keys: what was asked for, by name.
        values: by feature; None where the view has no row, or the row no value.
        views: one status per view, in the service's order.
        unknown: names of the keys of which no view has a row.
    """

    keys: dict[str, int]
    values: dict[str, Any]
    views: tuple[ViewStatus, ...]
    unknown: tuple[str, ...]


def asked_keys(user_id: int | None, movie_id: int | None) -> dict[str, int]:
    """The ids that were given, by name.

    Raises:
        MarqueeError: there is none, or one is not a positive whole number.
    """
    given = {"user_id": user_id, "movie_id": movie_id}
    keys = {name: _id(name, value) for name, value in given.items() if value is not None}
    if not keys:
        raise MarqueeError("There is nothing to look up: give a user id, a movie id, or both.")
    return keys


def lookup(
    store: FeatureStore, service: str | None, user_id: int | None = None, movie_id: int | None = None
) -> Lookup:
    """Read the features of a user and a movie from the online store.

    Args:
        store: an applied store.
        service: name of a feature service; None for all views.
        user_id, movie_id: either may be left out; the views keyed by it are then, too.

    Raises:
        MarqueeError: no id is given, an id is not a positive whole number, or the service is unknown.
    """
    keys = asked_keys(user_id, movie_id)
    values: dict[str, Any] = {}
    statuses: list[ViewStatus] = []
    found = dict.fromkeys(keys, False)
    for view, names in _views(store, service):
        if not set(_join_keys(view)) <= set(keys):
            continue
        key = tuple(keys[name] for name in _join_keys(view))
        known_since, row = _read(store, view, [key], names)[key]
        values |= {name: row.get(name) for name in names}
        statuses.append(ViewStatus(view.name, known_since))
        for name in _join_keys(view):
            found[name] |= known_since is not None
    unknown = tuple(name for name, known in found.items() if not known)
    return Lookup(keys, values, tuple(statuses), unknown)


def lookup_many(store: FeatureStore, service: str | None, pairs: pa.Table) -> pa.Table:
    """Read the features of many users and movies, each id once.

    Args:
        service: name of a feature service; None for all views.
        pairs: n rows with `user_id` and `movie_id`; further columns are kept.

    Returns:
        n rows in the same order: the columns of `pairs`, the features (null where there are none), and
        `<view>_known_since` (UTC, null where the view has no row).

    Raises:
        MarqueeError: a key column is missing, or the service is unknown.
    """
    missing = [name for name in KEYS if name not in pairs.column_names]
    if missing:
        raise MarqueeError(f"The pairs lack {', '.join(missing)}; they have {', '.join(pairs.column_names)}.")
    result = pairs
    for view, names in _views(store, service):
        (key_name,) = _join_keys(view)
        column = pairs.column(key_name).combine_chunks()
        distinct = pc.drop_null(pc.unique(column))
        keys = [(key,) for key in distinct.to_pylist()]
        rows = _read(store, view, keys, names)
        place = pc.index_in(column, value_set=distinct)
        for name in names:
            values = pa.array([rows[key][1].get(name) for key in keys], ARROW_FIELDS[name].type)
            result = result.append_column(name, values.take(place))
        known = pa.array([rows[key][0] for key in keys], pa.timestamp("us", "UTC"))
        result = result.append_column(f"{view.name}_known_since", known.take(place))
    return result


Row = tuple[datetime | None, dict[str, Any]]


def _read(
    store: FeatureStore, view: FeatureView, keys: Sequence[tuple[int, ...]], names: list[str]
) -> dict[tuple[int, ...], Row]:
    """One view's rows for distinct keys: (known since, values); (None, {}) where there is none.

    Stores differ in how they say that there is none: SQLite and PostgreSQL give nothing, Redis gives a row
    without values, stamped 1970.
    """
    provider = store._get_provider()
    rows: dict[tuple[int, ...], Row] = {}
    for start in range(0, len(keys), MAX_KEYS):
        part = keys[start : start + MAX_KEYS]
        entities = [
            EntityKey(join_keys=_join_keys(view), entity_values=[Value(int64_val=value) for value in key])
            for key in part
        ]
        read = provider.online_read(store.config, view, entities, [*names])  # Redis adds to it
        for key, (moment, values) in zip(part, read, strict=True):
            if moment is None or moment.timestamp() == 0 or values is None:
                rows[key] = (None, {})
            else:
                rows[key] = (
                    moment.astimezone(UTC),
                    {name: feast_value_type_to_python_type(value) for name, value in values.items()},
                )
    return rows


def _views(store: FeatureStore, service: str | None) -> list[tuple[FeatureView, list[str]]]:
    """Views and their features, of a service or all."""
    views = {view.name: view for view in store.list_feature_views()}
    if service is None:
        if not views:
            raise MarqueeError("The registry has no views yet: run marquee features apply first.")
        return [(view, [feature.name for feature in view.features]) for _, view in sorted(views.items())]
    projections = find_service(store, DOMAIN, service).feature_view_projections
    return [
        (views[projection.name], [feature.name for feature in projection.features])
        for projection in projections
    ]


def _join_keys(view: FeatureView) -> list[str]:
    return [column.name for column in view.entity_columns]


def _id(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise MarqueeError(f"{name} is a positive whole number, not {value!r}.")
    if value > MAX_ID:
        raise MarqueeError(f"{name} is at most {MAX_ID}, not {value}.")
    return value
