"""Click logs: each row of the published samples read as it stands; what is no row quarantined."""

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from common.errors import MarqueeError
from feature_repo.define.column import Type
from feature_repo.define.domain import Domain
from feature_repo.domains.clicks.avazu import AVAZU
from feature_repo.domains.clicks.criteo import CRITEO
from lake.session import StartSpark
from pipelines.ingest import ingest
from pipelines.sources.click_logs import AVAZU_HEADER, READERS
from pipelines.sources.source import Source
from tests.click_lines import AVAZU_LINE, CRITEO_LINE, avazu_line, criteo_line, read, stored, written
from tests.raw_rows import ENGINES, engine_named, no_spark, table_rows

# --- the published samples ------------------------------------------------------------------------------


def as_column(log: Domain, name: str, value: str) -> int | str | None:
    """A field of a file, by the declared type of its column: what an independent reader makes of it."""
    if value == "":
        return None
    return int(value) if log.events.column(name).type is Type.INT64 else value


def criteo_rows(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        lines = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    names = ("click", *(f"i{n}" for n in range(1, 14)), *(f"c{n}" for n in range(1, 27)))
    return [
        {"position": at} | {n: as_column(CRITEO, n, v) for n, v in zip(names, line, strict=True)}
        for at, line in enumerate(lines, start=1)
    ]


def avazu_rows(path: Path) -> list[dict[str, Any]]:
    rows = []
    with path.open(newline="") as file:
        for at, line in enumerate(csv.DictReader(file), start=1):
            hour = datetime.strptime(line.pop("hour"), "%y%m%d%H").replace(tzinfo=UTC)
            row = {name.lower(): as_column(AVAZU, name.lower(), value) for name, value in line.items()}
            weekday = hour.weekday()
            row |= {"hour_of_day": hour.hour, "weekday": weekday, "weekend": int(weekday > 4)}
            rows.append({"position": at, "hour": hour, **row})
    return rows


SAMPLES = {
    "criteo": (CRITEO, "criteo-sample/criteo-8000.tsv", criteo_rows, 8000),
    "avazu": (AVAZU, "avazu-sample/avazu-9k.csv", avazu_rows, 8999),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_each_field_of_a_published_sample_is_what_an_independent_reader_finds(
    name: str, start: StartSpark, real_data: Path, tmp_path: Path
) -> None:
    log, file, rows, count = SAMPLES[name]
    path = real_data / file
    if start is not no_spark:  # which takes many times as long
        path, count = tmp_path / "head", 1000
        lines = (real_data / file).read_text().splitlines()
        written(path, lines[: count + (log is AVAZU)])
    table = read(start, log, path, tmp_path / "lake").tables[log.events.name]
    assert (table.read, table.accepted, table.quarantined) == (count, count, 0)
    assert stored(tmp_path / "lake", log) == [
        {column: row[column] for column in log.events.column_names} for row in rows(path)
    ]


# --- bad rows -------------------------------------------------------------------------------------------

BAD_CRITEO = {
    criteo_line(click="2"): ("click_in_range", "click is outside [0, 1]: 2"),
    criteo_line(click=""): ("click_is_present", "click is missing"),
    criteo_line(i3="many"): ("i3_is_number", "i3 'many' is not a whole number"),
    criteo_line(i3="1.5"): ("i3_is_number", "i3 '1.5' is not a whole number"),
    CRITEO_LINE + "\t": ("columns_are_complete", "the line has 41 columns, not 40"),
    CRITEO_LINE.partition("\t")[2]: ("columns_are_complete", "the line has 39 columns, not 40"),
    "\t": ("columns_are_complete", "the line has 2 columns, not 40"),
    "label\t" + "\t".join(CRITEO.events.column_names[2:]): (
        "click_is_number",
        "click 'label' is not a whole number",
    ),
}
NO_HOUR = "is not an hour such as 14102100 (year, month, day, hour)"
BAD_AVAZU = {
    avazu_line(click="2"): ("click_in_range", "click is outside [0, 1]: 2"),
    avazu_line(id=""): ("id_is_present", "id is missing"),
    avazu_line(c14="x"): ("c14_is_number", "c14 'x' is not a whole number"),
    avazu_line(hour="14103199"): ("hour_is_number", f"hour '14103199' {NO_HOUR}"),
    avazu_line(hour="14023000"): ("hour_is_number", f"hour '14023000' {NO_HOUR}"),
    avazu_line(hour="yesterday"): ("hour_is_number", f"hour 'yesterday' {NO_HOUR}"),
    avazu_line(hour=""): ("hour_is_present", "hour is missing"),
    AVAZU_LINE + ",1": ("columns_are_complete", "the line has 25 columns, not 24"),
    AVAZU_LINE.rpartition(",")[0]: ("columns_are_complete", "the line has 23 columns, not 24"),
    f'"{AVAZU_LINE}': (
        "columns_are_complete",
        "the line has other than 24 columns, or a quote that is not closed",
    ),
    AVAZU_HEADER: ("click_is_number", "click 'click' is not a whole number"),
}
BAD = {
    "criteo": (CRITEO, [CRITEO_LINE], BAD_CRITEO),
    "avazu": (AVAZU, [AVAZU_HEADER, AVAZU_LINE], BAD_AVAZU),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_lines_are_quarantined_with_the_reason_and_leave_their_place_empty(
    name: str, start: StartSpark, tmp_path: Path
) -> None:
    log, good, bad = BAD[name]
    path = written(tmp_path / "log", [*good, *bad, good[-1]], end="\r\n")
    table = read(start, log, path, tmp_path / "lake").tables[log.events.name]
    assert (table.read, table.accepted, table.quarantined) == (len(bad) + 2, 2, len(bad))
    assert [row["position"] for row in stored(tmp_path / "lake", log)] == [1, len(bad) + 2]
    quarantine = {
        row["record"]: (row["rule"], row["reason"])
        for row in table_rows(tmp_path / "lake", "quarantine")
        if row["source"] == str(path)
    }
    assert quarantine == bad


def test_missing_numbers_and_categories_are_null_and_negative_ones_are_themselves(tmp_path: Path) -> None:
    path = written(tmp_path / "log", [criteo_line(i2="-3", i4="", i5="7.0", c1="", c26=""), CRITEO_LINE])
    read(no_spark, CRITEO, path, tmp_path / "lake")
    row, other = stored(tmp_path / "lake", CRITEO)
    assert [row[name] for name in ("i2", "i4", "i5", "c1", "c26")] == [-3, None, 7, None, None]
    assert (other["i13"], other["c26"]) == (13, "00000019")


def test_columns_of_avazu_are_found_by_name_and_fields_may_be_quoted(tmp_path: Path) -> None:
    names, values = AVAZU_HEADER.split(","), avazu_line(site_id='"a,""b"""').replace("a,", "a;").split(",")
    turned = [",".join(["more", *reversed(names)]), ",".join(["x", *reversed(values)]).replace("a;", "a,")]
    read(no_spark, AVAZU, written(tmp_path / "log.csv", turned), tmp_path / "lake")
    (row,) = stored(tmp_path / "lake", AVAZU)
    assert (row["site_id"], row["id"], row["c21"]) == ('a,"b"', "10000169349117863715", 79)
    assert (row["hour"], row["weekday"]) == (datetime(2014, 10, 21, tzinfo=UTC), 1)


# --- the quarantine that domains share ------------------------------------------------------------------


def one_bad(log: Domain, folder: Path) -> Source:
    good, bad = BAD[log.name][1:]
    return READERS[log.name](written(folder / log.name, [*good, next(iter(bad))]))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_quarantine_keeps_what_is_of_other_domains(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    for log in (CRITEO, AVAZU):
        ingest(no_spark, one_bad(log, tmp_path), lake, log)
    avazu = [row for row in table_rows(lake, "quarantine") if row["table"] == "clicks_avazu"]
    criteo = READERS["criteo"](written(tmp_path / "criteo", [CRITEO_LINE, "x", "y"]))
    with engine_named(engine, request) as start:
        report = ingest(start, criteo, lake, CRITEO)
    assert report.tables["clicks_criteo"].quarantined == 2
    kept = table_rows(lake, "quarantine")
    assert sorted(row["record"] for row in kept if row["table"] == "clicks_criteo") == ["x", "y"]
    assert [row for row in kept if row["table"] == "clicks_avazu"] == avazu
    assert len(avazu) == 1


def test_a_log_and_its_quarantine_are_written_both_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = tmp_path / "lake"
    ingest(no_spark, one_bad(CRITEO, tmp_path), lake, CRITEO)
    before = stored(lake, CRITEO), table_rows(lake, "quarantine")
    source = READERS["criteo"](written(tmp_path / "other", [CRITEO_LINE] * 5))

    def refuse(*_: object, **__: object) -> None:
        if len(stored(lake, CRITEO)) == 5:
            raise MarqueeError("no space")
        written_before(*_, **__)  # type: ignore[arg-type]

    from lake.tables import overwrite as written_before

    monkeypatch.setattr("lake.tables.overwrite", refuse)
    with pytest.raises(MarqueeError, match="no space"):
        ingest(no_spark, source, lake, CRITEO)
    assert (stored(lake, CRITEO), table_rows(lake, "quarantine")) == before
