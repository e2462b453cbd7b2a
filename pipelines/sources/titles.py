"""Titles of movies with the year in brackets."""

import re
from dataclasses import dataclass

from feature_repo.domains.movies.tables import YEAR_HIGH, YEAR_LOW

OPENING, CLOSING = r"[(\[{<（［【]", r"[)\]}>）］】]"
# A year, or a span of years of which the first counts, with what people write beside it: (1995), (2007-),
# [1975–1979], (TV 1995), (1995/I), (1994?).
_BRACKETED = re.compile(
    rf"\s*(?:{OPENING}\s*)+(?:(?:TV|V|VG|Video|Film|Movie|Series|Mini-Series|c\.|ca\.)[\s,]+)*"
    r"(?P<year>[0-9]{4,20})\s*\??(?:\s*[-\u2010-\u2015/]\s*(?:[0-9]{2,4}|[IVX]+)?)?"
    rf"(?:[\s,]+(?:TV|V|VG|Video|Film|Movie|Series|Mini-Series))*\s*{CLOSING}+",
    re.IGNORECASE,
)
REACH = 500
"""Characters at a title's end in which its year is looked for: a long run of brackets would take for ever."""
_KIND_AT_END = re.compile(r"^\s*(?:\((?:V|TV|VG)\))?\s*$")


@dataclass(frozen=True, slots=True)
class Title:
    """A title and its year.

    Args:
        title: without the year.
        year: four digits; None where there is none.
        odd: numbers that stand where a year would, but are none.
    """

    title: str
    year: str | None
    odd: tuple[str, ...] = ()


def is_year(number: int) -> bool:
    """Whether a movie may be of this year."""
    return YEAR_LOW <= number <= YEAR_HIGH


def read_title(text: str) -> Title:
    """Part a title from its year: the last plausible one in brackets of any kind.

    "Toy Story (1995)" is "Toy Story" of "1995". A title that would be nothing without its year has none.
    """
    text = text.strip()
    odd = []
    for found in reversed(list(_BRACKETED.finditer(text, max(0, len(text) - REACH)))):
        before, after = text[: found.start()], text[found.end() :]
        rest = before if _KIND_AT_END.match(after) else f"{before}{after}"
        if not rest.strip():
            continue
        if is_year(int(found["year"])):
            # "(of (1995))" is one bracket in another.
            open_still = ")" * min(rest.count("(") - rest.count(")"), found[0].count(")"))
            return Title(rest.strip() + open_still, found["year"])
        odd.append(found["year"])
    return Title(text, None, tuple(odd))
