"""Writing a Delta table from Arrow, wherever it lies.

deltalake takes a path for a part of a URL. Where the path has other characters than a URL may, it makes
folders that nobody asked for, or gives up. The commits of such tables are written here, by the rules of Delta
tables: a Parquet file, then an entry in the log, which is made at once and by one writer only.

So are those of a table in which a column is named as parts of nested ones are. deltalake counts the nulls of
a map's keys as those of a column `key`, and whoever reads the table then takes its values for missing.
"""

import json
import os
import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema, write_deltalake

_PLAIN = re.compile(r"[\w./-]*", re.ASCII)
_PARTS = frozenset({"key", "value", "key_value", "entries", "element", "item", "list"})
"""What Arrow and Parquet call the parts of maps and lists."""
LOG = "_delta_log"
READER_VERSION, WRITER_VERSION = 1, 4
"""Of the protocol: what change data feeds need."""


def write(
    table: Path,
    rows: pa.Table,
    overwrite: bool = False,
    properties: Mapping[str, str] | None = None,
    said: Mapping[str, str] | None = None,
) -> None:
    """Add rows to a table, or replace its rows and columns, in one commit; it is made if there is none.

    Args:
        table: its folder.
        rows: in types that Delta has; where they are added, with the table's columns.
        properties: of a table that is made or replaced, such as "delta.enableChangeDataFeed".
        said: what the commit says of itself.

    Raises:
        OSError, DeltaError: it cannot be written.
    """
    if _PLAIN.fullmatch(os.fspath(table)) and not _PARTS.intersection(rows.column_names):
        write_deltalake(
            table,
            rows,
            mode="overwrite" if overwrite else "append",
            schema_mode="overwrite" if overwrite else None,
            configuration=dict(properties or {}),
            commit_properties=CommitProperties(custom_metadata=dict(said or {})),
        )
        return
    before = DeltaTable(table) if (table / LOG).is_dir() else None
    version = 0 if before is None else before.version() + 1
    (table / LOG).mkdir(parents=True, exist_ok=True)
    actions: list[dict[str, Any]] = [_commit(overwrite, said or {})]
    if before is None:
        versions = {"minReaderVersion": READER_VERSION, "minWriterVersion": WRITER_VERSION}
        actions.append({"protocol": versions})
    if before is None or overwrite:
        kept = str(before.metadata().id) if before is not None else str(uuid4())
        actions.append(_metadata(kept, rows.schema, properties or {}))
    if before is not None and overwrite:
        actions += ({"remove": _removed(path)} for path in before.files())
    if rows.num_rows:
        actions.append({"add": _added(table, rows)})
    _put(table / LOG / f"{version:020d}.json", actions)


def _now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _commit(overwrite: bool, said: Mapping[str, str]) -> dict[str, Any]:
    mode = "Overwrite" if overwrite else "Append"
    about = {"timestamp": _now(), "operation": "WRITE", "operationParameters": {"mode": mode}}
    return {"commitInfo": about | dict(said)}


def _metadata(identity: str, schema: pa.Schema, properties: Mapping[str, str]) -> dict[str, Any]:
    return {
        "metaData": {
            "id": identity,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": Schema.from_pyarrow(schema).to_json(),
            "partitionColumns": [],
            "configuration": dict(properties),
            "createdTime": _now(),
        }
    }


def _removed(path: str) -> dict[str, Any]:
    return {"path": path, "deletionTimestamp": _now(), "dataChange": True, "partitionValues": {}}


def _added(table: Path, rows: pa.Table) -> dict[str, Any]:
    name = f"part-00000-{uuid4()}-c000.snappy.parquet"
    pq.write_table(rows, table / name)
    return {
        "path": name,
        "partitionValues": {},
        "size": (table / name).stat().st_size,
        "modificationTime": _now(),
        "dataChange": True,
        "stats": json.dumps({"numRecords": rows.num_rows}),
    }


def _put(entry: Path, actions: list[dict[str, Any]]) -> None:
    """Make an entry of the log whole; of two writers of one version, the second fails.

    Raises:
        FileExistsError: another writer was quicker.
    """
    lines = "".join(json.dumps(action) + "\n" for action in actions)
    with tempfile.NamedTemporaryFile(
        "w", dir=entry.parent, prefix=".", suffix=".tmp", encoding="utf-8"
    ) as file:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
        os.link(file.name, entry)
