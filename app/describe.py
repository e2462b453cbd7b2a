"""What is in the lake."""

from collections.abc import Iterable
from dataclasses import dataclass

from common.settings import Settings
from feature_repo.define.column import EVENT_TIMESTAMP
from feature_repo.define.domain import Domain
from feature_repo.define.table import QUARANTINE


@dataclass(frozen=True, slots=True)
class TableFacts:
    """One table of the lake.

    Args:
        rows: of its newest version.
        first, last: instants of its rows, as text (UTC); "" where its rows have none.
        version: of Delta.
        size: of the newest version's files, in bytes.
    """

    rows: int
    first: str
    last: str
    version: int
    size: int


def describe_lake(
    settings: Settings, domain: Domain, others: Iterable[Domain] = ()
) -> dict[str, TableFacts | None]:
    """Every table that a lake may have of a domain, by name; None where it is not there yet. And those of
    `others` that are there."""
    found = {name: describe_table(settings, name) for name in (*domain.tables, QUARANTINE)}
    more = {name: describe_table(settings, name) for other in others for name in other.tables}
    return found | {name: facts for name, facts in more.items() if facts is not None}


def describe_table(settings: Settings, name: str) -> TableFacts | None:
    """One table of the lake; None where it is not there."""
    from lake import tables
    from lake.duckdb import connection as duckdb

    if not tables.exists(settings.lake, name):
        return None
    table = tables.require_rows(settings.lake, name)
    rows = table.to_pyarrow_dataset()
    size = sum(table.get_add_actions(flatten=True)["size_bytes"].to_pylist())
    first = last = ""
    if EVENT_TIMESTAMP in rows.schema.names:
        with duckdb(settings.duckdb_memory, settings.lake) as connection:
            connection.register("rows", rows)
            bounds = connection.execute(
                f"SELECT min({EVENT_TIMESTAMP})::VARCHAR, max({EVENT_TIMESTAMP})::VARCHAR FROM rows"
            ).fetchone()
        first, last = (str(bound or "")[:19] for bound in bounds or ("", ""))
    return TableFacts(rows.count_rows(), first, last, table.version(), size)
