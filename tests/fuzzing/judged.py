"""What ingest makes of rows, row by row, by one DuckDB for all tries."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from typing import Any

import pyarrow as pa

from feature_repo.domains.movies import DOMAIN
from pipelines.ingest.check import check
from pipelines.ingest.engine import PREFIX, Engine
from pipelines.ingest.publish import by_reference, name_keys
from pipelines.sources.source import Raw, rows_of
from tests.raw_rows import no_spark, opened

Row = dict[str, Any]


class Judged:
    """One table's rows.

    Args:
        good: with their values and where they came from.
        bad: as rows of the quarantine.
        read: how many there are, as ingest counts them.
    """

    def __init__(self, good: list[Row], bad: list[Row], read: int) -> None:
        self.good, self.bad, self.read = good, bad, read
        assert read == len(good) + len(bad), f"read {read}, accepted {len(good)}, quarantined {len(bad)}"
        for row in bad:
            assert row["rule"] and row["reason"] and "\n" not in row["reason"], row
        places = [(row["source"], row["row"]) for row in (*good, *bad)]
        assert len({*places}) == len(places), "a row came twice"

    def by_row(self, source: str | None = None) -> dict[int, Row]:
        """The good rows by their number, those of one file."""
        return {row["row"]: row for row in self.good if source in (None, row["source"])}

    def twins(self) -> set[int]:
        """Numbers of rows that are refused only as they came before."""
        return {row["row"] for row in self.bad if row["rule"].endswith("_are_unique")}


def judged(tables: Mapping[str, Raw], movies: list[int] | None = None) -> dict[str, Judged]:
    """Check the tables of a source in the order of their references, as ingest does.

    Args:
        movies: those that the lake has, where the source has no catalogue.
    """
    engine = _engine()
    known, found = {}, {}
    for table in by_reference(DOMAIN):
        if table.name not in tables:
            name = f"{PREFIX}_{table.name}_held"
            engine.load(name, rows_of(pa.table({"known": pa.array(movies or [], pa.int64())})))
            known[table.name] = name
            continue
        checked = check(engine, DOMAIN, table, tables[table.name], known)
        good = engine.fetch(f"SELECT * FROM {checked.good}").to_pylist()
        bad = engine.fetch(f"SELECT * FROM {checked.bad}").to_pylist()
        found[table.name] = Judged(good, bad, checked.read)
        known[table.name] = name_keys(engine, table, checked.good)
    return found


@cache
def _engine() -> Engine:
    return _stack.enter_context(opened(no_spark))


_stack = ExitStack()
