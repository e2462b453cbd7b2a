"""Where the tables are that Feast's sources name, and how they are read, appended to and saved."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.dataset as pads
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import TableNotFoundError
from feast.data_format import DeltaFormat, ParquetFormat
from feast.data_source import DataSource
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.feature_logging import LoggingConfig
from feast.feature_view import FeatureView
from feast.infra.offline_stores.file_source import FileLoggingDestination, FileSource, SavedDatasetFileStorage
from feast.repo_config import RepoConfig

from common.errors import MarqueeError
from feature_repo.define.column import STATE
from feature_repo.home import placed_for_feast
from lake.damage import check_files, reading
from lake.opening import opened
from lake.stamps import later_than
from lake.write import LOG, write

_INDEX = re.compile(r"__index_level_\d+__")


def absolute_lake(lake: str | None) -> str | None:
    """A configured lake, its home filled in; Feast's command works in the repository's folder, so it must be
    absolute.

    Raises:
        click.UsageError: which Feast's command prints as one line.
    """
    lake = placed_for_feast(lake)
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
        MarqueeError: there is no such table or version, or it cannot be read.
    """
    path = locate(config, source.path)
    version = (config.offline_store.versions or {}).get(source.path)
    missing = MarqueeError(f"There is no Delta table at {path}: build it first (marquee pipeline run).")
    if "://" not in path:
        if not (Path(path) / LOG).is_dir():
            raise missing  # deltalake would make a folder for it
        return _local_table(Path(path), version)
    with reading(Path(path), version):
        try:
            return DeltaTable(path, version=version, storage_options=storage_options(source))
        except TableNotFoundError as error:
            raise missing from error


def _local_table(folder: Path, version: int | None) -> DeltaTable:
    """A Delta table of which every data file is there."""
    with reading(folder, version):
        table = opened(folder, version)
    check_files(folder, table, version)
    return table


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


def require_columns(
    config: RepoConfig, view: str, path: str, schema: pa.Schema, columns: Iterable[str]
) -> None:
    """Refuse a view's table that was computed before some of the view's columns were declared.

    Args:
        view: its name, for the sentence.
        path: of the table, as the view's source names it.
        schema: of the table, as it is stored.
        columns: that it must have.

    Raises:
        MarqueeError: naming the view and the columns that its table lacks.
    """
    missing = [name for name in columns if name not in schema.names]
    if not missing:
        return
    lacks = f"table of view {view} in {locate(config, '.')} lacks {', '.join(missing)}"
    version = (config.offline_store.versions or {}).get(path)
    if version is not None:
        raise MarqueeError(f"Version {version} of the {lacks}: the view had no such column then.")
    raise MarqueeError(f"The {lacks}: compute it again (`marquee pipeline run --full {view}`).")


def source_columns(config: RepoConfig, source: DataSource) -> list[tuple[str, str]]:
    """Names and Arrow types (as text) of a source's columns, for Feast; none that is ours alone."""
    schema = dataset(config, source).schema
    return [(field.name, str(field.type)) for field in schema if field.name != STATE]


def tables_named(config: RepoConfig, query: str) -> Iterator[tuple[str, DeltaTable]]:
    """The lake's tables whose name occurs in the query."""
    lake = Path(locate(config, "."))
    for folder in sorted(lake.iterdir()) if lake.is_dir() else ():
        if folder.name in query and (folder / LOG).is_dir():
            yield folder.name, _local_table(folder, (config.offline_store.versions or {}).get(folder.name))


def append(config: RepoConfig, feature_view: FeatureView, table: pa.Table) -> None:
    """Append rows to the Delta table of a view, as one commit.

    Columns may come in any order; a missing `created_timestamp` is filled with the present, or with a later
    instant than any row of the table has, and `STATE` with nothing: later updates go on from the newest row
    that has one. The table is made if there is none.

    Raises:
        MarqueeError: columns are missing or unknown, or a value does not fit its column.
    """
    source = file_source(feature_view.batch_source)
    if not isinstance(source.file_format, DeltaFormat):
        raise MarqueeError(f"View {feature_view.name} is not stored as Delta: only Delta is appended to.")
    # What pandas calls the rows is no column.
    table = table.drop_columns([name for name in table.column_names if _INDEX.fullmatch(name)])
    path = locate(config, source.path)
    options = storage_options(source)
    held = DeltaTable(path, storage_options=options) if DeltaTable.is_deltatable(path, options) else None
    created = source.created_timestamp_column
    if created and created not in table.column_names:
        now = datetime.now(UTC)
        stamp = now if held is None else later_than(held, created, now)
        stamps = pa.repeat(pa.scalar(stamp, pa.timestamp("us", "UTC")), table.num_rows)
        table = table.append_column(created, stamps)
    if held is not None:
        schema = held.schema().to_pyarrow()
        if STATE in schema.names and STATE not in table.column_names:
            table = table.append_column(STATE, pa.nulls(table.num_rows, schema.field(STATE).type))
        different = set(schema.names) ^ set(table.column_names)
        if different:
            raise MarqueeError(
                f"Rows for view {feature_view.name} need the columns"
                f" {', '.join(name for name in schema.names if name != STATE)}: "
                f"{', '.join(sorted(different))} is missing or unknown."
            )
        try:
            table = table.select(schema.names).cast(schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise MarqueeError(f"Rows for view {feature_view.name} do not fit its table: {error}.") from error
    _write(path, storable(table), overwrite=False, options=options)


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


def save(config: RepoConfig, table: pa.Table, storage: SavedDatasetFileStorage, overwrite: bool) -> None:
    """Write a result where a saved data set is to be."""
    source, path = file_source(storage.to_data_source()), saved_path(config, storage, overwrite)
    if isinstance(source.file_format, DeltaFormat):
        _write(path, storable(table), overwrite, storage_options(source))
    elif path.endswith(".parquet"):
        import pyarrow.parquet as pq

        Path(path).parent.mkdir(parents=True, exist_ok=True)
        temporary = f"{path}.part"
        pq.write_table(table, temporary)
        Path(temporary).replace(path)
    else:
        pads.write_dataset(table, path, format="parquet", existing_data_behavior="delete_matching")


def _write(path: str, table: pa.Table, overwrite: bool, options: dict[str, str] | None) -> None:
    """Add rows to a Delta table, or replace it; it is made if there is none."""
    if "://" not in path:
        write(Path(path), table, overwrite)
        return
    write_deltalake(
        path,
        table,
        mode="overwrite" if overwrite else "append",
        schema_mode="overwrite" if overwrite else None,
        storage_options=options,
    )


def saved_path(config: RepoConfig, storage: SavedDatasetFileStorage, overwrite: bool) -> str:
    """Where a data set is to be saved.

    Raises:
        SavedDatasetLocationAlreadyExists: there is something, and it is not to be overwritten.
    """
    path = locate(config, file_source(storage.to_data_source()).path)
    if not overwrite and "://" not in path and Path(path).exists():
        raise SavedDatasetLocationAlreadyExists(location=path)
    return path


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


def as_stored(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Columns in their stored types, in one chunk: Feast writes only a table's first chunk online."""
    kinds = pa.schema([pa.field(name, schema.field(name).type) for name in table.column_names])
    return table.cast(kinds).combine_chunks()
