# ruff: noqa: ARG005 (what is planted takes what it stands for takes)
"""Faults to be planted in the product's own code; each breaks a promise, and the machine has to find it."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from feature_repo import store
from feature_repo.define.column import EVENT_TIMESTAMP, KNOWN_AFTER
from feature_repo.offline.duckdb_asof import AsOfDuckDBOfflineStore
from feature_repo.online import send
from pipelines.features import news
from pipelines.features.in_arrow import InArrow

Plant = Callable[[pytest.MonkeyPatch], None]


def late_events_are_taken_for_new_ones(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(InArrow, "late", lambda self, newest: newest.slice(0, 0))


def a_key_is_not_sent(patch: pytest.MonkeyPatch) -> None:
    newest = send.newest_rows
    patch.setattr(send, "newest_rows", lambda *args: newest(*args).slice(1))


def rows_that_are_missing_are_not_looked_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(send, "rows_missing", lambda store, view: None)


def a_label_is_joined_to_what_is_known_at_its_own_instant(patch: pytest.MonkeyPatch) -> None:
    join = AsOfDuckDBOfflineStore.get_historical_features

    def generous(*, entity_df: pa.Table, **others: Any) -> Any:
        place = entity_df.column_names.index(EVENT_TIMESTAMP)
        later = pc.add(entity_df[EVENT_TIMESTAMP], pa.scalar(KNOWN_AFTER, pa.duration("us")))
        return join(entity_df=entity_df.set_column(place, EVENT_TIMESTAMP, later), **others)

    patch.setattr(AsOfDuckDBOfflineStore, "get_historical_features", staticmethod(generous))


def rows_are_stamped_by_the_clock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("pipelines.features.in_arrow.growing", lambda lake, name, column, now: now)


def what_a_killed_ingest_wrote_stays(patch: pytest.MonkeyPatch) -> None:
    for module in ("lake.journal", "app.home"):
        patch.setattr(f"{module}.roll_back", lambda lake: False)


def a_changed_catalogue_changes_no_features(patch: pytest.MonkeyPatch) -> None:
    touched = news.touched_keys
    patch.setattr(news, "touched_keys", lambda *args: touched(*args) and touched(*args).slice(0, 0))


def recorded_versions_are_not_read(patch: pytest.MonkeyPatch) -> None:
    opened = store.open_store
    patch.setattr(store, "open_store", lambda settings, versions=None: opened(settings))


def an_event_that_is_there_is_added_again(patch: pytest.MonkeyPatch) -> None:
    # By its module: the package has a function of that name.
    patch.setattr(import_module("pipelines.ingest.add"), "_not_in", lambda others, same: "true")


def keys_that_are_gone_stay_online(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("feature_repo.online.sqlite.NewestSqliteOnlineStore.keep_only", lambda *args: None)


PLANTED: tuple[Plant, ...] = (
    late_events_are_taken_for_new_ones,
    a_key_is_not_sent,
    rows_that_are_missing_are_not_looked_for,
    a_label_is_joined_to_what_is_known_at_its_own_instant,
    rows_are_stamped_by_the_clock,
    what_a_killed_ingest_wrote_stays,
    a_changed_catalogue_changes_no_features,
    recorded_versions_are_not_read,
    an_event_that_is_there_is_added_again,
    keys_that_are_gone_stay_online,
)
