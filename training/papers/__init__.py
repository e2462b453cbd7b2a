"""Published tables, reproduced: one module declares a paper, and is listed here once."""

from importlib import import_module
from typing import TYPE_CHECKING

from common.errors import unknown

if TYPE_CHECKING:
    from training.papers.paper import Paper

PAPERS = {"iarm": ("training.papers.iarm", "IARM"), "mmdin": ("training.papers.mmdin", "MMDIN")}
"""Where each paper is declared, by its name on the command line."""


def find_paper(key: str) -> "Paper":
    """A paper by its name.

    Raises:
        MarqueeError: there is none of that name.
    """
    if key not in PAPERS:
        raise unknown("paper", key, PAPERS)
    module, name = PAPERS[key]
    return getattr(import_module(module), name)  # type: ignore[no-any-return]
