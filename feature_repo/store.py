"""The feature store of one home: open it, plan, apply, materialise.

What Feast's own commands do, as functions: for any home without touching the environment, quiet, one at a
time, and with results as data.
"""

import copy
import io
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from feast import FeatureStore, FeatureView, RepoConfig
from feast.diff.property_diff import TransitionType
from feast.diff.registry_diff import RegistryDiff
from feast.feature_view import DUMMY_ENTITY, DUMMY_ENTITY_NAME
from feast.repo_contents import RepoContents
from feast.utils import _convert_arrow_to_proto

from common.errors import MarqueeError
from common.files import cannot_write
from feature_repo.lock import registry_lock
from feature_repo.offline.tables import delta_table, file_source
from feature_repo.schema import BEGINNING

REPOSITORY = Path(__file__).parent
WRITE_BATCH = 10_000
"""Rows that go to the online store at a time."""


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


@dataclass(frozen=True, slots=True)
class Materialized:
    """What went online for one view: one row per key, and how long it took."""

    view: str
    rows: int
    seconds: float


def open_store(home: Path, versions: dict[str, int] | None = None, must_exist: bool = False) -> FeatureStore:
    """The store of a home, in the profile of `feature_store.yaml`; the home is made if there is none.

    Args:
        home: the folder that holds `lake/`, `registry.db` and `online.db`.
        versions: Delta versions to read instead of the newest, by table name; see `table_versions`.
        must_exist: make nothing: for commands that only read.

    Raises:
        MarqueeError: the home cannot be written, or has no registry and must.
    """
    home = home.absolute()
    if must_exist and not (home / "registry.db").is_file():
        raise MarqueeError(f"There is no feature store in {home}: run marquee features apply first.")
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(home, error) from error
    settings = yaml.safe_load((REPOSITORY / "feature_store.yaml").read_text())
    settings = _filled_in(settings, str(home))
    if versions:
        settings["offline_store"]["versions"] = dict(versions)
    with _quiet():
        config = RepoConfig(**settings)
        config.repo_path = REPOSITORY
        return FeatureStore(config=config)


def plan(home: Path) -> list[Change]:
    """What `apply` would change in the registry; changes nothing there."""
    store = open_store(home)
    with _quiet():
        difference, _, _ = store.plan(_definitions())
    return _changes(difference)


def apply(home: Path) -> list[Change]:
    """Make the registry and the online store's tables as the definitions say, and return what changed.

    One process at a time: another waits for its turn.
    """
    with registry_lock(home), _quiet():
        store = open_store(home)
        definitions = _definitions()
        difference, _, _ = store.plan(copy.deepcopy(definitions))
        gone: list[Any] = [
            diff.current_feast_object
            for diff in difference.feast_object_diffs
            if diff.transition_type is TransitionType.DELETE and diff.name != DUMMY_ENTITY_NAME
        ]
        wanted: list[Any] = [
            *definitions.projects,
            *definitions.data_sources,
            *(entity for entity in definitions.entities if entity.name != DUMMY_ENTITY_NAME),
            *definitions.feature_views,
            *definitions.feature_services,
        ]
        store.apply(wanted, objects_to_delete=gone, partial=False)
    return _changes(difference)


def materialize(
    home: Path,
    end: datetime | None = None,
    views: Sequence[str] | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> list[Materialized]:
    """Send the newest row of every key to the online store.

    The window is explicit, from `schema.BEGINNING` to `end`: Feast's `materialize-incremental` goes by event
    time and would start 52 weeks back. Afterwards it continues from here.

    Args:
        end: rows after it stay out; now by default.
        views: names of the views; all by default.
        on_progress: called with view, rows written so far, rows in all.

    Raises:
        MarqueeError: nothing is applied yet, a view is unknown, or its table is not built.
    """
    store = open_store(home)
    end = (end or datetime.now(UTC)).astimezone(UTC)
    report = []
    for view in _applied_views(store, views):
        started = time.perf_counter()
        rows = _send(store, view, end, on_progress)
        report.append(Materialized(view.name, rows, time.perf_counter() - started))
    return report


def table_versions(store: FeatureStore, views: Sequence[str] | None = None) -> dict[str, int]:
    """The Delta version that each view's table is at, by table name, as `open_store` takes them."""
    return {
        source.path: delta_table(store.config, source).version()
        for view in _applied_views(store, views)
        for source in (file_source(view.batch_source),)
    }


def _send(
    store: FeatureStore,
    view: FeatureView,
    end: datetime,
    on_progress: Callable[[str, int, int], None] | None,
) -> int:
    provider = store._get_provider()
    source = view.batch_source
    assert source is not None
    keys = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
    with _quiet():
        newest = provider.offline_store.pull_latest_from_table_or_query(
            config=store.config,
            data_source=source,
            join_key_columns=list(keys),
            feature_name_columns=[feature.name for feature in view.features],
            timestamp_field=source.timestamp_field,
            created_timestamp_column=source.created_timestamp_column,
            start_date=BEGINNING,
            end_date=end,
        ).to_arrow()
    for start in range(0, newest.num_rows, WRITE_BATCH):
        batch = newest.slice(start, WRITE_BATCH)
        with _quiet():
            rows = _convert_arrow_to_proto(batch, view, keys)
            provider.online_write_batch(store.config, view, rows, None)
        if on_progress:
            on_progress(view.name, start + batch.num_rows, newest.num_rows)
    store.registry.apply_materialization(view, store.project, BEGINNING, end)
    return int(newest.num_rows)


def _applied_views(store: FeatureStore, names: Sequence[str] | None) -> list[FeatureView]:
    views = {view.name: view for view in store.list_feature_views()}
    if not views:
        raise MarqueeError("The registry has no views yet: run marquee features apply first.")
    unknown = [name for name in names or () if name not in views]
    if unknown:
        raise MarqueeError(
            f"There is no view {', '.join(unknown)}; the views are {', '.join(sorted(views))}."
        )
    return [views[name] for name in (names if names is not None else sorted(views))]


def _definitions() -> RepoContents:
    """The definitions as Feast wants them. Copies: Feast writes into what it applies."""
    from feature_repo import definitions

    return copy.deepcopy(
        RepoContents(
            projects=[definitions.project],
            data_sources=list(definitions.SOURCES.values()),
            feature_views=list(definitions.VIEWS.values()),
            on_demand_feature_views=[],
            stream_feature_views=[],
            label_views=[],
            entities=[*definitions.ENTITIES.values(), DUMMY_ENTITY],
            feature_services=list(definitions.FEATURE_SERVICES.values()),
            permissions=[],
        )
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


def _filled_in(setting: Any, home: str) -> Any:
    if isinstance(setting, dict):
        return {name: _filled_in(value, home) for name, value in setting.items()}
    return setting.replace("${MARQUEE_HOME}", home) if isinstance(setting, str) else setting


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
