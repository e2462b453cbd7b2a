"""Files of new ratings, as `features push FILE` reads them: CSV and Parquet."""

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from common.errors import MarqueeError
from feature_repo.domains.movies import DOMAIN
from pipelines.ingest import add_events
from pipelines.sources.new_events import read_events
from tests.fuzzing.columns import is_plain, values_of, write
from tests.fuzzing.damage import damaged
from tests.fuzzing.judged import Judged, judged
from tests.fuzzing.lake import lake
from tests.fuzzing.meaning import ROLES, Rated, rated
from tests.fuzzing.sheets import Line, Sheet, change, encoded
from tests.fuzzing.tables import Typed
from tests.fuzzing.tables import change as change_table
from tests.raw_rows import no_spark

MOVIES = [1, 2, 3, 4, 5]
GOOD = [(user, movie, stars, 1_500_000_000 + 7 * user) for user, movie, stars in
        ((1, 1, "4.0"), (2, 3, "0.5"), (3, 2, "5"), (4, 5, "3.5"), (5, 4, "1"), (6, 1, "2.5"))]  # fmt: skip


UNKNOWN = object()
"""In place of what a row says, where nobody can tell."""
Expected = dict[int, Any]
"""By the number of a row a `Rated`, None for a row that has to be refused, or `UNKNOWN`."""


def pushed(random: Random, folder: Path) -> str:
    """One file, judged; one in twenty goes into a lake."""
    file = folder / random.choice(("new.csv", "new.csv", "new.parquet", "new"))
    typed = file.suffix == ".parquet" or (not file.suffix and random.random() < 0.8)
    expected, must = (_typed if typed else _text)(random, file)
    try:
        raw = read_events(file, DOMAIN.events)
    except MarqueeError:
        assert not must, "a file that can be read was refused"
        raise
    found = judged({"ratings": raw}, MOVIES)["ratings"]
    check_ratings(found)
    if expected is not None:
        assert found.read == len(expected), f"{found.read} rows of {len(expected)} were read"
        compare(found, expected, set(MOVIES))
    if random.random() < 0.05:
        report = add_events(no_spark, raw, lake(), DOMAIN)
        assert report.read == found.read == report.accepted + report.known + report.quarantined
    return "judged" if expected is None else "compared"


def check_ratings(found: Judged) -> None:
    """No row is good that breaks a rule."""
    for row in found.good:
        values = {**row, "timestamp": row["event_timestamp"]}
        assert rated(values) is not None, f"a row that breaks a rule is good: {row}"


def compare(found: Judged, expected: Expected, movies: Collection[int], source: str | None = None) -> None:
    """Each row says what it should, or is refused where it should be.

    Args:
        movies: those of the catalogue.
    """
    good, twins, first = found.by_row(source), found.twins(), {}
    vague = any(meant is UNKNOWN for meant in expected.values())
    for number, meant in sorted(expected.items()):
        row = good.pop(number, None)
        if meant is UNKNOWN or (vague and number in twins):
            continue
        if meant is not None:
            key = (meant.user_id, meant.movie_id, meant.event_timestamp)
            if first.setdefault(key, number) != number or meant.movie_id not in movies:
                meant = None
        values = row and Rated(*(row[name] for name in Rated._fields))
        assert values == meant, f"row {number} is {values}, not {meant}"
    assert not good, f"rows that are not in the file: {good}"


def ratings_sheet() -> Sheet:
    """Good ratings."""
    lines = [Line([str(value) for value in row]) for row in GOOD]
    return Sheet([*ROLES], ["user_id", "movie_id", "rating", "timestamp"], lines)


def meanings(sheet: Sheet) -> Expected:
    """What each line of a sheet says."""
    found: Expected = {}
    for number, line in sheet.numbered():
        values = sheet.values(line)
        found[number] = UNKNOWN if line.cells is None else None if values is None else rated(values)
    return found


def lines_left(sheet: Sheet, meant: Expected, before: bytes, after: bytes) -> Expected | None:
    """What the lines of a damaged file say that are whole; None where its header is not.

    Args:
        meant: what the lines of the whole file say.
    """
    old, new = before.split(b"\n"), after.split(b"\n")
    head = len(sheet.begins) + (sheet.names is not None)
    if old[:head] != new[:head] or b"\r" in before + after or not sheet.known:
        return None
    said = {old[number - 1]: said for number, said in meant.items()}
    return {
        number: said.get(line, UNKNOWN)
        for number, line in enumerate(new[head:], start=head + 1)
        if line.strip(b" ")
    }


def _text(random: Random, file: Path) -> tuple[Expected | None, bool]:
    """Write a CSV; what its rows mean, where that can be said, and whether it must be read."""
    sheet = ratings_sheet()
    change(random, sheet)
    whole = encoded(random, sheet)
    if random.random() < 0.4:
        file.write_bytes(data := damaged(random, whole))
        is_text = whole.isascii() and data.isascii()
        return lines_left(sheet, meanings(sheet), whole, data) if is_text else None, False
    file.write_bytes(whole)
    meant = meanings(sheet) if sheet.known else None
    return meant, sheet.must and sheet.known and bool(meant)


def _typed(random: Random, file: Path) -> tuple[Expected | None, bool]:
    """Write Parquet; as `_text`."""
    at = [datetime.fromtimestamp(row[-1], UTC) for row in GOOD]
    if random.random() < 0.2:  # dates hold midnights
        at = [moment.replace(hour=0, minute=0, second=0) for moment in at]
    bases: dict[str, list[Any]] = dict(zip(ROLES, zip(*GOOD, strict=True), strict=True)) | {"timestamp": at}
    bases["rating"] = [float(stars) for stars in bases["rating"]]
    names = [*ROLES[:3], random.choice(("timestamp", "event_timestamp"))]
    typed = Typed(names, [pa.array(bases[role]) for role in ROLES], [*ROLES], bases=bases)
    change_table(random, typed)
    write(random, typed.table, file)
    if random.random() < 0.4:
        file.write_bytes(damaged(random, file.read_bytes()))
        return None, False
    columns = {role: typed.role(role) for role in ROLES}
    if not (typed.must and typed.rows) or any(column is None for column in columns.values()):
        return None, False
    if pq.read_schema(file).names != typed.names:
        return None, False
    values = {role: values_of(column) for role, column in columns.items()}
    must = all(is_plain(column.type, role == "timestamp") for role, column in columns.items())
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return {number: rated(row) for number, row in enumerate(rows, start=1)}, must
