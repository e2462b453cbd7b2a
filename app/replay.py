"""A scratch home in which the consistency audit replays events; the home that is audited is read only."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from app.home import writing
from app.spark import spark_meanwhile
from common.progress import Stages
from common.settings import Settings
from feature_repo.arrow import arrow_schema_of
from feature_repo.define.column import EVENT_TIMESTAMP, Column
from feature_repo.define.domain import Domain
from feature_repo.define.table import QUARANTINE, QUARANTINE_COLUMNS
from lake.session import StartSpark

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureStore

    from validation.audit.consistency import Replay

SOURCE = "replay"
"""What the scratch home's quarantine names as the origin of events."""


@contextmanager
def scratch_home(settings: Settings, domain: Domain, folder: Path, stages: Stages) -> Iterator["Replay"]:
    """An empty home with the profile's own stores, and Spark where it is needed; both are gone afterwards.

    Args:
        settings: of the home that is audited.
        folder: of the scratch home. What a killed audit left there is removed.
        stages: told when Spark starts.

    Raises:
        MarqueeError: another audit is using the folder, or it cannot be written.
    """
    scratch = settings.model_copy(update={"home": folder})
    with writing(folder):
        _empty(folder)
        try:
            with spark_meanwhile(scratch, stages) as spark:
                try:
                    yield replay_into(spark, settings, scratch, domain)
                finally:
                    tear_down(settings, scratch)
        finally:
            _empty(folder)
    shutil.rmtree(folder, ignore_errors=True)


def replay_into(spark: StartSpark, settings: Settings, scratch: Settings, domain: Domain) -> "Replay":
    """The means to replay events of one home in another.

    Args:
        spark: starts Spark, which many rows need, and few do not.
        settings: of the home that is audited; its lake is read only.
        scratch: of the empty home that takes the events.
    """
    from app.lookup import lookup_many
    from app.push import push as push_events
    from feature_repo.online.send import send_changed
    from pipelines.features.jobs import run_job
    from pipelines.ingest import add_events
    from pipelines.sources.new_events import raw_events
    from validation.audit.consistency import Replay

    def run_jobs() -> None:
        for view in domain.views:
            run_job(spark, scratch.lake, domain, view.name)

    def build(before: datetime) -> None:
        for table in domain.sources:
            earlier = before if table == domain.events else None
            copy_table(spark, settings.lake, scratch.lake, table.name, table.all_columns, earlier)
        copy_table(spark, settings.lake, scratch.lake, QUARANTINE, QUARANTINE_COLUMNS)
        run_jobs()
        publish(settings, scratch, domain)
        send_changed(open_scratch(settings, scratch))

    def push(events: "pa.Table") -> None:
        push_events(spark, open_scratch(settings, scratch), raw_events(domain.events, events, SOURCE), domain)

    def run(events: "pa.Table") -> None:
        add_events(spark, raw_events(domain.events, events, SOURCE), scratch.lake, domain)
        run_jobs()
        send_changed(open_scratch(settings, scratch))

    def look_up(pairs: "pa.Table") -> "pa.Table":
        return lookup_many(open_scratch(settings, scratch), None, pairs)

    return Replay(build, push, run, look_up)


def copy_table(
    spark: StartSpark,
    lake: Path,
    other: Path,
    name: str,
    columns: tuple[Column, ...],
    before: datetime | None = None,
) -> None:
    """Copy a table, or its rows before an instant, from one lake to another."""
    from lake import session, tables

    if tables.count_rows(lake, name) <= session.FEW:
        import pyarrow.dataset as pads

        earlier = None if before is None else pads.field(EVENT_TIMESTAMP) < before
        schema = arrow_schema_of(columns)
        rows = tables.rows_of(lake, name).to_table(schema.names, filter=earlier)
        tables.overwrite(rows.cast(schema), other, name)
        return
    from pyspark.sql import functions as F

    from feature_repo.spark import spark_schema_of
    from lake.spark_tables import overwrite, read

    frame = read(spark(), lake, name)
    if before is not None:
        frame = frame.where(F.col(EVENT_TIMESTAMP) < F.lit(before))
    overwrite(frame, other, name, spark_schema_of(columns))


def open_scratch(settings: Settings, scratch: Settings) -> "FeatureStore":
    """The scratch home's store: the profile's online and offline stores, in a project and a registry of its
    own, so that on shared servers too nobody else's rows are met.

    Args:
        settings: of the home that is audited. What servers hold for the scratch home is called by its name.
    """
    from feast import FeatureStore, RepoConfig

    from feature_repo.home import sqlite_url
    from feature_repo.profile import REPOSITORY, profile_settings

    profile, audited = profile_settings(scratch), profile_settings(settings)
    profile["project"] += f"_{SOURCE}"
    profile["registry"] = {"registry_type": "sql", "path": sqlite_url(scratch.home / "registry.db")}
    if "home" in profile["online_store"]:
        profile["online_store"]["home"] = audited["online_store"]["home"]
    config = RepoConfig(**profile)
    config.repo_path = REPOSITORY
    return FeatureStore(config=config)


def publish(settings: Settings, scratch: Settings, domain: Domain) -> None:
    """Publish a domain to the scratch home's store; rows that were left online are removed."""
    from feature_repo.publish import feast_objects

    def apply() -> None:
        store = open_scratch(settings, scratch)
        store.apply(feast_objects(domain, store.project).all)

    apply()
    tear_down(settings, scratch)
    apply()


def tear_down(settings: Settings, scratch: Settings) -> None:
    """Remove the scratch home's online rows and its registry."""
    registry = scratch.home / "registry.db"
    if registry.is_file():
        open_scratch(settings, scratch).teardown()  # type: ignore[no-untyped-call]
        registry.unlink()


def _empty(home: Path) -> None:
    """Remove what a scratch home holds, but for the lock that keeps others out."""
    for entry in home.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != ".lock":
            entry.unlink()
