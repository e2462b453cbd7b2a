"""What a view's online rows are up to date with, as the online store itself says it.

It stands among the view's rows, under a key that no entity has: a store that was emptied, or exchanged for
another, does not claim to hold what it does not.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from feast import FeatureStore, FeatureView
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from common.files import json_in
from feature_repo.feast_internals import (
    OnlineRow,
    entity_key,
    key_types,
    online_store,
    read_online,
    write_online,
)
from feature_repo.online.newest import KeepsNewest

RECORD = "marquee_sent"
"""Name of the record's only feature, and the value of its key."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a view's online rows are up to date with.

    Args:
        table: identity of its table.
        version: of the table.
        features: that were sent.
        commit: the digest of that version's commit; "" in a record of an earlier Marquee.
    """

    table: str
    version: int
    features: list[str]
    commit: str = ""


def record_key(view: FeatureView) -> EntityKey:
    """The key that a view's record has."""
    return entity_key(view, [RECORD] * len(key_types(view)))


def sent_record(store: FeatureStore, view: FeatureView) -> Record | None:
    """What a view's online rows are up to date with; None if it was never sent."""
    ((_, values),) = read_online(store, view, [record_key(view)], [RECORD])
    text = values[RECORD].string_val if values and RECORD in values else ""
    return Record(**json_in(text)) if text else None


def write_record(store: FeatureStore, view: FeatureView, record: Record | None) -> None:
    """Say what a view's online rows are up to date with: after they were written, and None before all of them
    are exchanged."""
    online, now = online_store(store), datetime.now(UTC)
    text = "" if record is None else json.dumps(asdict(record))
    row: OnlineRow = (record_key(view), {RECORD: Value(string_val=text)}, now, now)
    if isinstance(online, KeepsNewest):
        online.write(store.config, view, [row], whatever=True)
    else:
        write_online(store, view, [row])


def rows_missing(store: FeatureStore, view: FeatureView) -> int | None:
    """How many rows the store let go of since they were written; 0 where it has others, or may have.

    Returns:
        None where all are there, and where the store cannot tell.
    """
    online = online_store(store)
    if not isinstance(online, KeepsNewest):
        return None
    there, expected = online.tallies(store.config, view)
    if there == expected:
        return None
    return 0 if expected is None else max(expected.rows - there.rows, 0)


def never_sent(store: FeatureStore, view: FeatureView) -> bool:
    """Whether nothing of a view is online, by whomever: a key without a row then tells nothing of the key."""
    online = online_store(store)  # in which the record is a row, too
    return isinstance(online, KeepsNewest) and online.is_empty(store.config, view)
