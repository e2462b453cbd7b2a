"""The SQL registry of a profile: a file of SQLite, or a PostgreSQL server."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, inspect, make_url
from sqlalchemy.pool import NullPool


def sqlite_url(file: Path) -> str:
    """The URL of a registry in a file, whatever characters its path has."""
    return f"sqlite:///{quote(os.fsencode(file))}"


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


def registry_engine(registry: dict[str, Any]) -> Engine:
    """Connections to a registry on a server, each closed after use."""
    connect = registry.get("sqlalchemy_config_kwargs", {}).get("connect_args", {})
    return create_engine(registry_url(registry), poolclass=NullPool, connect_args=connect)


def is_there(registry: dict[str, Any]) -> bool:
    """Whether a registry was ever applied to; makes nothing."""
    file = registry_file(registry)
    return file.is_file() if file else inspect(registry_engine(registry)).has_table("feature_views")
