"""The one exception that reaches people."""

from collections.abc import Iterable
from difflib import get_close_matches


class MarqueeError(Exception):
    """A mistake that a person can mend.

    Its message is one clear sentence: what was wrong, where (file, row, column), and what to do.
    The command line prints it without a traceback and exits with code 2.
    """


def unknown(kind: str, name: str, known: Iterable[str]) -> MarqueeError:
    """What to raise for a name that is not among the known ones: it gives the nearest, or all.

    Args:
        kind: what is named, in the singular.
    """
    names = list(known)
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}."
    return MarqueeError(f"There is no {kind} '{name}': {hint}")
