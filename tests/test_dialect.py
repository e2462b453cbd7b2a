"""One SQL text gives the same rows by DuckDB and by Spark, on generated and nasty values."""

import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_repo.define.column import Column, Type
from feature_repo.define.rule import column_rules
from lake.dialect import double_as_text, double_in_words, for_duckdb, literal, teach
from lake.duckdb import connection
from pipelines.ingest.judge import value_as_text
from pipelines.sources.delimited import fields
from pipelines.sources.readings import Reading, instant, number, text, whole_number, words
from pipelines.sources.source import Raw, rows_of
from tests.raw_rows import ENGINES, engine_named, opened, part, raw
from tests.toy_domain import PRESS

pytestmark = pytest.mark.spark

TEXTS = [
    *(None, "", " ", "\t", "0", "-0", "+1", "1", " 1 ", "1 2", "1.0", "1.", ".5", ".", "-.5", "+", "-", "e5"),
    *("1e5", "1E+5", "1e-400", "1e400", "-1e400", "1.5", "1.50", "00012", "9" * 18, "9" * 19, "9" * 20),
    *("9223372036854775807", "-9223372036854775808", "9223372036854775808", "1_000", "1,000", "0x1p3"),
    *("3.5d", "3f", "NaN", "nan", "inf", "Infinity", "1\n", "\n1", "1\r", "\u00a01", "\u0661", "one", "it's"),
    *('"1"', '"'),
    *("a|b", "|", "b|a|b", " b | a ", "a||b", "é|ü", "\U0001f600|x", "a\x00b", "1.2.3", "--1", "1e", "1e5.0"),
    *("2020-01-01", "2020-02-30", "2020-01-01T12:30:05Z", "2020-01-01 12:30:05.1234567+02"),
    *("2020-01-01T24:00", "0000-01-01", "9999-12-31T23:59:59-23:59", "\u0662020-01-01"),
    *("964982703", "964982703.123456", "964982703.1234565", "1e300", "-1e300", "253402300800"),
]  # fmt: skip
DOUBLES = [
    *(None, 0.0, -0.0, 0.5, 1.0, 10.0, 7.25, 3.3, -3.3, 1e-7, 5e-7, 4.9999995e-1, 0.1 + 0.2, 1e9, 1e9 - 0.5),
    *(123456789.123456789, 1e15, 2.0**53, 2.0**62, 2.0**63, -(2.0**63), 1e18, 1e19, 1e300, -1e300, 5e-324),
    *(math.nan, math.inf, -math.inf, 964982703.25, 1.7976931348623157e308, 2.5000005, 999999999.9999999),
]  # fmt: skip
TEXT_READINGS = (
    whole_number("whole", "x"),
    number("number", "x"),
    instant("at", "x"),
    text("text", "x"),
    words("words", "x"),
)
DOUBLE_READINGS = (
    whole_number("whole", "x", of="fraction"),
    number("number", "x", of="fraction"),
    instant("at", "x", of="fraction"),
)


def by_engine(name: str, request: pytest.FixtureRequest, query: str, rows: pa.Table) -> list[Any]:
    """A query's rows over the relation `rows`, in their order."""
    with engine_named(name, request) as start, opened(start) as engine:
        placed = rows.append_column("place", pa.array(range(rows.num_rows), pa.int64()))
        engine.load("rows_of_test", rows_of(placed))
        found = (
            engine.fetch(f"SELECT place, {query} FROM rows_of_test").sort_by("place").drop_columns("place")
        )
    return [tuple(map(str, row.values())) for row in found.to_pylist()]


def assert_alike(request: pytest.FixtureRequest, query: str, rows: pa.Table) -> list[Any]:
    here, there = (by_engine(name, request, query, rows) for name in ENGINES)
    values = rows.column(0).to_pylist()
    assert [x for x in zip(values, here, there, strict=True) if x[1] != x[2]] == []
    return here


def typed(readings: Sequence[Reading]) -> str:
    return ", ".join(f"{reading.value} AS {reading.column}" for reading in readings)


def test_nasty_texts_are_typed_alike(request: pytest.FixtureRequest) -> None:
    found = assert_alike(request, typed(TEXT_READINGS), pa.table({"x": pa.array(TEXTS, pa.string())}))
    by_text = dict(zip(TEXTS, found, strict=True))
    assert by_text["1.0"][:2] == ("1", "1.0")
    assert by_text["9223372036854775808"][0] == by_text["1_000"][0] == by_text["3.5d"][1] == "None"
    assert by_text["1e400"][1] == "None"


def test_nasty_numbers_are_typed_and_shown_alike(request: pytest.FixtureRequest) -> None:
    query = f"{typed(DOUBLE_READINGS)}, {double_in_words('x')} AS told, {double_as_text('x')} AS shown"
    found = assert_alike(request, query, pa.table({"x": pa.array(DOUBLES, pa.float64())}))
    shown = {str(double): row[-1] for double, row in zip(DOUBLES, found, strict=True)}
    told = {str(double): row[-2] for double, row in zip(DOUBLES, found, strict=True)}
    about = {"1e-07", "5e-07", "0.30000000000000004", "123456789.12345679", "5e-324", "2.5000005"}
    about |= {"0.49999995", "999999999.9999999"}
    assert told == {double: f"about {text}" if double in about else text for double, text in shown.items()}
    assert shown["7.25"] == "7.25"
    assert shown["10.0"] == "10.0"
    assert shown["-3.3"] == "-3.3"
    assert shown["1e-07"] == "0.0"
    assert shown["1000000000000000.0"] == "1000000000000000.0"
    assert shown["1e+300"] == "1e18 or more"
    assert (shown["inf"], shown["-inf"]) == ("inf", "-inf")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=100, max_size=300))
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_text_is_typed_alike(request: pytest.FixtureRequest, texts: list[str]) -> None:
    assert_alike(request, typed(TEXT_READINGS), pa.table({"x": pa.array(texts, pa.string())}))


@given(st.lists(st.floats(), min_size=100, max_size=300))
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_number_is_typed_and_shown_alike(request: pytest.FixtureRequest, doubles: list[float]) -> None:
    query = f"{typed(DOUBLE_READINGS)}, {double_in_words('x')} AS shown"
    assert_alike(request, query, pa.table({"x": pa.array(doubles, pa.float64())}))


@given(st.lists(st.floats(-1e9, 1e9)))
def test_number_is_shown_as_python_shows_it_to_six_decimals(doubles: list[float]) -> None:
    with connection() as opened_here:
        teach(opened_here)
        opened_here.register("doubles", pa.table({"x": pa.array(doubles, pa.float64())}))
        found = opened_here.sql(f"SELECT x, {double_as_text('x')} FROM doubles").fetchall()
    for double, shown in found:
        assert abs(float(shown) - double) <= 7e-7
        assert len(shown.partition(".")[2]) in range(1, 7)


@given(st.lists(st.text(st.sampled_from('ab,"" '), max_size=14), min_size=100, max_size=300))
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_line_is_cut_into_fields_alike(request: pytest.FixtureRequest, lines: list[str]) -> None:
    places = {"a": 0, "b": 1, "c": 2}
    for separator, quoted in ((",", True), (",", False), ("ab", False), (" ", False)):
        cut = fields(places, 3, separator, quoted)
        query = ", ".join(f"{value} AS `{name}`" for name, value in cut.items())
        assert_alike(request, query, pa.table({"record": pa.array(lines, pa.string())}))


COLUMNS = (
    Column("whole", Type.INT64, "", low=1, high=9, nullable=True),
    Column("number", Type.FLOAT64, "", low=0.5, nullable=True),
    Column("moment", Type.TIMESTAMP, "", nullable=True),
    Column("numbers", Type.FLOAT64_LIST, "", low=0, high=1, length=2, nullable=True),
    Column("places", Type.INT64_LIST, "", low=1, nullable=True),
    Column("names", Type.STRING_LIST, "", length=1, nullable=True),
)
VALUES: dict[str, list[Any]] = {
    "whole": [None, 0, 1, 9, 10],
    "number": [None, 0.5, 0.25, math.nan, math.inf],
    "moment": [None, 0, 631_152_000_000_000, 4_000_000_000_000_000, 964_982_703_000_001],
    "numbers": [None, [], [0.0, 1.0], [0.5, None], [math.nan, 0.5]],
    "places": [None, [], [1, 2], [0], [None]],
    "names": [None, [], ["a"], [None], ["a", "it's"]],
}
TRUE = {
    "whole_in_range": [True, False, True, True, False],
    "number_in_range": [True, True, False, False, True],
    "moment_in_range": [True, False, True, False, True],
    "numbers_in_range": [True, True, True, False, False],
    "numbers_has_length": [True, False, True, True, True],
    "places_in_range": [True, True, True, False, False],
    "names_has_length": [True, False, True, True, False],
}
"""Whether a value keeps each rule; what is unknown does not."""


def test_rules_of_columns_mean_the_same_and_values_are_shown_alike(request: pytest.FixtureRequest) -> None:
    from feature_repo.arrow import arrow_schema_of

    rows = pa.table(VALUES, schema=arrow_schema_of(COLUMNS))
    rules = [rule for column in COLUMNS for rule in column_rules(column)]
    kept = ", ".join(f"coalesce({rule.predicate}, false) AS {rule.name}" for rule in rules)
    found = assert_alike(request, kept, rows)
    by_rule = {rule.name: [row[at] == "True" for row in found] for at, rule in enumerate(rules)}
    assert by_rule == TRUE
    shown = ", ".join(f"{value_as_text(f'`{column.name}`', column)} AS {column.name}" for column in COLUMNS)
    texts = assert_alike(request, shown, rows)
    assert texts[4] == (
        "10",
        "inf",
        "2000-07-30 18:45:03.000001",
        "[NaN, 0.5]",
        "[nothing]",
        "[a, it's]",
    )


def test_strings_stand_in_sql_as_they_are(request: pytest.FixtureRequest) -> None:
    words = ["it's", "a -> b", 'say "no"', "∞ é", "{x}", "100 %", "''"]
    query = ", ".join(f"{literal(word)} AS `w{at}`" for at, word in enumerate(words))
    (found,) = assert_alike(request, query, pa.table({"x": pa.array([1])}))
    assert found == tuple(words)
    with pytest.raises(ValueError, match="backslash"):
        literal("a\\b")


def test_text_that_needs_no_other_words_stays_as_it_is() -> None:
    assert for_duckdb("size(filter(x, y -> y > 1))") == "size(filter(x, lambda y: y > 1))"
    assert for_duckdb("SELECT a - 1 > b FROM c") == "SELECT a - 1 > b FROM c"


nasty = st.sampled_from(TEXTS)


@given(
    st.lists(st.tuples(nasty, st.sampled_from(["a", "b", "", None]), nasty, nasty), min_size=80, max_size=80)
)
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
def test_nasty_rows_are_judged_alike(request: pytest.FixtureRequest, rows: list[tuple[str, ...]]) -> None:
    """The same rows good, and the same rows in the quarantine for the same reasons."""
    readings = (
        whole_number("reader_id"),
        text("article_id"),
        number("minutes"),
        instant("event_timestamp", "timestamp"),
    )
    given_rows: Raw = raw(rows, readings)
    found = []
    for name in ENGINES:
        with engine_named(name, request) as start:
            parted = part(start, PRESS, "reads", given_rows, {"articles": ["a"]})
        found.append((parted.good, sorted(map(str, parted.bad)), parted.read))
    assert found[0] == found[1]
