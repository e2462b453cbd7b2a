"""What an online store holds, beside what the tables say that it should."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from feast import FeatureStore, FeatureView

from feature_repo.feast_internals import key_types, plain_value, read_online, rows_of
from feature_repo.offline.tables import delta_table, file_source, storage_options
from feature_repo.online.newest import instant, microseconds
from feature_repo.online.record import sent_record
from feature_repo.online.send import BATCH, newest_rows
from lake.changes import added_rows


@dataclass(frozen=True, slots=True)
class Served:
    """One key's row, from both sides.

    Args:
        key: values by join key.
        online, offline: features by name, all None where there is no row.
        online_at, offline_at: the rows' event timestamps (UTC); None where there is no row.
    """

    key: dict[str, Any]
    online: dict[str, Any]
    offline: dict[str, Any]
    online_at: datetime | None
    offline_at: datetime


def served_rows(store: FeatureStore, view: FeatureView, most: int, seed: int) -> Iterator[Served]:
    """The online rows of keys that did not change since the view was last sent, and the table's.

    No rows where the view was never sent, or its table was replaced since.

    Args:
        most: keys that are read; if there are more, drawn by `seed`.
    """
    source = file_source(view.batch_source)
    table = delta_table(store.config, source)
    features, keys = [feature.name for feature in view.features], list(key_types(view))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Feast's own
        record = sent_record(store, view)
        if record is None or record.table != str(table.metadata().id) or record.features != features:
            return
        added = added_rows(table, record.version, storage_options(source))
        if added is None:
            return
        newest = newest_rows(store, view)
        changed = added.to_table(columns=keys).group_by(keys).aggregate([])
        numbered = newest.select(keys).append_column("place", pa.array(np.arange(newest.num_rows)))
        places = np.sort(numbered.join(changed, keys, join_type="left anti")["place"].to_numpy())
        if len(places) > most:
            places = np.sort(np.random.default_rng(seed).choice(places, most, replace=False))
        newest = newest.take(pa.array(places))
        for start in range(0, newest.num_rows, BATCH):
            batch = newest.slice(start, BATCH)
            rows = rows_of(batch, view)
            held = read_online(store, view, [row[0] for row in rows], features)
            for key, (_, offline, at, _), (online_at, online) in zip(
                batch.select(keys).to_pylist(), rows, held, strict=True
            ):
                yield Served(
                    key,
                    {name: _plain(online or {}, name) for name in features},
                    {name: _plain(offline, name) for name in features},
                    None if online_at is None else instant(microseconds(online_at)),
                    instant(microseconds(at)),
                )


def _plain(values: dict[str, Any], name: str) -> Any:
    return plain_value(values[name]) if name in values else None
