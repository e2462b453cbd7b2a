"""What is new in a Delta table since a version of it, by its log."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pyarrow.dataset as pads
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import FileSystem, FileType, LocalFileSystem, PyFileSystem, SubTreeFileSystem


def added_rows(table: DeltaTable, since: int, options: dict[str, str] | None = None) -> pads.Dataset | None:
    """The rows that were appended after version `since`, up to the version that `table` is at.

    Commits that only arrange rows anew, such as a compaction, do not count.

    Args:
        options: of the table's storage.

    Returns:
        None where rows were taken away or replaced too, or where the log or the files no longer tell.
    """
    files = _files(table, options)
    schema = table.to_pyarrow_dataset().schema
    if since > table.version() or table.metadata().partition_columns:
        return None
    paths = []
    for version in range(since + 1, table.version() + 1):
        try:
            actions = list(_actions(files, version))
        except (FileNotFoundError, ValueError):
            return None
        if any(action["remove"].get("dataChange", True) for action in actions if "remove" in action):
            return None
        adds = (action["add"] for action in actions if "add" in action)
        paths += [unquote(add["path"]) for add in adds if add["dataChange"]]
    if any(info.type != FileType.File for info in files.get_file_info(paths)):
        return None
    return pads.dataset(paths, schema=schema, format="parquet", filesystem=files)


def _files(table: DeltaTable, options: dict[str, str] | None) -> FileSystem:
    """The files of a table, by their paths within it."""
    if "://" in table.table_uri:
        return PyFileSystem(DeltaStorageHandler(table.table_uri, options))
    # deltalake's own would make a folder where the path has what a URL has not.
    return SubTreeFileSystem(unquote(table.table_uri), LocalFileSystem())


def _actions(files: FileSystem, version: int) -> Iterator[dict[str, Any]]:
    with files.open_input_stream(f"_delta_log/{version:020d}.json") as stream:
        for line in stream.read().splitlines():
            yield json.loads(line)
