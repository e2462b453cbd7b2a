"""The click logs that Criteo and Avazu published, as their files are."""

from collections.abc import Callable
from pathlib import Path

from common.errors import MarqueeError
from feature_repo.define.column import Type
from feature_repo.define.domain import Domain
from feature_repo.domains.clicks.avazu import AVAZU
from feature_repo.domains.clicks.criteo import CRITEO
from pipelines.sources.click_files import described, log_files, log_rows, unchanged
from pipelines.sources.delimited import Columns, fields, find_columns, split_quoted, width_is
from pipelines.sources.lines import ENCODING, first_lines
from pipelines.sources.readings import BLANKS, Reading, as_it_is, text, whole_number
from pipelines.sources.source import Raw, Source

TAB, COMMA = "\t", ","
LOOKED_AT = 100
"""First lines of a file, by which a file of another kind is told from one with a bad line."""
CALLED = {"click": ("label",)}
"""What published files call a column, where that differs."""

POSITION = as_it_is("position")


# --- Criteo ---------------------------------------------------------------------------------------------

CRITEO_COLUMNS = CRITEO.events.column_names[1:]
"""In the order of the file: the label, 13 numbers, 26 categories."""


def check_criteo(path: Path) -> tuple[Path, ...]:
    """The files of a log in Criteo's layout: separated by tabs, without a header.

    Raises:
        MarqueeError: a file is missing, empty, or of another layout.
    """
    files = log_files(path)
    width = len(CRITEO_COLUMNS)
    for file in files:
        lines = first_lines(file, LOOKED_AT)
        widths = {line.count(TAB) + 1 for _, line in lines}
        if widths == {width - 1}:
            raise MarqueeError(
                f"{file} has {width - 1} columns, so it lacks the label, as a test set does: nothing can be"
                " trained on it; give the file that has it."
            )
        if width not in widths:
            number, first = lines[0]
            raise MarqueeError(
                f"{file}, line {number}: expected {width} columns separated by tabs (label, 13 numbers,"
                f" 26 categories), found {first[:120]!r}."
            )
    return files


def read_criteo(path: Path) -> Source:
    """A log in Criteo's layout: a file, or a folder of files in order of their names, each perhaps packed.

    Raises:
        MarqueeError: as `check_criteo`.
    """
    files = check_criteo(path)
    check_unchanged = unchanged(files)
    width = len(CRITEO_COLUMNS)
    raw = Raw(
        log_rows(files, header=False),
        (POSITION, *_readings(CRITEO, CRITEO_COLUMNS)),
        fields({name: place for place, name in enumerate(CRITEO_COLUMNS)}, width, TAB),
        shape=(width_is(width, TAB),),
        guesses=(ENCODING,),
    )
    return _source(CRITEO, path, files, raw, check_unchanged)


# --- Avazu ----------------------------------------------------------------------------------------------

AN_HOUR = "an hour such as 14102100 (year, month, day, hour)"
COMPUTED = ("hour", "hour_of_day", "weekday", "weekend")
AVAZU_HEADER = (
    "id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,device_id,"
    "device_ip,device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21"
)
AVAZU_COLUMNS = tuple(name for name in AVAZU.events.column_names[1:] if name not in COMPUTED[1:])

_HOUR = f"btrim(`hour`, '{BLANKS}')"
_PLAUSIBLE = f"regexp_like({_HOUR}, '^[0-9]{{6}}([01][0-9]|2[0-3])$')"
_PARTS = ", '-', ".join(f"substring({_HOUR}, {place}, 2)" for place in (1, 3, 5))
_DAY = f"CAST(unix_date(try_cast(concat('20', {_PARTS}) AS DATE)) AS BIGINT)"
_HOUR_OF_DAY = f"try_cast(substring({_HOUR}, 7, 2) AS BIGINT)"
_WEEKDAY = f"(({_DAY} + 3) % 7)"  # 1970 began on a Thursday
HOUR_READINGS = (
    Reading(
        "hour",
        "hour",
        f"CASE WHEN {_PLAUSIBLE} THEN timestamp_micros(({_DAY} * 24 + {_HOUR_OF_DAY}) * 3600000000) END",
        AN_HOUR,
        "text",
    ),
    Reading("hour_of_day", "hour", f"CASE WHEN {_PLAUSIBLE} THEN {_HOUR_OF_DAY} END", "", "text"),
    Reading("weekday", "hour", f"CASE WHEN {_PLAUSIBLE} THEN {_WEEKDAY} END", "", "text"),
    Reading(
        "weekend",
        "hour",
        f"CASE WHEN {_PLAUSIBLE} AND {_WEEKDAY} >= 5 THEN 1 WHEN {_PLAUSIBLE} AND {_WEEKDAY} >= 0 THEN 0 END",
        "",
        "text",
    ),
)


def check_avazu(path: Path) -> tuple[Path, ...]:
    """The files of a log in Avazu's layout: CSV with a header.

    Raises:
        MarqueeError: a file is missing, empty or without rows, or its header is another one.
    """
    files = log_files(path)
    headers = {file: _header(file) for file in files}
    for file, names in headers.items():
        if names != headers[files[0]]:
            raise MarqueeError(f"{file} has another header than {files[0]}; they must have one.")
    return files


def _avazu_columns(names: list[str]) -> Columns:
    return find_columns(names, {name: CALLED.get(name, ()) for name in AVAZU_COLUMNS})


def _header(file: Path) -> list[str]:
    lines = first_lines(file, 2)
    names = [name.strip() for name in split_quoted(lines[0][1])]
    found = _avazu_columns(names)
    if found.lacking == ("click",):
        raise MarqueeError(
            f"{file} lacks the column click, as a test set does: nothing can be trained on it; give the file"
            " that has it."
        )
    if len(found.lacking) > len(AVAZU_COLUMNS) // 2:
        raise MarqueeError(
            f"{file}, line {lines[0][0]}: expected the header {AVAZU_HEADER}, found {lines[0][1][:120]!r}."
        )
    if found.why:
        raise MarqueeError(f"{file} {found.why}.")
    if len(lines) == 1:
        raise MarqueeError(f"{file} has a header and no rows below it.")
    return names


def read_avazu(path: Path) -> Source:
    """A log in Avazu's layout: a file, or a folder of files in order of their names, each perhaps packed.

    Raises:
        MarqueeError: as `check_avazu`.
    """
    files = check_avazu(path)
    check_unchanged = unchanged(files)
    names = _header(files[0])
    plain = tuple(name for name in AVAZU_COLUMNS if name not in COMPUTED)
    raw = Raw(
        log_rows(files, header=True),
        (POSITION, *_readings(AVAZU, plain), *HOUR_READINGS),
        fields(_avazu_columns(names).places, len(names), COMMA, quoted=True),
        shape=(width_is(len(names), COMMA, quoted=True),),
        guesses=(ENCODING,),
    )
    return _source(AVAZU, path, files, raw, check_unchanged)


# --- both -----------------------------------------------------------------------------------------------

READERS: dict[str, Callable[[Path], Source]] = {CRITEO.name: read_criteo, AVAZU.name: read_avazu}
CHECKS: dict[str, Callable[[Path], object]] = {CRITEO.name: check_criteo, AVAZU.name: check_avazu}
"""By the name of the log."""


def _readings(log: Domain, names: tuple[str, ...]) -> tuple[Reading, ...]:
    """How the columns of a log are read that stand in its files as they are."""
    table = log.events
    return tuple(
        text(name) if table.column(name).type is Type.STRING else whole_number(name) for name in names
    )


def _source(
    log: Domain, path: Path, files: tuple[Path, ...], raw: Raw, check_unchanged: Callable[[], None]
) -> Source:
    return Source(
        log.name,
        f"{log.name}: {described(path, files)}",
        {log.events.name: raw},
        check_unchanged=check_unchanged,
    )
