"""What the online store has of the keys that a person or a service asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureStore, FeatureView, ValueType

from common.errors import MarqueeError, unknown
from feature_repo.applied import service_views
from feature_repo.define.column import Type
from feature_repo.define.domain import Domain
from feature_repo.feast_internals import entity_key, key_types, plain_value, read_online
from feature_repo.offline.labels import key_column
from feature_repo.online.record import never_sent, sent_record
from feature_repo.publish import arrow_type

MAX_ID = 2**63 - 1
MAX_KEYS = 10_000
"""Keys asked for at a time; SQLite allows some 32,000."""

Key = int | str
OnlineValues = tuple[datetime | None, dict[str, Any]]
"""Known since, and values by feature; None, {} where there is no row."""


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
        """Whether there is a row."""
        return self.known_since is not None


@dataclass(frozen=True, slots=True)
class Lookup:
    """The features of some keys, such as a user and an item, as they would be served now.

    Args:
        keys: what was asked for, by name.
        values: by feature; None where the view has no row, or the row no value.
        views: one status per view, in the service's order.
        unknown: names of the keys of which no view has a row.
        unsent: features, None here, that were applied after their view was last brought online.
    """

    keys: dict[str, Key]
    values: dict[str, Any]
    views: tuple[ViewStatus, ...]
    unknown: tuple[str, ...]
    unsent: tuple[str, ...] = ()


def asked_keys(domain: Domain, given: Mapping[str, Any]) -> dict[str, Key]:
    """The keys that were given (are not None), checked before any store is opened.

    Raises:
        MarqueeError: there is none, or one cannot be such a key.
    """
    return _checked({key.name: key.type is Type.INT64 for key in domain.keys}, given)


def lookup(store: FeatureStore, service: str | None, keys: Mapping[str, Any]) -> Lookup:
    """Read the features of keys from the online store.

    Args:
        store: an applied store.
        service: name of a feature service; None for all views.
        keys: values by name. Some may be left out or None; the views keyed by them are then, too.

    Raises:
        MarqueeError: no key is given, one cannot be such a key, the service is unknown, or nothing is online.
    """
    asked = service_views(store, service)
    whole = {name: kind is ValueType.INT64 for view, _ in asked for name, kind in key_types(view).items()}
    given = _checked(whole, keys)
    values: dict[str, Any] = {}
    statuses: list[ViewStatus] = []
    unsent: list[str] = []
    by_key: dict[str, list[FeatureView]] = {name: [] for name in given}
    found = dict.fromkeys(given, False)
    for view, names in asked:
        joined = list(key_types(view))
        if not set(joined) <= set(given):
            continue
        key = tuple(given[name] for name in joined)
        known_since, row = _read(store, view, [key], names)[key]
        values |= {name: row.get(name) for name in names}
        if row:
            unsent += _unsent(store, view, [name for name in names if row.get(name) is None])
        statuses.append(ViewStatus(view.name, known_since))
        for name in joined:
            by_key[name].append(view)
            found[name] |= known_since is not None
    missing = tuple(name for name, known in found.items() if not known)
    for name in missing:
        _require_online(store, name, by_key[name])
    return Lookup(given, values, tuple(statuses), missing, tuple(unsent))


def lookup_many(store: FeatureStore, service: str | None, pairs: pa.Table) -> pa.Table:
    """Read the features of many keys, each key once.

    Args:
        store: an applied store.
        service: name of a feature service; None for all views.
        pairs: n rows with the keys of the views; further columns are kept.

    Returns:
        n rows in the same order: the columns of `pairs`, the features (null where there are none), and
        `<view>_known_since` (UTC, null where the view has no row).

    Raises:
        MarqueeError: a key column is missing or of another kind, the service is unknown, or nothing is
            online.
    """
    asked = service_views(store, service)
    wanted = list(dict.fromkeys(name for view, _ in asked for name in key_types(view)))
    missing = [name for name in wanted if name not in pairs.column_names]
    if missing:
        raise MarqueeError(f"The pairs lack {', '.join(missing)}; they have {', '.join(pairs.column_names)}.")
    result = pairs
    by_key: dict[str, list[FeatureView]] = {}
    found: set[str] = set()
    for view, names in asked:
        ((name, kind),) = key_types(view).items()
        stored = pa.int64() if kind is ValueType.INT64 else pa.string()
        column = key_column(pairs, name, stored, view.name).combine_chunks()
        distinct = pc.drop_null(pc.unique(column))
        keys = [(key,) for key in distinct.to_pylist()]
        rows = _read(store, view, keys, names)
        by_key.setdefault(name, []).append(view)
        if not keys or any(rows[key][0] is not None for key in keys):
            found.add(name)
        place = pc.index_in(column, value_set=distinct)
        kinds = {field.name: arrow_type(field.dtype) for field in view.features}
        for feature in names:
            values = pa.array([rows[key][1].get(feature) for key in keys], kinds[feature])
            result = result.append_column(feature, values.take(place))
        known = pa.array([rows[key][0] for key in keys], pa.timestamp("us", "UTC"))
        result = result.append_column(f"{view.name}_known_since", known.take(place))
    for name, views in by_key.items():
        if name not in found:
            _require_online(store, name, views)
    return result


def _read(
    store: FeatureStore, view: FeatureView, keys: Sequence[tuple[Key, ...]], names: list[str]
) -> dict[tuple[Key, ...], OnlineValues]:
    """One view's rows for distinct keys.

    Stores differ in how they say that there is none: SQLite and PostgreSQL give nothing, Redis gives a row
    without values, stamped 1970.
    """
    rows: dict[tuple[Key, ...], OnlineValues] = {}
    for start in range(0, len(keys), MAX_KEYS):
        part = keys[start : start + MAX_KEYS]
        read = read_online(store, view, [entity_key(view, key) for key in part], names)
        for key, (moment, values) in zip(part, read, strict=True):
            if moment is None or moment.timestamp() == 0 or values is None:
                rows[key] = (None, {})
            else:
                plain = {name: plain_value(value) for name, value in values.items()}
                rows[key] = (moment.astimezone(UTC), plain)
    return rows


def _unsent(store: FeatureStore, view: FeatureView, empty: Sequence[str]) -> list[str]:
    """Which of a view's features without a value were not among those that were last sent."""
    record = sent_record(store, view) if empty else None
    return [] if record is None else [name for name in empty if name not in record.features]


def _require_online(store: FeatureStore, key: str, views: Sequence[FeatureView]) -> None:
    """A key without a row is unknown, unless nothing at all is online by that key.

    Raises:
        MarqueeError: that is so.
    """
    if views and all(never_sent(store, view) for view in views):
        raise MarqueeError(f"Nothing is online yet by {key}: run marquee features materialize first.")


def _checked(whole: Mapping[str, bool], given: Mapping[str, Any]) -> dict[str, Key]:
    """The keys that are not None.

    Args:
        whole: by name, whether such a key is a whole number; if not, it is text.

    Raises:
        MarqueeError: there is none, or one cannot be such a key.
    """
    keys = {name: value for name, value in given.items() if value is not None}
    if not keys:
        raise MarqueeError(f"There is nothing to look up: give {' or '.join(sorted(whole))}, or both.")
    for name, value in keys.items():
        if name not in whole:
            raise unknown("key", name, whole)
        if whole[name]:
            _check_number(name, value)
        elif not isinstance(value, str) or not value:
            raise MarqueeError(f"{name} is text, not {value!r}.")
    return keys


def _check_number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise MarqueeError(f"{name} is a positive whole number, not {value!r}.")
    if value > MAX_ID:
        raise MarqueeError(f"{name} is at most {MAX_ID}, not {value}.")
