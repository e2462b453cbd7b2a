"""How a feature table is stored: the declared columns, and the totals from which the next events go on."""

import json
from collections.abc import Mapping
from pathlib import Path

from pyspark.sql.types import DoubleType, MapType, StringType, StructField, StructType

from feature_repo.schema import TABLES
from feature_repo.spark import spark_schema
from lake.tables import open_table

RUNNING = frozenset({"movie_rating_stats", "user_rating_stats", "user_recent_likes", "user_poster_taste"})
"""Tables that grow with the ratings."""
STATE = "state"
"""Beside the declared columns, a running table keeps its totals here, on the newest row of each key: the next
batch of events goes on from there. Readers never see it."""


def stored_schema(name: str) -> StructType:
    """The Spark schema of a feature table, `state` included where it keeps one."""
    declared = spark_schema(TABLES[name])
    if name in RUNNING:
        return StructType([*declared.fields, StructField(STATE, MapType(StringType(), DoubleType()))])
    return declared


def as_declared(lake: Path, name: str) -> bool:
    """Whether a table that the lake has is stored with the columns that are declared now."""
    return [field.name for field in open_table(lake, name).schema().fields] == stored_schema(name).names


def progress(seen: Mapping[str, int]) -> str:
    """What a feature table's commit says of its sources' versions that it has seen."""
    return json.dumps({"seen": dict(seen)})


def seen_in(metadata: str) -> dict[str, int]:
    """The versions that a commit says it has seen."""
    return dict(json.loads(metadata)["seen"])
