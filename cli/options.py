"""The options that several commands have."""

import shlex
import sys
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from common.errors import MarqueeError
from feature_repo.domains.movies import DOMAIN as DOMAIN

GROUP: dict[str, Any] = {"no_args_is_help": True, "rich_markup_mode": "rich"}
"""How every group of commands behaves."""


class SourceName(StrEnum):
    """Where ratings come from."""

    synthetic = "synthetic"
    movielens = "movielens"


Home = Annotated[
    Path | None,
    typer.Option("--home", help="The folder that holds all state (default: MARQUEE_HOME, .marquee)."),
]
Source = Annotated[SourceName, typer.Option("--source", help="Where ratings come from.")]
Folder = Annotated[
    Path | None, typer.Option("--path", help="Folder of a MovieLens data set, in any of its layouts.")
]
Posters = Annotated[Path | None, typer.Option("--posters", help="Folder of <movieId>.jpg.")]
FirstMovies = Annotated[
    int | None,
    typer.Option("--first-movies", min=2, help="Keep movies with an id up to this (papers: 1000)."),
]
LARGEST_SEED = 2**32 - 1  # NumPy's and scikit-learn's
Seed = Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Of everything random.")]
Protocol = Annotated[
    str | None, typer.Option("--protocol", help="honest (the default), or paper, which leaks the future.")
]
Config = Annotated[
    Path | None, typer.Option("--config", help="File of settings, in place of the committed ones.")
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
