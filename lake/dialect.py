"""One SQL text for two engines: text in Spark's words, run by DuckDB too.

Most words are the same in both. DuckDB learns the others as macros (`teach`); what no macro can say, lambdas
and functions of any number of values, is put into its words in the text (`for_duckdb`). Names are quoted by
backticks, and strings hold no backslash, which only Spark would take for an escape. Of values that may be
null, `||` makes null in both, but `concat` only in Spark.
"""

import re

import duckdb

MACROS = (
    "btrim(text, characters) AS trim(text, characters)",
    "regexp_like(text, pattern) AS regexp_matches(text, pattern)",
    "get(list, place) AS list[place + 1]",
    "size(list) AS len(list)",
    "array_join(list, between) AS array_to_string(list, between)",
    # By a pattern; and by a text of ordinary characters, where what follows the n-th stays in the last part.
    """split(text, pattern) AS regexp_split_to_array(text, pattern), (text, separator, n) AS CASE
        WHEN len(string_split(text, separator)) <= n THEN string_split(text, separator)
        ELSE list_append(
            string_split(text, separator)[:n - 1],
            array_to_string(string_split(text, separator)[n:], separator)
        ) END""",
    "unix_date(day) AS day - DATE '1970-01-01'",
    "timestamp_micros(micros) AS make_timestamptz(micros)",
)
LARGEST_DOUBLE = "1.7976931348623157e308"
_AS_IT_IS = re.compile(r"('(?:[^']|'')*'|`(?:[^`]|``)*`)")
"""Strings, and names in backticks."""
_LAMBDA = re.compile(r"\b(\w+) -> ")
_NAMES = {"xxhash64": "hash", "transform": "list_transform"}
_NAME = re.compile(rf"\b({'|'.join(_NAMES)})\(")


def teach(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a connection the words of Spark that DuckDB lacks."""
    for macro in MACROS:
        connection.execute(f"CREATE TEMP MACRO {macro}")


def for_duckdb(text: str) -> str:
    """A text in Spark's words as a DuckDB that was taught understands it."""
    parts = _AS_IT_IS.split(text)
    parts[::2] = [_LAMBDA.sub(r"lambda \1: ", _NAME.sub(_renamed, part)) for part in parts[::2]]
    return "".join(parts)


def _renamed(found: re.Match[str]) -> str:
    return f"{_NAMES[found[1]]}("


def literal(text: str) -> str:
    """A string as it stands in SQL.

    Raises:
        ValueError: it holds a backslash, which the engines read differently.
    """
    if "\\" in text:
        raise ValueError(f"{text!r} has a backslash")
    return "'" + text.replace("'", "''") + "'"


def double_in_words(value: str) -> str:
    """SQL of a double's text for people, who are told where it has more decimals than are shown."""
    is_cut = f"abs({value}) < 1e9 AND floor(abs({value}) * 1e6 + 0.5) / 1e6 <> abs({value})"
    return f"CASE WHEN {is_cut} THEN 'about ' ELSE '' END || {double_as_text(value)}"


def double_as_text(value: str) -> str:
    """SQL of a double's text: at least one decimal and at most six, as "7.0" or "-0.25".

    The engines' own casts differ: one writes 1.0E10 where the other writes 10000000000.0.
    """
    # Below 10^9, millionths are whole numbers that a double holds.
    millionths = f"floor(abs({value}) * 1e6 + 0.5)"
    whole = f"CAST(CAST(floor({millionths} / 1e6) AS BIGINT) AS STRING)"
    rest = f"lpad(CAST(CAST({millionths} % 1e6 AS BIGINT) AS STRING), 6, '0')"
    decimals = f"CASE WHEN {millionths} % 1e6 = 0 THEN '0' ELSE regexp_replace({rest}, '0+$', '') END"
    sign = f"CASE WHEN {value} < 0 THEN '-' ELSE '' END"
    return (
        f"CASE WHEN isnan({value}) THEN 'NaN' "
        f"WHEN {value} > {LARGEST_DOUBLE} THEN 'inf' WHEN {value} < -{LARGEST_DOUBLE} THEN '-inf' "
        f"WHEN {value} >= 1e18 THEN '1e18 or more' WHEN {value} <= -1e18 THEN '-1e18 or less' "
        f"WHEN abs({value}) >= 1e9 THEN concat(CAST(CAST(floor({value}) AS BIGINT) AS STRING), '.0') "
        f"WHEN {value} IS NOT NULL THEN concat({sign}, {whole}, '.', {decimals}) END"
    )
