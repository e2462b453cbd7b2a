"""The options that several commands have."""

import shlex
import sys
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from common.errors import MarqueeError
from common.files import unusable_name
from feature_repo.define.task import rule_of
from feature_repo.domains.movies import DOMAIN as DOMAIN

GROUP: dict[str, Any] = {"no_args_is_help": True, "rich_markup_mode": "rich"}
"""How every group of commands behaves."""


class SourceName(StrEnum):
    """Where ratings come from."""

    synthetic = "synthetic"
    movielens = "movielens"


class IngestSource(StrEnum):
    """Where rows of any domain come from."""

    synthetic = "synthetic"
    movielens = "movielens"
    criteo = "criteo"
    avazu = "avazu"
    synthetic_clicks = "synthetic-clicks"


LONGEST_NAME, LONGEST_PATH = 255, 4095


@dataclass
class Chosen:
    """What the command line says, for when the command fails.

    Args:
        home: as `--home` gives it; None where it does not.
    """

    home: Path | None = None


def read_path(text: str) -> Path:
    """A path that was typed.

    Raises:
        typer.BadParameter: it is empty, which would be the folder where it was typed, longer than the system
            takes, no text in UTF-8, or in a locale of another encoding.
    """
    if not text:
        raise typer.BadParameter("it is empty; name a file or a folder.")
    why = unusable_name(text)
    if why is not None:
        raise typer.BadParameter(f"{why}.")
    bytes_ = text.encode()
    if len(bytes_) > LONGEST_PATH or any(len(name) > LONGEST_NAME for name in bytes_.split(b"/")):
        raise typer.BadParameter(
            f"it is too long; names have at most {LONGEST_NAME} bytes, and paths {LONGEST_PATH}."
        )
    return Path(text)


def _keep_home(context: typer.Context, home: Path | None) -> Path | None:
    chosen = context.find_object(Chosen)
    if chosen is not None:
        chosen.home = home
    return home


PATH: dict[str, Any] = {"parser": read_path}
"""What every option and argument that is a path has."""
Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="The folder that holds all state (default: MARQUEE_HOME, .marquee).",
        callback=_keep_home,
        **PATH,
    ),
]
Source = Annotated[SourceName, typer.Option("--source", help="Where ratings come from.")]
Folder = Annotated[
    Path | None, typer.Option("--path", help="Folder of a MovieLens data set, in any of its layouts.", **PATH)
]
AnySource = Annotated[IngestSource, typer.Option("--source", help="Where ratings come from, or a click log.")]
SourcePath = Annotated[
    Path | None,
    typer.Option(
        "--path",
        help="Folder of a MovieLens data set, in any of its layouts; of a click log, its file or a folder"
        " of them.",
        **PATH,
    ),
]
MOST_LOG_ROWS = 50_000_000
LogRows = Annotated[
    int | None,
    typer.Option("--rows", min=1, max=MOST_LOG_ROWS, help="Of synthetic-clicks (default: 200,000)."),
]
Posters = Annotated[Path | None, typer.Option("--posters", help="Folder of <movieId>.jpg.", **PATH)]
FirstMovies = Annotated[
    int | None,
    typer.Option("--first-movies", min=2, help="Keep movies with an id up to this (papers: 1000)."),
]
LARGEST_SEED = 2**32 - 1  # NumPy's and scikit-learn's
Seed = Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Of everything random.")]
Protocol = Annotated[
    str | None, typer.Option("--protocol", help="honest (the default), or paper, which leaks the future.")
]
Task = Annotated[
    str | None,
    typer.Option(
        "--task",
        help=f"What is predicted; {DOMAIN.tasks[0].name} where not given. "
        + "; ".join(f"{task.name}: {rule_of(task)}" for task in DOMAIN.tasks)
        + ".",
    ),
]
DomainName = Annotated[
    str | None,
    typer.Option("--domain", help="What the rows are of: movies (the default), or a log such as criteo."),
]
Config = Annotated[
    Path | None, typer.Option("--config", help="File of settings, in place of the committed ones.", **PATH)
]


def names(by_comma: str) -> tuple[str, ...]:
    """The names of an option that takes several.

    Raises:
        MarqueeError: one stands there twice.
    """
    found = tuple(name.strip() for name in by_comma.split(","))
    for name, times in Counter(found).items():
        if times > 1:
            raise MarqueeError(f"{name!r} stands {times} times in {by_comma!r}; name each once.")
    return found


def command_line() -> str:
    """The command as it was typed."""
    return shlex.join(["marquee", *sys.argv[1:]])
