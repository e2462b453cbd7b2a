"""The feature store of one home: open it, plan, apply, materialise.

What Feast's own commands do, as functions: for any home without touching the environment, quiet, one at a
time, and with results as data.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from feast import FeatureStore, RepoConfig
from feast.diff.property_diff import TransitionType
from feast.diff.registry_diff import RegistryDiff
from feast.feature_view import DUMMY_ENTITY, DUMMY_ENTITY_NAME
from feast.repo_contents import RepoContents

from common.errors import MarqueeError
from common.files import cannot_write
from common.settings import Settings
from feature_repo.applied import applied_views
from feature_repo.define.column import BEGINNING
from feature_repo.define.domain import Domain
from feature_repo.lock import registry_lock
from feature_repo.offline.tables import delta_table, file_source
from feature_repo.online.send import OnProgress, Sent, send_changed
from feature_repo.profile import REPOSITORY, profile_settings
from feature_repo.publish import feast_objects
from feature_repo.registry import is_there


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between the definitions and the registry.

    Args:
        action: "create", "update" or "delete".
        kind: "entity", "feature view", "feature service", "data source", "project" …
        name: of the object.
        properties: (property, value in the registry, value in the definitions) of an update.
    """

    action: str
    kind: str
    name: str
    properties: tuple[tuple[str, str, str], ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.action} {self.kind} {self.name}"]
        lines += [f"  {name}: {old} -> {new}" for name, old, new in self.properties]
        return "\n".join(lines)


def open_store(
    settings: Settings, versions: dict[str, int] | None = None, must_exist: bool = False
) -> FeatureStore:
    """The store of a home, in the profile that the settings name; the home is made if there is none.

    Args:
        settings: its home holds `lake/`, and in the embedded profile `registry.db` and `online.db`.
        versions: Delta versions to read instead of the newest, by table name; see `table_versions`.
        must_exist: make nothing: for commands that only read.

    Raises:
        MarqueeError: the profile lacks a setting, the home cannot be written, or has no registry and must.
    """
    home, profile = settings.home, profile_settings(settings)
    if must_exist and not is_there(profile["registry"]):
        raise MarqueeError(
            f"There is no feature store for {home}: run marquee run, or marquee features apply, first."
        )
    if not must_exist:
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(home, error) from error
    if versions:
        profile["offline_store"]["versions"] = dict(versions)
    with _quiet():
        config = RepoConfig(**profile)
        config.repo_path = REPOSITORY
        return FeatureStore(config=config)


def plan(settings: Settings, domain: Domain) -> list[Change]:
    """What `apply` would change in the registry; changes nothing there."""
    store = open_store(settings)
    with _quiet():
        difference, _, _ = store.plan(_definitions(domain, store.project))
    return _changes(difference)


def apply(settings: Settings, domain: Domain) -> list[Change]:
    """Make the registry and the online store's tables as a domain says, and return what changed.

    One process at a time: another waits for its turn.
    """
    with registry_lock(profile_settings(settings)["registry"]), _quiet():
        store = open_store(settings)
        difference, _, _ = store.plan(_definitions(domain, store.project))
        gone: list[Any] = [
            diff.current_feast_object
            for diff in difference.feast_object_diffs
            if diff.transition_type is TransitionType.DELETE and diff.name != DUMMY_ENTITY_NAME
        ]
        wanted = feast_objects(domain, store.project).all
        store.apply(wanted, objects_to_delete=gone, partial=False)
    return _changes(difference)


def materialize(
    settings: Settings, views: Sequence[str] | None = None, on_progress: OnProgress | None = None
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


def _definitions(domain: Domain, project: str) -> RepoContents:
    """A domain as Feast's plan wants it."""
    objects = feast_objects(domain, project)
    return RepoContents(
        projects=[objects.project],
        data_sources=list(objects.sources.values()),
        feature_views=list(objects.views.values()),
        on_demand_feature_views=[],
        stream_feature_views=[],
        label_views=[],
        entities=[*objects.entities.values(), DUMMY_ENTITY],
        feature_services=list(objects.services.values()),
        permissions=[],
    )


def _changes(difference: RegistryDiff) -> list[Change]:
    return [
        Change(
            diff.transition_type.name.lower(),
            diff.feast_object_type.value,
            diff.name,
            tuple(
                (part.property_name, str(part.val_existing), str(part.val_declared))
                for part in diff.feast_object_property_diffs
            ),
        )
        for diff in difference.feast_object_diffs
        if diff.transition_type is not TransitionType.UNCHANGED and diff.name != DUMMY_ENTITY_NAME
    ]


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
