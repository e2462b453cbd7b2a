"""Delimited text as people and programs write it: rightly in many ways, and wrongly in many more."""

import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

ODD = (
    *("", " ", "0", "-1", "1", "1.0", "1.5", "+2", "2.", "007", "1e0", "1E400", "-0", "4,5", "1_0", "0x10"),
    *("nan", "NaN", "inf", "-Infinity", "null", "None", "NA", "true", "١", "１", "½", "1 2", "3.5d", "3.5f"),
    *(
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "1" * 40,
        "9" * 400,
        ".",
        "-",
        "e5",
    ),
    *("1600000000000", "1.6e9", "1600000000.123456", "2020-01-31", "2020-01-31T12:00:00Z", "2020-02-30"),
    *(
        "2020-01-31 12:00:00.1234567+02:00",
        "31/01/2020",
        "9999-12-31T23:59:59Z",
        "0001-01-01",
        "2020-01-31T25:00",
    ),
    *(
        "\x00",
        "1\x00",
        "\ufeff1",
        "\u00a01",
        "\u2028",
        "\x1b[2J",
        "\\",
        "'",
        "`x`",
        "${x}",
        "%s",
        "{}",
        "a\tb",
    ),
    *("=cmd|' /C calc'!A0", "'; DROP TABLE ratings; --", "../../etc/passwd", "👩‍👩‍👧", "é" * 300),
    *("x" * 70_000, "x" * 140_000, "( " * 20_000),
)
"""Values that somebody may find in a cell, of which few mean anything."""


@dataclass
class Line:
    """One line below the header.

    Args:
        cells: its fields; None where nobody can say what they are.
        raw: stands in place of the fields.
    """

    cells: list[str] | None
    raw: str | None = None


@dataclass
class Sheet:
    """A file of delimited text.

    Args:
        roles: what each column is; None for one that nobody reads.
        names: the header; None where the file has none.
        lines: below it, blank ones too.
        separator: between the fields.
        quotes: whether fields may stand in quotes.
        must: whether all that was done to it leaves it a file that can be read.
        known: whether it can be said what its lines mean.
        begins: lines before the header.
    """

    roles: list[str | None]
    names: list[str] | None
    lines: list[Line]
    separator: str = ","
    quotes: bool = True
    must: bool = True
    known: bool = True
    begins: list[str] = field(default_factory=list)

    def text(self, random: Random, style: str) -> str:
        """As it stands in the file, lines ended by LF."""
        head = [] if self.names is None else [self._joined(self.names, random, style)]
        below = [
            self._joined(line.cells or [], random, style) if line.raw is None else line.raw
            for line in self.lines
        ]
        return "".join(f"{line}\n" for line in (*self.begins, *head, *below))

    def _joined(self, cells: Sequence[str], random: Random, style: str) -> str:
        return self.separator.join(self._cell(cell, random, style) for cell in cells)

    def _cell(self, cell: str, random: Random, style: str) -> str:
        if not self.quotes:
            return cell
        needed = self.separator in cell or '"' in cell
        if needed or style == "all" or (style == "some" and random.random() < 0.5):
            inner = cell.replace('"', '""')
            return f'"{inner}"'
        return cell

    def numbered(self) -> list[tuple[int, Line]]:
        """The lines that are not blank, with their numbers in the file from 1."""
        first = 1 + len(self.begins) + (self.names is not None)
        return [
            (number, line)
            for number, line in enumerate(self.lines, start=first)
            if (line.raw if line.raw is not None else self.separator.join(line.cells or [])).strip(" ")
        ]

    def values(self, line: Line) -> dict[str, str] | None:
        """A line's fields by role; None where nobody can say, or where it has more than the header.

        What follows the last separator stays in the last field, where that is read.
        """
        if line.cells is None:
            return None
        cells, many = line.cells, len(self.roles)
        if len(cells) > many:
            if self.roles[-1] is None:
                return None
            cells = [*cells[: many - 1], self.separator.join(cells[many - 1 :])]
        return {role: cell for role, cell in zip(self.roles, cells, strict=False) if role is not None}


Change = Callable[[Random, Sheet], None]


# --- what leaves the meaning as it is ----------------------------------------------------------------------


def reorder(random: Random, sheet: Sheet) -> None:
    if sheet.names is None:
        return
    order = random.sample(range(len(sheet.roles)), len(sheet.roles))
    sheet.roles = [sheet.roles[at] for at in order]
    sheet.names = [sheet.names[at] for at in order]
    for line in sheet.lines:
        if line.cells is not None and len(line.cells) == len(order):
            line.cells = [line.cells[at] for at in order]
        elif line.cells:
            line.cells, line.raw = None, sheet.separator.join(line.cells)


def another_column(random: Random, sheet: Sheet) -> None:
    """One that nobody reads, of any name and any texts."""
    if sheet.names is None:
        return
    at = random.randrange(len(sheet.roles) + 1)
    texts = ("", "a", "nice film", "42", "né", *(("a,b", 'so "called"', "5,5") if sheet.quotes else ()))
    sheet.roles.insert(at, None)
    sheet.names.insert(at, random.choice(("note", "liked", "", "x y", "Ünïcode", "note2", "ratings", "user")))
    for line in sheet.lines:
        if line.cells:
            line.cells.insert(at, random.choice(texts))


def another_case(random: Random, sheet: Sheet) -> None:
    if sheet.names is not None:
        how = random.choice(
            (str.upper, str.title, lambda name: f" {name} ", lambda name: name.replace("_", ""))
        )
        sheet.names = [
            how(name) if role else name for name, role in zip(sheet.names, sheet.roles, strict=True)
        ]


def blank_lines(random: Random, sheet: Sheet) -> None:
    for _ in range(random.randrange(1, 4)):
        sheet.lines.insert(
            random.randrange(len(sheet.lines) + 1), Line(None, random.choice(("", " ", "   ")))
        )
    sheet.begins += [""] * random.randrange(3)


def a_line_twice(random: Random, sheet: Sheet) -> None:
    line = random.choice(sheet.lines) if sheet.lines else Line([])
    sheet.lines.append(Line(line.cells and [*line.cells], line.raw))


def other_values(random: Random, sheet: Sheet) -> None:
    """In up to three cells."""
    for _ in range(random.randrange(1, 4)):
        line = random.choice(sheet.lines) if sheet.lines else Line([])
        if line.cells:
            cell = random.choice(ODD)
            if not sheet.quotes and sheet.separator in cell:
                continue
            line.cells[random.randrange(len(line.cells))] = cell


def shorter_or_longer(random: Random, sheet: Sheet) -> None:
    """A line that lacks fields, or has more."""
    line = random.choice(sheet.lines) if sheet.lines else Line([])
    if line.cells:
        at = random.randrange(len(line.cells))
        if random.random() < 0.5:
            del line.cells[at:]
        else:
            line.cells[at:at] = [random.choice(("", "1", "5", "x"))] * random.choice((1, 1, 3))


def header_again(random: Random, sheet: Sheet) -> None:
    """Two files, one after the other."""
    if sheet.names is not None:
        sheet.lines.insert(random.randrange(len(sheet.lines) + 1), Line([*sheet.names]))


def any_line(random: Random, sheet: Sheet) -> None:
    """A line of which nobody can say what it means."""
    raw = random.choice(
        ('"1,2,3', '1,"2,3,4', '"', '""', '"""', ",", ",,,,,,,", "\x00", '1,2,"3"4,5', "\t", "::::")
    )
    sheet.lines.insert(random.randrange(len(sheet.lines) + 1), Line(None, raw))


MEANT: tuple[Change, ...] = (
    reorder, another_column, another_case, blank_lines, a_line_twice, other_values, other_values,
    shorter_or_longer, header_again, any_line,
)  # fmt: skip


# --- what may well be refused ------------------------------------------------------------------------------


def less_one_column(random: Random, sheet: Sheet) -> None:
    sheet.known = sheet.known and sheet.names is not None
    at = random.randrange(len(sheet.roles))
    for row in (sheet.roles, sheet.names, *(line.cells for line in sheet.lines)):
        if row and len(row) > at:
            del row[at]


def a_column_twice(random: Random, sheet: Sheet) -> None:
    at = random.randrange(len(sheet.roles))
    for row in (sheet.roles, sheet.names, *(line.cells for line in sheet.lines)):
        if row and len(row) > at:
            row.append(row[at])
    sheet.known = sheet.known and sheet.names is not None


def no_header(_: Random, sheet: Sheet) -> None:
    sheet.names, sheet.known = None, False


def another_header(random: Random, sheet: Sheet) -> None:
    if sheet.names:
        sheet.names[random.randrange(len(sheet.names))] = random.choice(ODD)
        sheet.known = False


def no_lines(random: Random, sheet: Sheet) -> None:
    sheet.lines = [] if random.random() < 0.5 else [Line(None, " ")]


def many_columns(random: Random, sheet: Sheet) -> None:
    if sheet.names is None:
        return
    many = random.choice((30, 200, 1_500))
    sheet.names += [f"c{at}" for at in range(many)]
    sheet.roles += [None] * many
    for line in sheet.lines:
        if line.cells:
            line.cells += ["x"] * many


def another_separator(random: Random, sheet: Sheet) -> None:
    sheet.separator = random.choice((";", "\t", "|", " ", ", ", "::", ""))
    sheet.known = False


REFUSED: tuple[Change, ...] = (
    less_one_column, a_column_twice, no_header, another_header, no_lines, many_columns, another_separator,
)  # fmt: skip


def change(random: Random, sheet: Sheet) -> None:
    """Change a sheet, most often so that it can still be read."""
    for _ in range(random.randrange(4)):
        random.choice(MEANT)(random, sheet)
    if random.random() < 0.2:
        sheet.must = False
        random.choice(REFUSED)(random, sheet)


def encoded(random: Random, sheet: Sheet) -> bytes:
    """The bytes of a file."""
    text = sheet.text(random, random.choice(("needed", "needed", "all", "some")))
    ends = random.choice(("\n", "\n", "\n", "\r\n", "\r", "mixed"))
    if ends == "mixed":
        text = "".join(line + random.choice(("\n", "\r\n")) for line in text.split("\n")[:-1])
    elif ends != "\n":
        text = text.replace("\n", ends)
    if random.random() < 0.2:
        text = text.removesuffix("\n").removesuffix("\r")
    encoding = random.choice(
        ("utf-8",) * 6 + ("utf-8-sig", "utf-16", "cp1252", "latin-1", "utf-16-le", "utf-32")
    )
    data = text.encode(encoding, "replace")
    if not (encoding.startswith("utf") or text.isascii()):
        sheet.known = False
    if encoding in ("utf-16-le", "utf-32"):
        sheet.must = sheet.known = False
    if random.random() < 0.1:
        data = gzip.compress(data, mtime=0)
    return data
