"""Published tables, reproduced: one module declares a paper, and is listed here once."""

from importlib import import_module
from typing import TYPE_CHECKING

from common.errors import MarqueeError, unknown

if TYPE_CHECKING:
    from feature_repo.define.domain import Domain
    from training.papers.paper import Paper

PAPERS = {"iarm": ("training.papers.iarm", "IARM"), "mmdin": ("training.papers.mmdin", "MMDIN")}
"""Where each paper is declared, by its name on the command line."""


def find_paper(key: str, log: "Domain | None" = None) -> "Paper":
    """A paper by its name.

    Args:
        log: the click log to reproduce it on; on events where None.

    Raises:
        MarqueeError: there is none of that name, or it is none of click logs.
    """
    if key not in PAPERS:
        raise unknown("paper", key, PAPERS)
    module, name = PAPERS[key]
    found = import_module(module)
    if log is None:
        return getattr(found, name)  # type: ignore[no-any-return]
    if not hasattr(found, "on_log"):
        raise MarqueeError(f"{key} reads features that are joined, and {log.name} is a log.")
    return found.on_log(log)  # type: ignore[no-any-return]
