"""The feature store of one home: open it, plan, apply, materialise.

What Feast's own commands do, as functions: for any home without touching the environment, quiet, one at a
time, and with results as data.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from typing import Any

from feast import FeatureStore, RepoConfig

from common.errors import MarqueeError
from common.files import cannot_write
from common.progress import Progress
from common.settings import Settings
from feature_repo.applied import applied_views
from feature_repo.define.column import BEGINNING
from feature_repo.define.domain import Domain
from feature_repo.differences import Change, differences, held_objects, wanted_objects
from feature_repo.feast_internals import refreshed_once
from feature_repo.lock import registry_lock
from feature_repo.offline.tables import delta_table, file_source
from feature_repo.online.send import Sent, send_changed
from feature_repo.profile import REPOSITORY, profile_settings
from feature_repo.publish import feast_objects
from feature_repo.registry import forget_removed_views, is_nobodys, is_there


def open_store(settings: Settings, versions: dict[str, int] | None = None) -> FeatureStore:
    """The store of a home that was applied, in the profile that the settings name; makes nothing.

    Args:
        settings: its home holds `lake/`, and in the embedded profile `registry.db` and `online.db`.
        versions: Delta versions to read instead of the newest, by table name; see `table_versions`.

    Raises:
        MarqueeError: the profile lacks a setting, or nothing was ever applied.
    """
    profile = profile_settings(settings)
    _require(settings, profile)
    if versions:
        profile["offline_store"]["versions"] = dict(versions)
    return _opened(profile)


def _opened(profile: dict[str, Any]) -> FeatureStore:
    """The store of a profile's settings; its registry is made if there is none."""
    with _quiet():
        config = RepoConfig(**profile)
        config.repo_path = REPOSITORY
        return FeatureStore(config=config)


def require_store(settings: Settings) -> None:
    """Refuse a home without a feature store; makes nothing.

    Raises:
        MarqueeError: nothing was ever applied.
    """
    _require(settings, profile_settings(settings))


def _require(settings: Settings, profile: dict[str, Any]) -> None:
    registry = profile["registry"]
    if is_there(registry):
        return
    if is_nobodys(registry):
        raise MarqueeError(
            f"There is no feature store for {settings.home}: what the servers hold without a home's name was"
            " put there by an older version, and is not used any more; run marquee features apply, then"
            " marquee features materialize."
        )
    raise MarqueeError(
        f"There is no feature store for {settings.home}: run marquee run, or marquee features apply, first."
    )


def plan(settings: Settings, domain: Domain) -> list[Change]:
    """What `apply` would change in the registry; makes and changes nothing."""
    profile = profile_settings(settings)
    wanted = wanted_objects(feast_objects(domain, profile["project"]))
    if not is_there(profile["registry"]):
        return differences({}, wanted)
    with _quiet():
        return differences(held_objects(open_store(settings)), wanted)


def apply(settings: Settings, domain: Domain) -> list[Change]:
    """Make the registry and the online store's tables as a domain says, and return what changed.

    One process at a time: another waits for its turn. The home is made if there is none.

    Raises:
        MarqueeError: the home cannot be written.
    """
    home, profile = settings.home, profile_settings(settings)
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(home, error) from error
    with registry_lock(profile["registry"]), _quiet():
        forget_removed_views(profile["registry"], profile["project"])
        store = _opened(profile)
        objects = feast_objects(domain, store.project)
        held = held_objects(store)
        changes = differences(held, wanted_objects(objects))
        gone = [held[change.kind, change.name] for change in changes if change.action == "delete"]
        with refreshed_once(store):
            store.apply(objects.all, objects_to_delete=gone, partial=False)
    return changes


def materialize(
    settings: Settings, views: Sequence[str] | None = None, on_progress: Progress | None = None
) -> list[Sent]:
    """Bring online what changed since it was last brought: see `feature_repo.online.send`.

    Feast's `materialize-incremental` goes on from here.

    Args:
        views: names of the views; all by default.
        on_progress: called with view, rows written so far, rows in all.

    Raises:
        MarqueeError: nothing is applied yet, a view is unknown, or its table is not built.
    """
    store = open_store(settings)
    now = datetime.now(UTC)
    sent = send_changed(store, views, on_progress)
    with refreshed_once(store):
        for view in applied_views(store, views):
            store.registry.apply_materialization(view, store.project, BEGINNING, now)
    return sent


def table_versions(store: FeatureStore, views: Sequence[str] | None = None) -> dict[str, int]:
    """The Delta version that each view's table is at, by table name, as `open_store` takes them."""
    return {
        source.path: delta_table(store.config, source).version()
        for view in applied_views(store, views)
        for source in (file_source(view.batch_source),)
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Feast prints and warns as it goes; what matters comes back as data or as an error."""
    with (
        warnings.catch_warnings(),
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
