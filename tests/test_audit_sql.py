"""The audits' SQL gives what the golden files say, and what the loop gives of generated events."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from feature_repo.arrow import arrow_schema
from feature_repo.define.column import EVENT_TIMESTAMP, Column, Type
from feature_repo.define.operation import AtLeast, Count, FirstAt, LastAt, LastK, MeanStd, TopK
from feature_repo.define.role import Number, Sequence
from feature_repo.define.view import Over, View
from tests.audit_lake import START, World, movies, press
from tests.feature_oracle import known_at_labels
from tests.golden_operations import Golden, all_golden_cases
from tests.toy_domain import ARTICLE, ARTICLES, READER, READS
from validation.audit.oracle import Row, Tables, events_by_key, feature_rows, features_at, same
from validation.audit.reading import moment
from validation.audit.sql import restated, words_of


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("SET TimeZone = 'UTC'")
        yield opened


def by_sql(con: duckdb.DuckDBPyConnection, view: View, tables: Tables) -> list[dict[str, Any]]:
    """A view's rows, sorted by key and instant."""
    for table in view.over.tables:
        con.register(table.name, pa.Table.from_pylist(list(tables[table.name]), arrow_schema(table)))
    query = f"SELECT * FROM ({restated(view, words_of(con, view))}) ORDER BY _k, _stamp"
    rows = con.sql(query).to_arrow_table().to_pylist()
    return [{view.by.name: row.pop("_k"), EVENT_TIMESTAMP: moment(row.pop("_stamp"))} | row for row in rows]


def assert_same(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    assert len(found) == len(wanted)
    for got, want in zip(found, wanted, strict=True):
        assert got.keys() == want.keys()
        for name, value in want.items():
            assert same(got[name], value), (name, got, want)


@pytest.mark.parametrize("case", all_golden_cases(), ids=lambda case: case.name)
def test_sql_gives_the_golden_rows(con: duckdb.DuckDBPyConnection, case: Golden) -> None:
    assert_same(by_sql(con, case.view, case.tables), case.rows)


def words(name: str, length: int) -> Column:
    return Column(name, Type.STRING_LIST, "Words.", length=length, role=Sequence("word", "|"))


def number(name: str, kind: Type = Type.FLOAT64) -> Column:
    return Column(name, kind, "A number.", role=Number())


ALL_AT_ONCE = View(
    "all_at_once",
    ARTICLE,
    Over(READS, ARTICLES, where=AtLeast("minutes", 0.5)),
    (
        LastK("reader_id", Column("recent", Type.INT64_LIST, "Readers.", length=4, role=Sequence("reader"))),
        Count(number("count", Type.INT64)),
        TopK("topics", words("top", 3)),
        MeanStd("minutes", number("minutes_mean"), number("minutes_std"), origin=2.3),
        TopK("topics", words("top_long", 1), where=AtLeast("minutes", 3.0)),
        FirstAt(number("first", Type.TIMESTAMP)),
        MeanStd("words", number("words_mean"), number("words_std"), origin=-7),
        LastAt(number("last", Type.TIMESTAMP)),
        LastK("topics", words("recent_topics", 2)),
    ),
    "Every operation in one view, in no order.",
)
VIEWS = {view.name: (world, view) for world in (movies(), press()) for view in world.domain.views}
VIEWS |= {
    ALL_AT_ONCE.name: (press(), ALL_AT_ONCE),
    "by_reader": (press(), View("by_reader", READER, ALL_AT_ONCE.over, ALL_AT_ONCE.features, "By reader.")),
}
INSTANTS = st.integers(0, 8).map(lambda thirds: START + timedelta(seconds=thirds) / 3)


def histories(world: World) -> st.SearchStrategy[list[Row]]:
    """Events of a world in no order, many of them at one instant, some without a value."""
    table, value = world.domain.events, world.domain.tasks[0].of
    each = {key.name: st.sampled_from(sorted({row[key.name] for row in world.events})) for key in table.key}
    each |= {value: st.none() | st.sampled_from(sorted({row[value] for row in world.events}))}
    each |= {EVENT_TIMESTAMP: INSTANTS}
    return st.lists(
        st.fixed_dictionaries(each),
        max_size=40,
        unique_by=lambda row: tuple(row[name] for name in table.unique),
    )


@pytest.mark.parametrize("name", VIEWS)
@settings(max_examples=40, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(data=st.data())
def test_sql_and_the_loop_agree_on_every_row(
    con: duckdb.DuckDBPyConnection, name: str, data: st.DataObject
) -> None:
    world, view = VIEWS[name]
    tables = world.of(data.draw(histories(world))).tables
    # Events whose joined row is not there are left out.
    if view.over.joined is not None:
        rows = tables[view.over.joined.name]
        tables = {**tables, view.over.joined.name: rows[data.draw(st.integers(0, 2)) :]}
    assert_same(by_sql(con, view, tables), feature_rows(view, tables))


@pytest.mark.parametrize("world", [movies(), press()], ids=lambda world: world.domain.name)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_label_at_an_instant_sees_what_the_one_loop_over_all_events_has_then(
    world: World, data: st.DataObject
) -> None:
    world = world.of(data.draw(histories(world)))
    rows = known_at_labels(world.domain, world.tables)
    assert len(rows) == len(world.events)
    for view in world.domain.views:
        events = events_by_key(view, world.tables)
        nothing = dict.fromkeys(column.name for column in view.columns)
        for row in rows:
            at = features_at(view, events.get(row[view.by.name], []), row[EVENT_TIMESTAMP])
            assert (at or nothing) == {name: row[name] for name in nothing}
