"""Appending few checked rows to a table of the lake, without a job of Spark over what it holds.

What is accepted, known and quarantined is what `pipelines.ingest.ingest` does for many rows.
"""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from feature_repo.schema import QUARANTINE, QUARANTINE_COLUMNS, RATINGS, Table
from lake.duckdb import connection as duckdb_connection
from lake.tables import append

CONTRADICTED = f"{RATINGS.name}_are_unique"


@dataclass(frozen=True, slots=True)
class Added:
    """What became of the rows: how many were appended, and how many broke which rule.

    Args:
        reasons: the first row of each rule broken: what is wrong with it.
    """

    accepted: int
    by_rule: dict[str, int]
    reasons: tuple[str, ...]


def append_few(lake: Path, table: Table, good: pa.Table, bad: pa.Table) -> Added:
    """Append what the table does not hold, and to the quarantine what that lacks; no commit of nothing.

    Args:
        good: (n,) the table's columns and `source`, `row`, `record`, unique among themselves.
        bad: (m,) the quarantine's columns.

    Raises:
        MarqueeError: the disk refuses.
    """
    unique = " AND ".join(f'good."{name}" = held."{name}"' for name in table.unique)
    with duckdb_connection() as connection:
        connection.register("good", good)
        connection.register("held", _held(lake, table, good))
        new = connection.sql(f"SELECT * FROM good ANTI JOIN held ON {unique}").to_arrow_table()
        if table is RATINGS:
            contradictions = connection.sql(
                f"""SELECT '{table.name}' AS "table", '{CONTRADICTED}' AS "rule",
                    'the lake has it with ' || held.rating || ' stars' AS reason, source, "row", record
                FROM good JOIN held ON {unique} WHERE good.rating != held.rating"""
            ).to_arrow_table()
            bad = pa.concat_tables([bad, contradictions.select(bad.column_names).cast(bad.schema)])
        connection.register("bad", bad)
        rules = connection.sql(
            """SELECT rule, count(*), arg_min(reason, place) FROM (
                SELECT *, row_number() OVER (ORDER BY source NULLS FIRST, "row" NULLS FIRST) AS place FROM bad
            ) GROUP BY rule ORDER BY rule"""
        ).fetchall()
        connection.register("quarantine", DeltaTable(lake / QUARANTINE).to_pyarrow_dataset())
        same = " AND ".join(
            f'bad."{column.name}" IS NOT DISTINCT FROM quarantine."{column.name}"'
            for column in QUARANTINE_COLUMNS
        )
        fresh = connection.sql(f"SELECT * FROM bad ANTI JOIN quarantine ON {same}").to_arrow_table()
    if new.num_rows:
        append(new, lake, table.name)
    if fresh.num_rows:
        append(fresh, lake, QUARANTINE)
    by_rule = {rule: count for rule, count, _ in rules}
    return Added(new.num_rows, by_rule, tuple(reason for _, _, reason in rules))


def _held(lake: Path, table: Table, good: pa.Table) -> pa.Table:
    """What the table holds of the rows' first key, as far as they are compared."""
    columns = [*table.unique, *(["rating"] if table is RATINGS else [])]
    first = table.unique[0]
    dataset = DeltaTable(lake / table.name).to_pyarrow_dataset()
    return dataset.to_table(columns=columns, filter=pc.field(first).isin(pc.unique(good.column(first))))
