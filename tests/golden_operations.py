"""The golden files of operations: a few events, and the rows of a view that follow from them.

`golden/operations/<operation>.json` has `tables`, each with a line of column names and rows in the order in
which they arrived, and `cases`: a view over these tables, by what it shows, and its rows sorted by key and
instant. The tables are those of `tests.toy_domain`; so are the types. Instants are in UTC.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa

from feature_repo.arrow import arrow_schema
from feature_repo.define import operation as op
from feature_repo.define.check import check_view
from feature_repo.define.column import Column, Type
from feature_repo.define.role import Sequence as SequenceRole
from feature_repo.define.role import Unread
from feature_repo.define.table import Table
from feature_repo.define.view import Over, View
from tests.toy_domain import ARTICLE, ARTICLES, READER, READERS, READS

FOLDER = Path(__file__).parent / "golden" / "operations"
SOURCES = {table.name: table for table in (READS, ARTICLES, READERS)}
KEYS = {key.name: key for key in (READER, ARTICLE)}
OPERATIONS = {
    re.sub(r"(?<=.)([A-Z])", r"_\1", kind.__name__).lower(): kind for kind in get_args(op.Operation)
}
"""Every operation, by the name of its file."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Golden:
    """One case of a golden file.

    Args:
        name: the file's, and what the case shows.
        view: what is computed.
        tables: the source tables' rows by name, in the order of arrival: instants as `datetime`, lists as
            lists, None for no value.
        rows: the view's, sorted by key and instant: key, `event_timestamp`, features.
    """

    name: str
    view: View
    tables: dict[str, list[Row]]
    rows: list[Row]

    @property
    def arrow(self) -> dict[str, pa.Table]:
        """The source tables in Arrow, in their declared schemas; those not in the file are empty."""
        return {
            name: pa.Table.from_pylist(self.tables.get(name, []), arrow_schema(table))
            for name, table in SOURCES.items()
        }


def golden_cases(operation: str) -> list[Golden]:
    """The cases of an operation's file.

    Raises:
        FileNotFoundError: it has none.
    """
    told = json.loads((FOLDER / f"{operation}.json").read_text(encoding="utf-8"))
    tables = {name: _rows(lines, SOURCES[name]) for name, lines in told["tables"].items()}
    cases = []
    for name, case in told["cases"].items():
        view = _view(case["view"])
        cases.append(Golden(f"{operation}: {name}", view, tables, _rows(case["expected"], view.table)))
    return cases


def all_golden_cases() -> list[Golden]:
    """The cases of every operation."""
    return [case for operation in OPERATIONS for case in golden_cases(operation)]


def _rows(lines: list[list[Any]], table: Table) -> list[Row]:
    names, *rows = lines
    instants = {column.name for column in table.all_columns if column.type is Type.TIMESTAMP}
    return [
        {
            name: datetime.fromisoformat(value).replace(tzinfo=UTC) if name in instants and value else value
            for name, value in zip(names, row, strict=True)
        }
        for row in rows
    ]


def _view(told: dict[str, Any]) -> View:
    joined = told.get("joined")
    over = Over(SOURCES[told["over"]], joined and SOURCES[joined], _where(told))
    features = tuple(_operation(dict(feature), over) for feature in told["features"])
    view = View("golden", KEYS[told["by"]], over, features, "A view of a golden file.")
    check_view(view)
    return view


def _operation(told: Row, over: Over) -> op.Operation:
    kind = OPERATIONS[told.pop("operation")]
    of = over.column(told["of"]) if "of" in told else None
    match kind:
        case op.Count:
            return op.Count(_feature(told["column"], Type.INT64))
        case op.MeanStd:
            mean, std = (_feature(told.pop(name), Type.FLOAT64) for name in ("mean", "std"))
            return op.MeanStd(mean=mean, std=std, **told)
        case op.TopK:
            return op.TopK(told["of"], _feature(told["column"], Type.STRING_LIST, told["k"]), _where(told))
        case op.LastK:
            assert of is not None
            listed = Type.INT64_LIST if of.type is Type.INT64 else Type.STRING_LIST
            role = SequenceRole("golden", told.get("separator", ""))
            return op.LastK(told["of"], _feature(told["column"], listed, told["k"], role))
        case op.Fact:
            assert of is not None
            return op.Fact(told["of"], _feature(told["column"], of.type))
        case _:
            return kind(_feature(told["column"], Type.TIMESTAMP))


def _feature(name: str, of: Type, length: int | None = None, role: Any = None) -> Column:
    return Column(name, of, "Of a golden file.", nullable=True, length=length, role=role or Unread())


def _where(told: Row) -> op.AtLeast | None:
    return op.AtLeast(*next(iter(told["where"].items()))) if "where" in told else None
