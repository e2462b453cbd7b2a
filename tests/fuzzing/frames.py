"""Frames of labels, as `features dataset --labels FILE` reads them."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from common.errors import MarqueeError
from common.settings import Settings
from feature_repo.domains.movies import DOMAIN
from feature_repo.store import open_store
from tests.fuzzing.columns import is_plain, values_of, write
from tests.fuzzing.damage import damaged
from tests.fuzzing.lake import home
from tests.fuzzing.tables import Typed, change
from training.data.dataset import dataset_file

KEYS = ("user_id", "movie_id", "event_timestamp")
SERVICE = "gbt_v1"
LABELS = [(1, 1, 4), (1, 2, 11), (2, 1, 12), (9, 3, 20), (1, 9, 30), (2, 5, 40)]
"""User, movie and second."""


def frames(random: Random, folder: Path) -> str:
    """One frame; the features of a row are those of the same row in a frame that is as it should be."""
    file, out = folder / "labels.parquet", folder / "out.parquet"
    typed = frame()
    change(random, typed)
    write(random, typed.table, file)
    broken = random.random() < 0.35
    if broken:
        file.write_bytes(damaged(random, file.read_bytes()))
    try:
        rows = dataset_file(_store(), DOMAIN, SERVICE, file, out)
    except MarqueeError:
        assert broken or not _must(typed), "a frame that can be read was refused"
        raise
    joined = pq.read_table(out)
    assert rows == joined.num_rows
    if broken:
        return "joined"
    assert rows == typed.rows
    assert joined.column_names[: len(typed.names)] == typed.names
    _compare(typed, joined)
    return "compared"


def frame() -> Typed:
    """Labels as they should be."""
    users, movies, seconds = zip(*LABELS, strict=True)
    start = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
    at = [datetime.fromtimestamp(start + second, UTC) for second in seconds]
    bases: dict[str, list[Any]] = {"user_id": list(users), "movie_id": list(movies), "event_timestamp": at}
    columns = [pa.array(bases[name]) for name in KEYS]
    return Typed([*KEYS, "place"], [*columns, pa.array(range(len(LABELS)))], [*KEYS, None], bases=bases)


def _must(typed: Typed) -> bool:
    """Whether a frame can be joined: plain columns, no name twice, and a good value in each row."""
    columns = [typed.role(name) for name in KEYS]
    if not typed.must or len({*typed.names}) != len(typed.names) or not typed.rows:
        return False
    plain = all(column is not None and is_plain(column.type, instants=False) for column in columns[:2])
    instants = columns[2] is not None and pa.types.is_timestamp(columns[2].type)
    good = all(values_of(column) == typed.bases[name] for column, name in zip(columns, KEYS, strict=True))
    return plain and instants and good and not any(pa.types.is_string(c.type) for c in columns[:2])


def _compare(typed: Typed, joined: pa.Table) -> None:
    """Rows whose keys and instant are as they were have the features that they had."""
    whole = _features()
    read = [values_of(typed.role(name)) for name in KEYS]
    found = joined.select(whole.column_names).to_pylist()
    for place, row in enumerate(zip(*read, strict=True)):
        same = [typed.bases[name][place] for name in KEYS]
        if list(row) == same:
            expected = whole.slice(place, 1).to_pylist()[0]
            assert found[place] == expected, f"row {place} is {found[place]}, not {expected}"


@cache
def _features() -> pa.Table:
    """The features of the labels as they should be."""
    file, out = home().parent / "labels.parquet", home().parent / "out.parquet"
    pq.write_table(frame().table, file)
    dataset_file(_store(), DOMAIN, SERVICE, file, out)
    names = [column.name for view in DOMAIN.services[SERVICE] for column in view.columns]
    return pq.read_table(out).select(names)


@cache
def _store() -> Any:
    return open_store(Settings(home=home()))
