"""The one exception that reaches people."""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

LONGEST = 2_000
"""Characters of a sentence; of what it quotes, the middle is left out."""
_LINE_END = re.compile(r"\s*[\n\r]\s*")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What would end the line, move a terminal's cursor, or have no encoding."""


class MarqueeError(Exception):
    """A mistake that a person can mend.

    Its message is one clear sentence: what was wrong, where (file, row, column), and what to do.
    The command line prints it without a traceback and exits with code 2. Files are quoted in it, whatever
    stands in them: it is made one line that can be printed.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(shortened(printable(sentence), LONGEST))


def unknown(kind: str, name: str, known: Iterable[str]) -> MarqueeError:
    """What to raise for a name that is not among the known ones: it gives the nearest, or all.

    Args:
        kind: what is named, in the singular.
    """
    names = list(known)
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}."
    return MarqueeError(f"There is no {kind} '{name}': {hint}")


def in_words(error: BaseException) -> str:
    """What an exception says first, on one line that is not too long; its kind where it says nothing."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    words = " ".join(lines[:2]) if lines and lines[0].endswith(":") else "".join(lines[:1])
    return shortened(words.rstrip(".: ")) or type(error).__name__


def printable(text: str) -> str:
    """A text on one line, with escapes in place of what cannot be printed."""
    return _UNPRINTABLE.sub(lambda found: repr(found[0])[1:-1], _LINE_END.sub(" ", text.strip()))


def shortened(text: str, most: int = 300) -> str:
    """A text without its middle where it is too long to be read."""
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"


def is_panic(error: BaseException) -> bool:
    """Whether a library in Rust broke down; such an exception is not even an `Exception`."""
    return type(error).__module__.startswith("pyo3_runtime")


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what led to it, back to the first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def mendable(error: BaseException) -> MarqueeError | None:
    """The mistake that a person can mend behind an exception, however a library wrapped it; None for none."""
    return next((cause for cause in causes(error) if isinstance(cause, MarqueeError)), None)
