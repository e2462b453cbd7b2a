"""Point-in-time data sets: labels in, labels with features out."""

import difflib
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast import FeatureService, FeatureStore

from common.errors import MarqueeError
from common.files import cannot_write
from feature_repo.schema import EVENT_TIMESTAMP, FEATURE_TABLES, SERVICES

KEYS = tuple(dict.fromkeys(key.name for table in FEATURE_TABLES for key in table.key))


def point_in_time(store: FeatureStore, service: str, labels: pa.Table) -> pa.Table:
    """Join a service's features to labels, each as known at the label's instant.

    Args:
        store: an applied store.
        service: name of a feature service.
        labels: n rows with `user_id`, `movie_id` (integers) and `event_timestamp` (naive ones are UTC);
            further columns are kept.

    Returns:
        n rows in the labels' order: their columns untouched, then the features, null where nothing was known.

    Raises:
        MarqueeError: the service is unknown; a column is missing, of a wrong type, or lacks a timestamp.
    """
    chosen = find_service(store, service)
    check_labels(labels)
    return store.get_historical_features(labels, chosen).to_arrow()


def dataset_file(store: FeatureStore, service: str, labels: Path, out: Path) -> int:
    """`point_in_time` from Parquet to Parquet; `out` appears whole or not at all.

    Returns:
        The number of rows.

    Raises:
        MarqueeError: also if a file cannot be read or written.
    """
    if not labels.is_file():
        raise MarqueeError(f"There is no label file at {labels}.")
    try:
        table = pq.ParquetFile(labels).read()
    except (pa.ArrowException, OSError) as error:
        why = " ".join(str(error).split()).rstrip(".")
        raise MarqueeError(f"{labels} is not a Parquet file that can be read: {why}.") from error
    twice = [name for name in table.column_names if table.column_names.count(name) > 1]
    if twice:
        raise MarqueeError(f"{labels} has several columns named {twice[0]}: rename all but one.")
    result = point_in_time(store, service, table)
    temporary = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(result, temporary)
        temporary.replace(out)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise cannot_write(out, error) from error
    return int(result.num_rows)


def find_service(store: FeatureStore, name: str) -> FeatureService:
    """A feature service by name.

    Raises:
        MarqueeError: it is unknown, naming the nearest; or nothing is applied yet.
    """
    services = {service.name: service for service in store.list_feature_services()}
    if name in services:
        return services[name]
    if not services and name in SERVICES:
        raise MarqueeError("The registry has no services yet: run marquee features apply first.")
    known = sorted(services) or sorted(SERVICES)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the services are {', '.join(known)}."
    raise MarqueeError(f"There is no feature service {name}: {hint}")


def check_labels(labels: pa.Table) -> None:
    """The columns that every service needs are there and of a type that can be joined.

    Raises:
        MarqueeError: naming the column, and the row where it is one row's fault.
    """
    missing = [name for name in (*KEYS, EVENT_TIMESTAMP) if name not in labels.column_names]
    if missing:
        raise MarqueeError(
            f"The labels lack {', '.join(missing)}; they have"
            f" {', '.join(labels.column_names) or 'no columns'}."
        )
    for name in KEYS:
        kind = labels.schema.field(name).type
        if not (pa.types.is_integer(kind) or pa.types.is_null(kind) or _whole(labels.column(name))):
            raise MarqueeError(
                f"Label column {name} holds {kind}, not whole numbers: convert it to integers."
            )
    kind = labels.schema.field(EVENT_TIMESTAMP).type
    if not pa.types.is_timestamp(kind):
        raise MarqueeError(
            f"Label column {EVENT_TIMESTAMP} holds {kind}, not timestamps: convert it to timestamps in UTC."
        )
    row = _outside_the_calendar(labels.column(EVENT_TIMESTAMP))
    if row is not None:
        raise MarqueeError(
            f"Label column {EVENT_TIMESTAMP}, row {row + 1}, is outside the years 1 to 9999: mend it."
        )


def _outside_the_calendar(instants: pa.ChunkedArray) -> int | None:
    """The first instant that no calendar of Python's holds; None where all are well."""
    kind = instants.type
    if kind.unit == "ns" or len(instants) == 0:  # 64 bits of nanoseconds span 1677 to 2262
        return None
    counts = instants.cast(pa.int64())
    first, last = (
        pa.scalar(moment, pa.timestamp(kind.unit)).cast(pa.int64())
        for moment in (datetime(1, 1, 2), datetime(9999, 12, 30))
    )
    outside = pc.or_kleene(pc.less(counts, first), pc.greater(counts, last))
    row = int(pc.index(outside, True).as_py())
    return row if row >= 0 else None


def _whole(column: pa.ChunkedArray) -> bool:
    """Whether floats are whole numbers, as pandas makes them where some are missing."""
    if not pa.types.is_floating(column.type):
        return False
    return bool(
        pc.all(pc.or_kleene(pc.is_nan(column), pc.equal(pc.floor(column), column))).as_py() is not False
    )
