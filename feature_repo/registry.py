"""The SQL registry of a profile: a file of SQLite, or a PostgreSQL server."""

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, inspect, make_url, text
from sqlalchemy.pool import NullPool

from feature_repo.home import PLUGIN
from feature_repo.identity import identity_of
from feature_repo.profile import ENGINE_OPTIONS

VIEWS = "feature_views"
"""The table that a registry has them in."""


def registry_url(registry: dict[str, Any]) -> URL:
    """Where a registry is; of PostgreSQL's drivers, the one that Feast takes.

    Args:
        registry: its settings, as in a profile.
    """
    url = make_url(registry["path"])
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def registry_file(registry: dict[str, Any]) -> Path | None:
    """The file of a registry in SQLite; None for one on a server."""
    url = registry_url(registry)
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def registry_home(registry: dict[str, Any]) -> Path | None:
    """The home of a registry on a server that several homes share; None where it has none but its own."""
    home = registry.get(ENGINE_OPTIONS, {}).get(PLUGIN)
    return None if home is None else Path(home)


def registry_engine(registry: dict[str, Any]) -> Engine:
    """Connections to a registry, each closed after use; on a server to the part of its home.

    Raises:
        MarqueeError: the home was never applied, or lives elsewhere by what it says of itself.
    """
    given = registry.get(ENGINE_OPTIONS, {})
    options = {name: given[name] for name in ("plugins", PLUGIN) if name in given}
    return _engine(registry, **options)


def server_engine(registry: dict[str, Any]) -> Engine:
    """Connections to the server of a registry, each closed after use, to no home's part of it."""
    from feature_repo.limits import limit_answers

    engine = _engine(registry)
    limit_answers(engine)
    return engine


def _engine(registry: dict[str, Any], **options: Any) -> Engine:
    connect = registry.get(ENGINE_OPTIONS, {}).get("connect_args", {})
    return create_engine(registry_url(registry), poolclass=NullPool, connect_args=connect, **options)


def is_there(registry: dict[str, Any]) -> bool:
    """Whether a registry was ever applied to; makes nothing.

    Raises:
        MarqueeError: its home lives elsewhere by what it says of itself.
    """
    file, home = registry_file(registry), registry_home(registry)
    if file is not None and not file.is_file():
        return False
    if home is not None and identity_of(home) is None:
        return False
    return bool(inspect(registry_engine(registry)).has_table(VIEWS))


def is_nobodys(registry: dict[str, Any]) -> bool:
    """Whether a server has what was applied to it before each home had a part of its own."""
    return registry_home(registry) is not None and bool(inspect(server_engine(registry)).has_table(VIEWS))


def forget_removed_views(registry: dict[str, Any], project: str) -> None:
    """Remove the history of views that the registry does not have, so that they can be published again.

    `feast teardown` removes a project's views and leaves their history, on which Feast's next apply stumbles.
    """
    if not is_there(registry):
        return
    kinds = ("feature_views", "stream_feature_views", "on_demand_feature_views", "label_views")
    tables = inspect(registry_engine(registry)).get_table_names()
    if not {*kinds, "feature_view_version_history"} <= set(tables):
        return  # an apply was cut off while it made them; the next one goes on
    there = " UNION ALL ".join(f"SELECT feature_view_name, project_id FROM {kind}" for kind in kinds)
    with registry_engine(registry).begin() as connection:
        connection.execute(
            text(
                "DELETE FROM feature_view_version_history WHERE project_id = :project AND feature_view_name"
                f" NOT IN (SELECT feature_view_name FROM ({there}) AS views WHERE project_id = :project)"
            ),
            {"project": project},
        )
