"""The label frame: its instants, and its columns as keys."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast.infra.offline_stores.offline_store import RetrievalMetadata

from common.errors import MarqueeError

EVENT_TIMESTAMP = "event_timestamp"
"""The name that Feast expects of a label's instant."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The rows that features are joined to.

    Args:
        table: all their columns, which the result starts with.
        timestamp: the column of their instant.
        instants: (n,) int64, that instant in microseconds since 1970, rounded down.
        sub_microsecond: (n,) whether rounding took something away (which only a TTL's lower edge notices);
            None where it nowhere did.
    """

    table: pa.Table
    timestamp: str
    instants: npt.NDArray[np.int64]
    sub_microsecond: npt.NDArray[np.bool_] | None

    def oldest_allowed(self, ttl: timedelta) -> npt.NDArray[np.int64]:
        """(n,) the oldest instant, in microseconds, of a row that is not expired for each label."""
        edge = self.instants - ttl // timedelta(microseconds=1)
        return edge if self.sub_microsecond is None else edge + self.sub_microsecond


def labels_of(table: pa.Table) -> Labels:
    """Find the labels' timestamps and read them as instants; naive ones are UTC.

    Raises:
        MarqueeError: no timestamp column, several to choose from, one that holds no instants, or a row
            without one; or two columns have one name.
    """
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if twice:
        raise MarqueeError(f"The labels have several columns named {', '.join(twice)}: rename all but one.")
    name = timestamp_column(table.schema)
    instants = timestamps(table.column(name), name)
    if instants.null_count:
        row = pc.index(pc.is_null(instants), True).as_py() + 1
        raise MarqueeError(
            f"Label row {row} has no {name}: {instants.null_count} of {len(instants)} label rows have no "
            "timestamp; fill or remove them."
        )
    if instants.type.unit == "ns":
        nanoseconds = _integers(instants)
        remainder = nanoseconds % 1000
        return Labels(
            table, name, (nanoseconds - remainder) // 1000, remainder > 0 if remainder.any() else None
        )
    return Labels(table, name, _integers(instants), None)


def timestamp_column(schema: pa.Schema) -> str:
    """`event_timestamp`, or else the only column of timestamps."""
    if EVENT_TIMESTAMP in schema.names:
        return EVENT_TIMESTAMP
    candidates = [field.name for field in schema if pa.types.is_timestamp(field.type)]
    if len(candidates) != 1:
        found = f"has several timestamps ({', '.join(candidates)})" if candidates else "has no timestamp"
        raise MarqueeError(
            f"The label table {found} and no column {EVENT_TIMESTAMP}: give its instants that name."
        )
    return str(candidates[0])


def timestamps(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Timestamps, dates or ISO strings as timestamps in UTC, of nanoseconds or microseconds.

    Raises:
        MarqueeError: the column holds something else, or an instant that 64 bits cannot hold.
    """
    column = plain_column(column)
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return column.cast(pa.timestamp("ns", "UTC"))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_null(kind):
        try:
            # By way of a timestamp without a zone, as dates have none.
            coarse = column.cast(pa.timestamp("us")) if pa.types.is_date(kind) else column
            return coarse.cast(pa.timestamp("us", "UTC"))
        except pa.ArrowInvalid as error:
            raise MarqueeError(
                f"Column {name} ({kind}) holds what is no instant of ours: {error}."
            ) from error
    if _is_text(kind):
        texts = column.cast(pa.string()).to_pandas()
        try:
            parsed = pd.to_datetime(texts, utc=True, format="ISO8601")
        except ValueError as error:
            known = pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce")
            row = int((known.isna() & texts.notna()).to_numpy().argmax())
            raise MarqueeError(
                f"Column {name}, row {row + 1}, is {texts.iloc[row]!r}, which is no instant of ours: write it"
                " as 2020-01-31T12:00:00Z."
            ) from error
        return pa.chunked_array([pa.Array.from_pandas(parsed, type=pa.timestamp("ns", "UTC"))])
    raise MarqueeError(f"Column {name} holds {kind}, not timestamps: convert it to timestamps in UTC.")


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column without the wrappings that only save space: dictionaries and runs."""
    while True:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        elif pa.types.is_run_end_encoded(column.type):
            decoded = [pc.run_end_decode(chunk) for chunk in column.chunks]
            column = pa.chunked_array(decoded, column.type.value_type)
        else:
            return column


def _integers(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    values: npt.NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
    return values


def frame_to_arrow(frame: pd.DataFrame) -> pa.Table:
    """A pandas label frame as Arrow, without its index; pandas' own types come back in `to_df`.

    Raises:
        MarqueeError: a column mixes types, or two have one name.
    """
    if not frame.columns.is_unique:
        twice = ", ".join(sorted({str(name) for name in frame.columns[frame.columns.duplicated()]}))
        raise MarqueeError(f"The label frame has several columns named {twice}: rename or drop all but one.")
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise MarqueeError(
            f"The label frame has a column that Arrow cannot hold: {' '.join(map(str, error.args)).strip()}."
        ) from error


def key_column(table: pa.Table, name: str, kind: pa.DataType, view: str) -> pa.ChunkedArray:
    """A column of labels as keys of a view, in the type of the view's key.

    Whole numbers that pandas turned into floats (because some are missing) are whole numbers again.

    Args:
        kind: that type.
        view: the view's name, for the sentence of a refusal.

    Raises:
        MarqueeError: the labels lack the column, or hold what cannot be such a key.
    """
    if name not in table.column_names:
        raise MarqueeError(
            f"The labels lack {name}, which view {view} is joined on; they have"
            f" {', '.join(table.column_names)}."
        )
    column = plain_column(table.column(name))
    if column.type == kind:
        return column
    if pa.types.is_decimal(column.type) and column.type.bit_width < 128:
        column = column.cast(pa.decimal128(38, column.type.scale))  # narrower ones do not become integers
    elif pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    numbers = _is_number(column.type) and _is_number(kind)
    texts = _is_text(column.type) and _is_text(kind)
    if not (numbers or texts or pa.types.is_null(column.type) or _same_family(column.type, kind)):
        raise MarqueeError(
            f"Label column {name} holds {column.type}, but the key of view {view} is {kind}: convert it."
        )
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise MarqueeError(
            f"Label column {name} ({column.type}) does not fit the key of view {view} ({kind}): {error}."
        ) from error


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _same_family(one: pa.DataType, other: pa.DataType) -> bool:
    families = (pa.types.is_timestamp, pa.types.is_date, pa.types.is_boolean, pa.types.is_binary)
    return any(family(one) and family(other) for family in families)


def utc(moment: datetime) -> datetime:
    """A moment in UTC; a naive one is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def retrieval_metadata(feature_refs: list[str], labels: Labels) -> RetrievalMetadata:
    """What Feast is told of the labels of a retrieval."""

    def moment(microseconds: int) -> datetime:
        return pd.Timestamp(microseconds, unit="us", tz="UTC").to_pydatetime()

    known = len(labels.instants) > 0
    return RetrievalMetadata(
        features=feature_refs,
        keys=[name for name in labels.table.column_names if name != labels.timestamp],
        min_event_timestamp=moment(int(labels.instants.min())) if known else None,
        max_event_timestamp=moment(int(labels.instants.max())) if known else None,
    )
