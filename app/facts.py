"""What the accepted events look like, and what the quarantine holds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_repo.define.column import EVENT_TIMESTAMP, Column, quoted
from feature_repo.define.domain import Domain
from feature_repo.define.table import QUARANTINE
from feature_repo.define.task import Binary, Task

MOST_VALUES = 50
"""Of what is predicted; a column of more has no bar for each."""


@dataclass(frozen=True, slots=True)
class EventFacts:
    """What the accepted events look like.

    Args:
        rows: how many there are.
        keys: different values of each key column, by what it identifies, such as "user".
        first, last: days of the first and the last event.
        positive: share of events whose label is 1; None where the label is not binary.
        shared_instants: share of events at whose instant the same user had another one.
        values: events by value of what is predicted, ascending; empty where there are over `MOST_VALUES`.
        by_year: events by year (UTC).
    """

    rows: int
    keys: dict[str, int]
    first: str
    last: str
    positive: float | None
    shared_instants: float
    values: dict[float, int]
    by_year: dict[int, int]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The rows of one table that broke one rule; reason, source, row and record are those of the first."""

    table: str
    rule: str
    rows: int
    reason: str
    source: str
    row: int | None
    record: str


def event_facts(lake: Path, domain: Domain, memory: str, version: int | None = None) -> EventFacts:
    """Counts over the domain's events.

    Args:
        memory: DuckDB's limit, such as "2GB".
        version: of the table of events; the newest where None.

    Raises:
        MarqueeError: the lake has no table of them.
    """
    from lake import tables
    from lake.duckdb import connection as duckdb

    events, task = domain.events, domain.tasks[0]
    user = quoted(user_key(domain).name)
    value = quoted(task.of)
    positive = _positive(task, value)

    def grouped(by: str) -> list[tuple[Any, ...]]:
        return connection.execute(f"SELECT {by}, count(*) FROM events GROUP BY ALL ORDER BY ALL").fetchall()

    with duckdb(memory, lake) as connection:
        connection.register("events", tables.rows_of(lake, events.name, version))
        totals = connection.execute(
            f"SELECT count(*), strftime(min({EVENT_TIMESTAMP}), '%Y-%m-%d'),"
            f" strftime(max({EVENT_TIMESTAMP}), '%Y-%m-%d'), {positive},"
            f" {', '.join(f'count(DISTINCT {quoted(column.name)})' for column in events.key)} FROM events"
        ).fetchone()
        shared = connection.execute(
            "SELECT coalesce(sum(n) FILTER (n > 1) / sum(n), 0) FROM"
            f" (SELECT count(*) AS n FROM events GROUP BY {user}, {EVENT_TIMESTAMP})"
        ).fetchone()
        values = dict(grouped(value))
        by_year = dict(grouped(f"year({EVENT_TIMESTAMP})"))
    assert totals is not None
    assert shared is not None
    rows, first, last, share, *distinct = totals
    keys = dict(zip(map(identified, events.key), distinct, strict=True))
    return EventFacts(
        rows, keys, first, last, share, shared[0], values if len(values) <= MOST_VALUES else {}, by_year
    )


def positive_share(lake: Path, domain: Domain, task: Binary, memory: str) -> float:
    """The share of labels that are 1, of a lake's newest rows that have a label.

    Args:
        memory: DuckDB's limit, such as "2GB".

    Raises:
        MarqueeError: the lake has no table of them.
    """
    from lake import tables
    from lake.duckdb import connection as duckdb

    with duckdb(memory, lake) as connection:
        connection.register("events", tables.rows_of(lake, domain.events.name))
        found = connection.execute(f"SELECT {_positive(task, quoted(task.of))} FROM events").fetchone()
    assert found is not None
    return float(found[0])


def _positive(task: Task, value: str) -> str:
    """SQL of the share of labels that are 1, of the events that have a label."""
    if not isinstance(task, Binary):
        return "NULL"
    share = f"avg(({value} >= {task.at_least})::INT)"
    return (
        share
        if task.below is None
        else f"{share} FILTER ({value} >= {task.at_least} OR {value} < {task.below})"
    )


def user_key(domain: Domain) -> Column:
    """The key of the events that says whose they are."""
    return next(column for column in domain.events.key if column.side == "user")


def identified(key: Column) -> str:
    """What a key identifies, as a noun."""
    return getattr(key.role, "vocabulary", key.name)


def refusals(lake: Path, domain: Domain, memory: str, version: int | None = None) -> list[Refusal]:
    """What the quarantine holds of a domain's tables, by table and rule.

    Args:
        memory: DuckDB's limit, such as "2GB".
        version: of the quarantine; the newest where None.

    Raises:
        MarqueeError: the lake has none.
    """
    from lake import tables
    from lake.duckdb import connection as duckdb

    with duckdb(memory, lake) as connection:
        connection.register("quarantine", tables.rows_of(lake, QUARANTINE, version))
        found = connection.execute(
            'SELECT "table", rule, count(*), first(reason ORDER BY source, row),'
            " first(source ORDER BY source, row), first(row ORDER BY source, row),"
            ' first(record ORDER BY source, row) FROM quarantine WHERE list_contains(?, "table")'
            ' GROUP BY "table", rule ORDER BY ALL',
            [list(domain.tables)],
        ).fetchall()
    return [Refusal(*case) for case in found]
