"""The home that a profile's file means by `{home}`.

Feast's command would put `${MARQUEE_HOME}` into the text of the file, where a path may mean something else: a
comment, a quotation, a part of a URL. So the file says `{home}`. Our functions fill in that of their
settings; for Feast's own command, our plug-ins fill in that of the environment when they are given the value.

On servers, a home is given a place of its own by the same means: see `identity`.
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
from sqlalchemy import URL, Engine, event, make_url
from sqlalchemy.engine import CreateEnginePlugin

from common.errors import MarqueeError
from common.settings import Settings, settings_for_feast
from feature_repo.identity import space_of

HOME = "{home}"
PLUGIN = "marquee_home"
"""What pyproject.toml calls `HomePlugin` among SQLAlchemy's plug-ins, and the argument that it takes."""


class HomePlugin(CreateEnginePlugin):
    """Opens the registry of one home: its file in SQLite, for which it fills `{home}` in where Feast's own
    command opens it; on a server its schema, which that command makes if there is none."""

    def __init__(self, url: URL, kwargs: dict[str, Any]) -> None:
        super().__init__(url, kwargs)
        self.home = kwargs.pop(PLUGIN, None)

    def update_url(self, url: URL) -> URL:
        return url.set(database=placed_for_feast(url.database))

    def engine_created(self, engine: Engine) -> None:
        if self.home is None:
            return
        from feature_repo.limits import limit_answers

        limit_answers(engine)
        space, for_feast = space_for(self.home), _begins(self.home)

        def use_schema(connection: Any, _: Any) -> None:
            connection.autocommit = True
            with connection.cursor() as cursor:
                there = for_feast and cursor.execute(f"SELECT to_regnamespace('{space}')").fetchone()[0]
                if for_feast and there is None:
                    cursor.execute(f'CREATE SCHEMA IF NOT EXISTS "{space}"')
                cursor.execute(f'SET search_path TO "{space}"')
            connection.autocommit = False

        # Before SQLAlchemy asks for the schema.
        event.listen(engine, "connect", use_schema, insert=True)


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


def space_for(home: str) -> str:
    """What all that servers hold for a home is called by.

    Args:
        home: as a setting has it: filled in by our functions, `{home}` for Feast's own command.

    Raises:
        MarqueeError: the home was never applied, or lives elsewhere by what it says of itself.
        click.UsageError: the same, for Feast's own command.
    """
    if not _begins(home):
        return space_of(Path(home))
    try:
        return space_of(feast_settings().home)
    except MarqueeError as error:
        raise click.UsageError(str(error)) from error


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
