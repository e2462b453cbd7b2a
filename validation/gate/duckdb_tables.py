"""The gate's tables in a DuckDB of this process."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as pads

from feature_repo.arrow import ARROW_TYPES
from lake.dialect import for_duckdb, teach
from lake.duckdb import MEMORY, connection
from validation.gate.checks import TYPE_NAMES, relation
from validation.gate.tables import QueryError, Tables

_NAMES = {ARROW_TYPES[type_]: name for type_, name in TYPE_NAMES.items()}


@contextmanager
def in_process(
    rows: Mapping[str, pa.Table | pads.Dataset],
    hidden: Collection[str] = (),
    memory: str = MEMORY,
    spill: Path | None = None,
) -> Iterator[Tables]:
    """Tables in memory or in files; the latter are read anew by each query.

    Args:
        rows: by the table's name.
        hidden: columns that are not part of the tables.
        memory: the limit, past which it spills.
        spill: the folder that it then makes one of its own in; the system's for temporary files where None.
    """
    with connection(memory, spill) as opened:
        teach(opened)
        for name, table in rows.items():
            opened.register(relation(name), table)
        schemas = {name: table.schema for name, table in rows.items()}
        yield _InProcess(opened, schemas, frozenset(hidden))


class _InProcess:
    """`Tables` by DuckDB."""

    def __init__(
        self, opened: duckdb.DuckDBPyConnection, schemas: Mapping[str, pa.Schema], hidden: frozenset[str]
    ) -> None:
        self._opened, self._schemas, self._hidden = opened, schemas, hidden

    def __contains__(self, name: str) -> bool:
        return name in self._schemas

    def types(self, name: str) -> dict[str, str]:
        return {
            field.name: _type_name(field.type)
            for field in self._schemas[name]
            if field.name not in self._hidden
        }

    def fetch(self, query: str) -> list[dict[str, Any]]:
        try:
            rows = self._opened.sql(for_duckdb(query)).to_arrow_table().to_pylist()
        except duckdb.Error as error:
            raise QueryError(str(error).strip().splitlines()[0]) from error
        return [{name: _without_zone(value) for name, value in row.items()} for row in rows]


def _type_name(kind: pa.DataType) -> str:
    # What the elements of a list are called is not a part of its type.
    return _NAMES.get(pa.list_(kind.value_type) if pa.types.is_list(kind) else kind, str(kind))


def _without_zone(value: Any) -> Any:
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value
