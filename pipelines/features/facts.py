"""Tables of facts: what a catalogue says, known since the beginning."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.define.view import View
from lake import session
from lake.session import StartSpark
from lake.tables import count_rows, rows_of
from pipelines.features import in_arrow
from pipelines.features.computation import facts_of


def take_in(
    start: StartSpark, folder: Path, view: View, now: Mapping[str, int], created: datetime
) -> int | None:
    """Append the facts that the table does not hold as they are.

    Args:
        start: starts Spark, where the catalogue is large.
        folder: of the lake.
        now: the version of the catalogue.
        created: the `created_timestamp` of new rows.

    Returns:
        How many they are; None, and nothing done, where the table holds facts of what is there no more.
    """
    key = view.by.name
    if _are_few(folder, now):
        computed = facts_of(view, _catalogue(folder, now))
        held = rows_of(folder, view.name).to_table()
        if not pc.all(pc.is_in(held.column(key), computed.column(key)), min_count=0).as_py():
            return None
        rows = in_arrow.differing(view, computed, held)
        return in_arrow.write(rows, folder, view, now, created, replace=False)
    from lake.spark_tables import read
    from pipelines.features import in_spark

    spark = start()
    in_catalogue = in_spark.facts_of(spark, folder, view, now)
    stored = read(spark, folder, view.name)
    if not stored.join(in_catalogue, key, "left_anti").isEmpty():
        return None
    many = in_spark.differing(view, in_catalogue, stored)
    return in_spark.write(many, folder, view, now, created, replace=False)


def rebuild(start: StartSpark, folder: Path, view: View, now: Mapping[str, int], created: datetime) -> int:
    """Replace the table by what the catalogue says; how many rows that are.

    Args:
        start: starts Spark, where the catalogue is large.
        folder: of the lake.
        now: the version of the catalogue.
        created: the `created_timestamp` of all rows.
    """
    if _are_few(folder, now):
        rows = facts_of(view, _catalogue(folder, now))
        return in_arrow.write(rows, folder, view, now, created, replace=True)
    from pipelines.features import in_spark

    many = in_spark.facts_of(start(), folder, view, now)
    return in_spark.write(many, folder, view, now, created, replace=True)


def _are_few(folder: Path, now: Mapping[str, int]) -> bool:
    (catalogue,) = now
    return count_rows(folder, catalogue) <= session.FEW


def _catalogue(folder: Path, now: Mapping[str, int]) -> pa.Table:
    ((name, version),) = now.items()
    return rows_of(folder, name, version).to_table()
