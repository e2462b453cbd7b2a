"""The home that a profile's file means by `{home}`.

Feast's command would put `${MARQUEE_HOME}` into the text of the file, where a path may mean something else: a
comment, a quotation, a part of a URL. So the file says `{home}`. Our functions fill in that of their
settings; for Feast's own command, our plug-ins fill in that of the environment when they are given the value.
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
from sqlalchemy import URL, make_url
from sqlalchemy.engine import CreateEnginePlugin

from common.errors import MarqueeError
from common.settings import Settings, settings_for_feast

HOME = "{home}"
PLUGIN = "marquee_home"
"""What pyproject.toml calls `HomePlugin` among SQLAlchemy's plug-ins."""


class HomePlugin(CreateEnginePlugin):
    """Fills `{home}` in where a registry in SQLite is opened by Feast's own command."""

    def update_url(self, url: URL) -> URL:
        return url.set(database=placed_for_feast(url.database))


def feast_settings() -> Settings:
    """The settings of Feast's own command.

    Raises:
        click.UsageError: a variable is not set or cannot be used; Feast prints that as one line.
    """
    try:
        return settings_for_feast()
    except MarqueeError as error:
        raise click.UsageError(str(error)) from error


def placed(value: Any, home: Path) -> Any:
    """A setting that begins with `{home}` with that filled in; other ones as they are."""
    return str(home) + value.removeprefix(HOME) if _begins(value) else value


def placed_for_feast(value: Any) -> Any:
    """A setting with the home of Feast's own command filled in, for plug-ins to validate theirs with."""
    return placed(value, feast_settings().home) if _begins(value) else value


def placed_registry(path: str, home: Path) -> str:
    """The URL of a registry that a profile's file gives as `path`: what `HomePlugin` makes of it, as text."""
    url = make_url(path)
    if PLUGIN not in url.query.values():
        return path
    return sqlite_url(Path(placed(url.database or "", home)))


def sqlite_url(file: Path) -> str:
    """The URL of a registry in a file, whatever characters its path has."""
    return f"sqlite:///{quote(os.fspath(file))}"


def _begins(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(HOME)
