"""What every row of a view should hold, as DuckDB's SQL over the source tables.

It interprets a view's declaration, and shares no code with the pipelines. Sums are of integers, whole steps
of their column, hence exact. The source tables are found by name in the connection; instants are
microseconds since 1970.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from feature_repo.define import operation as op
from feature_repo.define.column import BEGINNING, EVENT_TIMESTAMP, KNOWN_AFTER, PADDING, Column, Type, quoted
from feature_repo.define.view import Over, View

KNOWN = KNOWN_AFTER.microseconds
SECOND = 1_000_000
"""In microseconds."""
Words = Mapping[str, Sequence[str]]
"""By column, all words that occur in its lists."""
Named = Mapping[str, str]
"""SQL expressions by the name of what they give."""


def words_of(con: duckdb.DuckDBPyConnection, view: View) -> dict[str, list[str]]:
    """The words of the lists that a view counts words of, each list in order."""
    found = {}
    for name in dict.fromkeys(each.of for each in view.features if isinstance(each, op.TopK)):
        (table, *_) = (table for table in view.over.tables if name in table.column_names)
        query = f"SELECT DISTINCT unnest({quoted(name)}) AS word FROM {quoted(table.name)}"
        rows = con.sql(f"SELECT word FROM ({query}) WHERE word IS NOT NULL ORDER BY word").fetchall()
        found[name] = [word for (word,) in rows]
    return found


def restated(view: View, words: Words) -> str:
    """A query for `_k` (the key), `_stamp` (the instant from which the row is known) and a view's features,
    one row per key and instant. No feature's name begins so.

    Args:
        words: from `words_of`.
    """
    if view.is_timeless:
        facts = {
            each.column.name: _value(view.over, each.of)
            for each in view.features
            if isinstance(each, op.Fact)
        }
        key = _value(view.over, view.by.name)
        beginning = f"{int(BEGINNING.timestamp()) * SECOND}::BIGINT"
        return f"SELECT {_listed({'_k': key, '_stamp': beginning} | facts)} {_from(view.over)}"
    recent = [each for each in view.features if isinstance(each, op.LastK)]
    if len(recent) == len(view.features):
        return _recent(view, recent)
    running = [
        _totals(f"_{place}", each, view.over, words)
        for place, each in enumerate(view.features)
        if not isinstance(each, op.LastK)
    ]
    if not recent:
        return _running(view, running)
    features = _listed({column.name: quoted(column.name) for column in view.columns})
    return (
        f"SELECT _k, _stamp, {features} FROM ({_running(view, running)})"
        f" JOIN ({_recent(view, recent)}) USING (_k, _stamp)"
    )


# --- operations that add up -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Totals:
    """How features are made of totals.

    Args:
        each: of an event, what is to be added up.
        at_once: of the events of one instant, their sums.
        so_far: over a key's instants up to and including each, the totals (aggregates of these sums).
        features: made of the totals.
    """

    features: Named
    so_far: Named = field(default_factory=dict)
    at_once: Named = field(default_factory=dict)
    each: Named = field(default_factory=dict)


def _totals(tag: str, operation: op.Operation, over: Over, words: Words) -> _Totals:
    """An operation's totals, their names ending in `tag`."""
    match operation:
        case op.Count():
            return _summed({operation.column.name: f"c{tag}::BIGINT"}, {f"c{tag}": "count(*)"})
        case op.FirstAt():
            second = f"make_timestamptz(f{tag} // {SECOND} * {SECOND})"
            return _Totals({operation.column.name: second}, {f"f{tag}": "min(_instant)"})
        case op.LastAt():
            return _Totals({operation.column.name: f"make_timestamptz(_instant // {SECOND} * {SECOND})"})
        case op.MeanStd():
            return _moments(tag, operation, over)
        case op.TopK():
            return _frequencies(tag, operation, over, words[operation.of])
        case _:
            raise TypeError(f"{operation} does not add up")


def _summed(features: Named, at_once: Named, each: Named | None = None) -> _Totals:
    """Totals that are sums."""
    return _Totals(features, {name: f"sum({name})" for name in at_once}, at_once, each or {})


def _moments(tag: str, operation: op.MeanStd, over: Over) -> _Totals:
    """Mean and deviation out of how many values there are, their sum, and the sum of their squares."""
    step = over.column(operation.of).step
    if step is None:
        raise ValueError(f"{operation.of} has no step, so its sums are not exact")
    value, origin = _value(over, operation.of), round(operation.origin / step)
    whole = over.column(operation.of).type is Type.INT64 and step == 1
    steps = value if whole else f"round({value} / {step!r}::DOUBLE)::BIGINT"
    n, s, q, v = (f"{letter}{tag}" for letter in "nsqv")
    count = f"nullif({n}, 0)::DOUBLE"
    spread = f"({n}::HUGEINT * {q}::HUGEINT - {s}::HUGEINT * {s}::HUGEINT)::DOUBLE"
    return _summed(
        {
            operation.mean.name: f"({s}::DOUBLE / {count} + {origin}) * {step!r}::DOUBLE",
            operation.std.name: f"sqrt({spread}) / {count} * {step!r}::DOUBLE",
        },
        {n: f"count({v})", s: f"coalesce(sum({v}), 0)", q: f"coalesce(sum({v}::HUGEINT * {v}), 0)"},
        {v: f"{steps} - {origin}"},
    )


def _frequencies(tag: str, operation: op.TopK, over: Over, words: Sequence[str]) -> _Totals:
    """The most frequent words out of how many events have each."""
    value, column = _value(over, operation.of), operation.column
    counted = "" if operation.where is None else f"{_holds(over, operation.where)} AND "
    each = {
        f"w{tag}_{i}": f"coalesce({counted}list_contains({value}, {_text(word)}), false)::BIGINT"
        for i, word in enumerate(words)
    }
    # By frequency, then by word: structs are ordered by their fields in turn.
    ranked = ", ".join(
        f"{{'o': -{name}, 'w': {_text(word)}}}" for name, word in zip(each, words, strict=True)
    )
    there = f"list_filter([{ranked}], lambda x: x.o < 0)" if each else "[]::STRUCT(o BIGINT, w VARCHAR)[]"
    padding = ", ".join([_padding(column)] * _length(column))
    top = f"list_concat(list_transform(list_sort({there}), lambda x: x.w), [{padding}])"
    features = {column.name: f"({top})[1:{_length(column)}]"}
    return _summed(features, {name: f"sum({name})" for name in each}, each)


def _running(view: View, totals: Iterable[_Totals]) -> str:
    """The rows of such operations; events of one instant count together."""
    each: dict[str, str] = {"_k": _value(view.over, view.by.name), "_instant": _instant(view.over)}
    at_once, so_far, features = ({name: name for name in ("_k", "_instant")} for _ in range(3))
    features = {"_k": "_k", "_stamp": f"_instant + {KNOWN}"}
    for part in totals:
        each |= part.each
        at_once |= part.at_once
        so_far |= {name: f"{total} OVER w" for name, total in part.so_far.items()}
        features |= part.features
    events = f"SELECT {_listed(each)} {_from(view.over)}"
    instants = f"SELECT {_listed(at_once)} FROM ({events}) GROUP BY _k, _instant"
    window = "WINDOW w AS (PARTITION BY _k ORDER BY _instant ROWS UNBOUNDED PRECEDING)"
    return f"SELECT {_listed(features)} FROM (SELECT {_listed(so_far)} FROM ({instants}) {window})"


# --- the last events --------------------------------------------------------------------------------------


def _recent(view: View, operations: Iterable[op.LastK]) -> str:
    """The rows of such operations: at each instant, the values of the last events, newest first."""
    over = view.over
    each = {"_k": _value(over, view.by.name), "_instant": _instant(over)}
    others = [column.name for column in over.table.key if column.name != view.by.name]
    each |= {f"o{i}": _value(over, name) for i, name in enumerate(others)}
    features = {"_k": "_k", "_stamp": f"_instant + {KNOWN}"}
    for place, operation in enumerate(operations):
        column, value, name = operation.column, _value(over, operation.of), f"v{place}"
        if over.column(operation.of).type.is_list:
            value = f"array_to_string({value}, {_text(getattr(column.role, 'separator', ''))})"
        each[name] = value
        back = (f"lag({name}, {i}, {_padding(column)}) OVER w" for i in range(1, _length(column)))
        features[column.name] = f"[{', '.join([name, *back])}]"
    order = ", ".join(["_instant", *(f"o{i}" for i in range(len(others)))])
    return (
        f"SELECT {_listed(features)} FROM (SELECT {_listed(each)} {_from(over)})"
        f" WINDOW w AS (PARTITION BY _k ORDER BY {order})"
        " QUALIFY lead(_instant) OVER w IS DISTINCT FROM _instant"
    )


# --- parts ------------------------------------------------------------------------------------------------


def _from(over: Over) -> str:
    """The rows that features are computed from: `e`, with what is joined to them as `j`."""
    clause = f"FROM {quoted(over.table.name)} AS e"
    if over.joined is not None:
        (key,) = (quoted(column.name) for column in over.joined.key)
        clause += f" JOIN {quoted(over.joined.name)} AS j ON e.{key} = j.{key}"
    return clause if over.where is None else f"{clause} WHERE {_holds(over, over.where)}"


def _value(over: Over, name: str) -> str:
    """A column of the rows of `_from`."""
    return f"{'e' if name in over.table.column_names else 'j'}.{quoted(name)}"


def _instant(over: Over) -> str:
    return f"epoch_us({_value(over, EVENT_TIMESTAMP)})"


def _holds(over: Over, condition: op.AtLeast) -> str:
    return f"{_value(over, condition.column)} >= {condition.value!r}"


def _listed(named: Named) -> str:
    return ", ".join(f"{expression} AS {quoted(name)}" for name, expression in named.items())


def _padding(column: Column) -> str:
    padding = PADDING[column.type]
    return _text(padding) if isinstance(padding, str) else str(padding)


def _length(column: Column) -> int:
    if column.length is None:
        raise ValueError(f"{column.name} has no length")
    return column.length


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
