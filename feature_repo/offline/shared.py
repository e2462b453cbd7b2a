"""What both engines share: where tables are, what a retrieval asks for, and what a label frame is.

Feast hands an offline store views, references and an entity frame; here they become `View`s and `Labels`, so
that an engine has to do the join only.

The rules of the join, the same for every engine. For each label row and each view, of the view's rows with
the label's keys and `event_timestamp <= label`, take the latest; of rows with that instant, the one with the
newest `created_timestamp` (a missing one counts as oldest). If the view has a TTL and that row is older than
`label - ttl`, its features are null; a row exactly that old still counts. A label without such a row, or with
a null key, gets null features. Every label row comes back once, in order, its columns untouched. A label
without a timestamp is an error. With `filter_by_created_timestamp`, rows with no `created_timestamp`, or one
after the label, do not exist. Instants are compared in microseconds, which is what Delta keeps: finer label
instants are rounded down, finer feature instants up, so that rounding never shows a label its future.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import TableNotFoundError
from feast.data_format import DeltaFormat, ParquetFormat
from feast.data_source import DataSource
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.feature_logging import LoggingConfig
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL, FeatureView
from feast.infra.offline_stores.file_source import FileLoggingDestination, FileSource, SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.saved_dataset import SavedDatasetStorage

from common.errors import MarqueeError

EVENT_TIMESTAMP = "event_timestamp"
"""The name that Feast expects of a label's instant."""
FEW_LABELS = 20
"""With this many rows per label or more, a view's rows are first reduced to the labels' keys: that costs a
look-up per row and saves sorting the others."""


# --- where tables are -------------------------------------------------------------------------------------


def absolute_lake(lake: str | None) -> str | None:
    """A configured lake as it is; Feast's command works in the repository's folder, so it must be absolute.

    Raises:
        click.UsageError: which Feast's command prints as one line.
    """
    if lake is not None and "${MARQUEE_HOME}" in lake:
        raise click.UsageError("MARQUEE_HOME is not set: export it (export MARQUEE_HOME=$PWD/.marquee).")
    if lake is not None and "://" not in lake and not Path(lake).is_absolute():
        raise click.UsageError(f"The lake {lake} is a relative path: make MARQUEE_HOME an absolute one.")
    return lake


def locate(config: RepoConfig, path: str) -> str:
    """The full path of a table: absolute paths and URIs as they are, others below the lake.

    Where the store has no lake, they are below the repository, as with Feast's own stores.
    """
    if "://" in path or Path(path).is_absolute():
        return path
    lake = config.offline_store.lake
    root = Path(lake) if lake is not None else Path(config.repo_path or ".")
    return str(root / path)


def file_source(source: DataSource | None) -> FileSource:
    """The source, if it is one that these stores can read."""
    if not isinstance(source, FileSource):
        kind = "none" if source is None else type(source).__name__
        raise MarqueeError(
            f"The as-of stores read FileSource only, not {kind}: give the view a FileSource with DeltaFormat."
        )
    return source


def storage_options(source: FileSource) -> dict[str, str] | None:
    options = {"AWS_ENDPOINT_URL": source.s3_endpoint_override} if source.s3_endpoint_override else {}
    return options | (source.resolve_credentials() or {}) or None


def delta_table(config: RepoConfig, source: FileSource) -> DeltaTable:
    """The Delta table of a source, at its newest version or at the one that the store's `versions` names.

    Raises:
        MarqueeError: there is no such table, or no such version.
    """
    path = locate(config, source.path)
    version = (config.offline_store.versions or {}).get(source.path)
    try:
        return DeltaTable(path, version=version, storage_options=storage_options(source))
    except TableNotFoundError as error:
        raise MarqueeError(
            f"There is no Delta table at {path}: build it first (marquee pipeline run)."
        ) from error
    except Exception as error:
        if version is not None:
            raise MarqueeError(f"The table at {path} has no version {version} any more: {error}.") from error
        raise


def dataset(config: RepoConfig, source: DataSource | None) -> pads.Dataset:
    """A source as an Arrow dataset; nothing is read yet."""
    source = file_source(source)
    if isinstance(source.file_format, DeltaFormat):
        return delta_table(config, source).to_pyarrow_dataset()
    if source.file_format is None or isinstance(source.file_format, ParquetFormat):
        path = locate(config, source.path)
        if "://" not in path and not Path(path).exists():
            raise MarqueeError(f"There is no Parquet file at {path}.")
        return pads.dataset(path, format="parquet")
    raise MarqueeError(f"The as-of stores read Delta and Parquet, not {source.file_format}.")


def check_source(config: RepoConfig, source: DataSource) -> None:
    """A table that is not built yet may be applied; one that is there must have its timestamps.

    Raises:
        MarqueeError: naming the table and the column that it lacks.
    """
    path = locate(config, file_source(source).path)
    if "://" in path or not Path(path).exists():
        return
    names = dataset(config, source).schema.names
    for column in (source.timestamp_field, source.created_timestamp_column):
        if column and column not in names:
            raise MarqueeError(f"The table at {path} has no column {column}.")


def tables_named(config: RepoConfig, query: str) -> Iterator[tuple[str, DeltaTable]]:
    """The lake's tables whose name occurs in the query."""
    lake = Path(locate(config, "."))
    for folder in sorted(lake.iterdir()) if lake.is_dir() else ():
        if folder.name in query and (folder / "_delta_log").is_dir():
            yield (
                folder.name,
                DeltaTable(folder, version=(config.offline_store.versions or {}).get(folder.name)),
            )


# --- what a retrieval asks for ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class View:
    """One view of a retrieval, in terms of its source's columns.

    Args:
        name: the view, or its alias.
        source: where its rows are.
        keys: pairs (column of the labels, column of the source).
        timestamp: the source's column of the instant from which a row is known.
        created: that of when the row was written, if there is one.
        ttl: for how long a row holds; None for ever.
        features: pairs (column of the source, name in the result).
    """

    name: str
    source: FileSource
    keys: tuple[tuple[str, str], ...]
    timestamp: str
    created: str | None
    ttl: timedelta | None
    features: tuple[tuple[str, str], ...]

    @property
    def source_columns(self) -> list[str]:
        """All columns that the join reads, each once."""
        times = [self.timestamp, *([self.created] if self.created else [])]
        return list(
            dict.fromkeys([key for _, key in self.keys] + times + [name for name, _ in self.features])
        )

    @property
    def outputs(self) -> list[str]:
        return [output for _, output in self.features]


def requested_views(
    feature_views: Sequence[FeatureView], feature_refs: Sequence[str], full_feature_names: bool
) -> list[View]:
    """What is asked of each view, in the order of `feature_views` and then of `feature_refs`.

    References of on-demand views are left to Feast.
    """
    views = []
    for feature_view in feature_views:
        name = feature_view.projection.name_to_use()  # type: ignore[no-untyped-call]
        wanted = [ref.split(":", 1)[1] for ref in feature_refs if ref.split(":", 1)[0] == name]
        source = file_source(feature_view.batch_source)
        stored = {new: old for old, new in (source.field_mapping or {}).items()}
        prefix = f"{feature_view.projection.name_alias or feature_view.name}__" if full_feature_names else ""
        views.append(
            View(
                name=name,
                source=source,
                keys=tuple(
                    (
                        feature_view.projection.join_key_map.get(column.name, column.name),
                        stored.get(column.name, column.name),
                    )
                    for column in feature_view.entity_columns
                    if column.name != DUMMY_ENTITY_ID
                ),
                timestamp=stored.get(source.timestamp_field, source.timestamp_field),
                created=stored.get(source.created_timestamp_column, source.created_timestamp_column) or None,
                ttl=feature_view.ttl or None,
                features=tuple((stored.get(feature, feature), prefix + feature) for feature in wanted),
            )
        )
    return views


def check_columns(view: View, schema: pa.Schema) -> None:
    """Every column that the join reads is in the source.

    Raises:
        MarqueeError: naming the view and the columns that it lacks.
    """
    missing = [name for name in view.source_columns if name not in schema.names]
    if missing:
        raise MarqueeError(
            f"The table of view {view.name} lacks {', '.join(missing)}: rebuild it (marquee pipeline run"
            " --full) or correct the view's definition."
        )


def check_outputs(label_columns: Sequence[str], views: Sequence[View]) -> None:
    """No two columns of the result have one name.

    Raises:
        MarqueeError: naming the columns.
    """
    taken = set(label_columns)
    for view in views:
        clash = sorted(taken.intersection(view.outputs))
        if clash:
            raise MarqueeError(
                f"The labels and view {view.name} both have {', '.join(clash)}: rename the labels' columns or"
                " ask for full feature names."
            )
        taken.update(view.outputs)


# --- what a label frame is --------------------------------------------------------------------------------


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
        MarqueeError: no timestamp column, several to choose from, or a row without a timestamp.
    """
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
    return Labels(table, name, _integers(instants.cast(pa.timestamp("us", "UTC"))), None)


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
    """A column of timestamps, dates or ISO strings as timestamps in UTC, of nanoseconds or coarser."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp(kind.unit, "UTC"))
    if pa.types.is_date(kind):
        return column.cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            parsed = pd.to_datetime(column.to_pandas(), utc=True, format="ISO8601")
        except ValueError as error:
            why = str(error).splitlines()[0]
            raise MarqueeError(f"Column {name} holds text that is not a time: {why}.") from error
        return pa.chunked_array([pa.Array.from_pandas(parsed, type=pa.timestamp("ns", "UTC"))])
    if pa.types.is_null(kind):
        return column.cast(pa.timestamp("us", "UTC"))
    raise MarqueeError(f"Column {name} holds {kind}, not timestamps: convert it to timestamps in UTC.")


def _integers(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    values: npt.NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
    return values


def frame_to_arrow(frame: pd.DataFrame) -> pa.Table:
    """A pandas label frame as Arrow, without its index; pandas' own types come back in `to_df`.

    Raises:
        MarqueeError: a column mixes types.
    """
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise MarqueeError(
            f"The label frame has a column that Arrow cannot hold: {' '.join(map(str, error.args))}."
        ) from error


def label_key(labels: pa.Table, name: str, view: View, kind: pa.DataType) -> pa.ChunkedArray:
    """A label column as keys of a view, in the type of the view's key.

    Whole numbers that pandas turned into floats (because some are missing) are whole numbers again.

    Raises:
        MarqueeError: the labels lack the column, or hold what cannot be such a key.
    """
    if name not in labels.column_names:
        raise MarqueeError(
            f"The labels lack {name}, which view {view.name} is joined on; they have"
            f" {', '.join(labels.column_names)}."
        )
    column = labels.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.type == kind:
        return column
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    numbers = _is_number(column.type) and _is_number(kind)
    texts = _is_text(column.type) and _is_text(kind)
    if not (numbers or texts or pa.types.is_null(column.type) or _same_family(column.type, kind)):
        raise MarqueeError(
            f"Label column {name} holds {column.type}, but the key of view {view.name} is {kind}: convert it."
        )
    try:
        return column.cast(kind)
    except pa.ArrowInvalid as error:
        raise MarqueeError(
            f"Label column {name} ({column.type}) does not fit the key of view {view.name} ({kind}): {error}."
        ) from error


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _same_family(one: pa.DataType, other: pa.DataType) -> bool:
    families = (pa.types.is_timestamp, pa.types.is_date, pa.types.is_boolean, pa.types.is_binary)
    return any(family(one) and family(other) for family in families)


def utc(moment: datetime) -> datetime:
    """A moment in UTC; a naive one is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def retrieval_metadata(feature_refs: list[str], labels: Labels) -> RetrievalMetadata:
    def moment(microseconds: int) -> datetime:
        return pd.Timestamp(microseconds, unit="us", tz="UTC").to_pydatetime()

    known = len(labels.instants) > 0
    return RetrievalMetadata(
        features=feature_refs,
        keys=[name for name in labels.table.column_names if name != labels.timestamp],
        min_event_timestamp=moment(int(labels.instants.min())) if known else None,
        max_event_timestamp=moment(int(labels.instants.max())) if known else None,
    )


# --- results ----------------------------------------------------------------------------------------------


class ArrowJob(RetrievalJob):
    """A retrieval whose result is an Arrow table, computed when asked for."""

    def __init__(
        self,
        config: RepoConfig,
        compute: Callable[[], pa.Table],
        full_feature_names: bool = False,
        on_demand_feature_views: list[OnDemandFeatureView] | None = None,
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        self._config = config
        self._compute = compute
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = on_demand_feature_views or []
        self._metadata = metadata

    @property
    def full_feature_names(self) -> bool:
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        return self._metadata

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002
        return self._compute()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:  # noqa: ARG002
        frame: pd.DataFrame = self._compute().to_pandas()
        return frame

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool | None = False,
        timeout: int | None = None,
    ) -> None:
        """Write the result to a Delta table (or a Parquet file), whole or not at all.

        Raises:
            SavedDatasetLocationAlreadyExists: there is something, and `allow_overwrite` is false.
        """
        if not isinstance(storage, SavedDatasetFileStorage):
            raise MarqueeError(
                f"A data set is saved as SavedDatasetFileStorage, not as {type(storage).__name__}."
            )
        save(self._config, self.to_arrow(timeout=timeout), storage, bool(allow_overwrite))


def save(config: RepoConfig, table: pa.Table, storage: SavedDatasetFileStorage, overwrite: bool) -> None:
    """Write a result where a saved data set is to be."""
    source, path = file_source(storage.to_data_source()), saved_path(config, storage, overwrite)
    if isinstance(source.file_format, DeltaFormat):
        write_deltalake(
            path,
            storable(table),
            mode="overwrite" if overwrite else "error",
            schema_mode="overwrite" if overwrite else None,
            storage_options=storage_options(source),
        )
    elif path.endswith(".parquet"):
        import pyarrow.parquet as pq

        Path(path).parent.mkdir(parents=True, exist_ok=True)
        temporary = f"{path}.part"
        pq.write_table(table, temporary)
        Path(temporary).replace(path)
    else:
        pads.write_dataset(table, path, format="parquet", existing_data_behavior="delete_matching")


def saved_path(config: RepoConfig, storage: SavedDatasetFileStorage, overwrite: bool) -> str:
    """Where a data set is to be saved.

    Raises:
        SavedDatasetLocationAlreadyExists: there is something, and it is not to be overwritten.
    """
    path = locate(config, file_source(storage.to_data_source()).path)
    if not overwrite and "://" not in path and Path(path).exists():
        raise SavedDatasetLocationAlreadyExists(location=path)
    return path


def storable(table: pa.Table) -> pa.Table:
    """A table in types that Delta has: microseconds, no dictionaries, no column of nothing."""

    def kind(of: pa.DataType) -> pa.DataType:
        if pa.types.is_timestamp(of):
            return pa.timestamp("us", "UTC")
        if pa.types.is_dictionary(of):
            return of.value_type
        if pa.types.is_null(of):
            return pa.string()
        return of

    schema = pa.schema([pa.field(field.name, kind(field.type)) for field in table.schema])
    return table.cast(schema, safe=False)


def append(config: RepoConfig, feature_view: FeatureView, table: pa.Table) -> None:
    """Append rows to the Delta table of a view, as one commit.

    Columns may come in any order; a missing `created_timestamp` is filled with the present. The table is made
    if there is none.

    Raises:
        MarqueeError: columns are missing or unknown, or a value does not fit its column.
    """
    source = file_source(feature_view.batch_source)
    if not isinstance(source.file_format, DeltaFormat):
        raise MarqueeError(f"View {feature_view.name} is not stored as Delta: only Delta is appended to.")
    created = source.created_timestamp_column
    if created and created not in table.column_names:
        now = pa.repeat(pa.scalar(datetime.now(UTC), pa.timestamp("us", "UTC")), table.num_rows)
        table = table.append_column(created, now)
    path = locate(config, source.path)
    options = storage_options(source)
    if DeltaTable.is_deltatable(path, options):
        schema = DeltaTable(path, storage_options=options).schema().to_pyarrow()
        different = set(schema.names) ^ set(table.column_names)
        if different:
            raise MarqueeError(
                f"Rows for view {feature_view.name} need the columns {', '.join(schema.names)}: "
                f"{', '.join(sorted(different))} is missing or unknown."
            )
        try:
            table = table.select(schema.names).cast(schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise MarqueeError(f"Rows for view {feature_view.name} do not fit its table: {error}.") from error
    write_deltalake(path, storable(table), mode="append", storage_options=options)


def source_columns(config: RepoConfig, source: DataSource) -> list[tuple[str, str]]:
    """Names and Arrow types (as text) of a source's columns, for Feast's inference."""
    schema = dataset(config, source).schema
    return [(field.name, str(field.type)) for field in schema]


def write_logs(config: RepoConfig, data: pa.Table | Path, logging_config: LoggingConfig) -> None:
    """Write features that a server logged to Parquet files, beside those that are there."""
    destination = logging_config.destination
    if not isinstance(destination, FileLoggingDestination):
        raise MarqueeError(f"Features are logged to files, not to {type(destination).__name__}.")
    rows = pads.dataset(data) if isinstance(data, Path) else data
    pads.write_dataset(
        rows,
        locate(config, destination.path),
        format="parquet",
        partitioning=destination.partition_by,
        basename_template=f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{{i}}.parquet",
        existing_data_behavior="overwrite_or_ignore",
    )


def pulled_columns(keys: list[str], features: list[str], timestamp: str, created: str | None) -> list[str]:
    return list(dict.fromkeys([*keys, *features, timestamp, *([created] if created else [])]))


def as_stored(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Columns in their stored types, in one chunk: Feast writes only a table's first chunk online."""
    kinds = pa.schema([pa.field(name, schema.field(name).type) for name in table.column_names])
    return table.cast(kinds).combine_chunks()


def with_dummy_key(table: pa.Table, keys: list[str]) -> pa.Table:
    """A view without entities has one row, under the key that Feast gives it."""
    if keys:
        return table
    return table.append_column(DUMMY_ENTITY_ID, pa.repeat(pa.scalar(DUMMY_ENTITY_VAL), table.num_rows))
