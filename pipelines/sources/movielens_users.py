"""MovieLens' users, in each layout that has them: who they are, as far as they said.

MovieLens-1M holds ages and occupations as codes. An age stays the number that the file has, which there is
the first year of a span (1 for all under 18, 18 for 18 to 24, …). An occupation becomes a word: that of
MovieLens-100K where the code means what the word means, so that the two releases speak one language, and else
what the README of MovieLens-1M calls it. Where a code joins two words of MovieLens-100K ("doctor/health
care") or parts one ("K-12 student"), they stay different. RecBole's files hold words or codes, as the release
does that they were made from.
"""

from dataclasses import dataclass
from pathlib import Path

from common.errors import MarqueeError
from feature_repo.define.column import quoted
from lake.dialect import literal
from pipelines.sources.delimited import RECORD, find_columns
from pipelines.sources.lines import ENCODING, first_lines, line_rows
from pipelines.sources.movielens_catalogue import atomic_names, wrong_header
from pipelines.sources.readings import BLANKS, Reading, text, whole_number
from pipelines.sources.source import Fault, Raw

OCCUPATIONS_1M = (
    "other",
    "educator",
    "artist",
    "administrator",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
)
"""The occupations of MovieLens-1M by their codes."""
EXPECTED = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token"
USER_COLUMNS: dict[str, tuple[str, ...]] = {
    "user_id": (),
    "age": (),
    "gender": (),
    "occupation": (),
    "zip_code": ("zip", "zipcode"),
}
"""The fields of a user, and what else files call them."""


@dataclass(frozen=True, slots=True)
class UsersLayout:
    """How a file of users is laid out.

    Args:
        files: its name, or a pattern.
        separator: between fields.
        columns: the fields in the file's order; None where a header names them.
    """

    files: str
    separator: str
    columns: tuple[str, ...] | None


DAT_USERS = UsersLayout("users.dat", "::", ("user_id", "gender", "age", "occupation", "zip_code"))
ITEM_USERS = UsersLayout("u.user", "|", ("user_id", "age", "gender", "occupation", "zip_code"))
ATOMIC_USERS = UsersLayout("*.user", "\t", None)


def user_places(path: Path, layout: UsersLayout) -> tuple[dict[str, int], int]:
    """Where the fields of a user are in a line, if the file has them, and how many fields there are.

    Raises:
        MarqueeError: the header is another one, or names no user, or a field twice.
    """
    if layout.columns is not None:
        return {name: place for place, name in enumerate(layout.columns)}, len(layout.columns)
    first = first_lines(path, 1)[0][1]
    names = atomic_names(path, first, EXPECTED)
    places: dict[str, int] = {}
    for name, called in USER_COLUMNS.items():
        found, _, why = find_columns(names, {name: called})
        if why.startswith("has several"):
            raise MarqueeError(f"{path} {why}.")
        places |= found
    if "user_id" not in places:
        raise wrong_header(path, EXPECTED, first)
    return places, len(names)


def users_of(path: Path, layout: UsersLayout) -> Raw:
    """The lines of a file of users, and how their fields are read.

    Raises:
        MarqueeError: as `user_places`; or the file cannot be read.
    """
    places, width = user_places(path, layout)
    # A class of characters, since a bar alone has a meaning in a pattern.
    separator = literal("".join(f"[{character}]" for character in layout.separator))
    parts = f"split({RECORD}, {separator})"
    fields = {
        name: f"get({parts}, {places[name]})" if name in places else "CAST(NULL AS STRING)"
        for name in USER_COLUMNS
    }
    number = f"concat('the line has ', CAST(size({parts}) AS STRING), ' fields, not {width}')"
    return Raw(
        line_rows(path, header=layout.columns is None),
        (
            whole_number("user_id"),
            whole_number("age"),
            text("gender"),
            _occupation(),
            text("zip_code"),
        ),
        fields,
        (Fault("users_have_their_fields", f"size({parts}) != {width}", number), _known_occupation()),
        (ENCODING,),
    )


def _occupation() -> Reading:
    """A word, or that of a code."""
    word = text("occupation").value
    codes = " ".join(f"WHEN '{code}' THEN {literal(name)}" for code, name in enumerate(OCCUPATIONS_1M))
    return Reading("occupation", "occupation", f"CASE {word} {codes} ELSE {word} END", "", "text")


def _known_occupation() -> Fault:
    """The rule that a code is one of the list."""
    code = f"btrim({quoted('occupation')}, '{BLANKS}')"
    known = ", ".join(f"'{code}'" for code in range(len(OCCUPATIONS_1M)))
    reason = f"concat('occupation ', {code}, ' is none of the codes 0 to {len(OCCUPATIONS_1M) - 1}')"
    return Fault(
        "occupation_is_known", f"regexp_like({code}, '^[-+]?[0-9.]+$') AND {code} NOT IN ({known})", reason
    )
