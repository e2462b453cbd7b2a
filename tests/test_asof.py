"""Both engines against golden cases and one oracle, row for row."""

from collections.abc import Callable
from pathlib import Path

import pytest
from feast import FeatureStore
from feast.infra.offline_stores.offline_store import OfflineStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.asof_battery import (
    ENGINES,
    SETTINGS,
    AskedView,
    Case,
    Table,
    ask,
    build,
    expected,
    feast_view,
    golden,
    moment,
    open_battery_store,
    oracle_view,
    plain,
)
from tests.asof_oracle import Row, latest

GOLDEN = golden(Path(__file__).parent / "golden" / "asof_cases.json")
GOLDEN_NAMES = (
    "the latest row at or before the label",
    "of rows at one instant, the one written last",
    "as known then: rows written after the label do not exist",
    "a TTL's edge still counts, a microsecond further does not",
    "duplicate labels and labels without a key stay",
    "two views of two keys, labels not in order of time",
    "one view twice, under two aliases and two keys",
    "a view of two keys, with renamed columns",
    "a view without keys",
    "an empty table",
    "no labels",
    "a late row changes the answers after it, not those before",
    "times before 1970",
)
BASE = 1_700_000_000_000_000

Engine = tuple[FeatureStore, type[OfflineStore]]
OpenEngine = Callable[[str], Engine]


@pytest.fixture
def open_engine(tmp_path: Path, request: pytest.FixtureRequest) -> OpenEngine:
    """Opens a store with an empty lake on an engine, by name."""

    def open_named(name: str) -> Engine:
        if name == "spark":
            request.getfixturevalue("spark")
        return open_battery_store(tmp_path, ENGINES[name], **SETTINGS[name]), ENGINES[name]

    return open_named


def test_no_golden_case_is_missing_or_unknown() -> None:
    assert sorted(GOLDEN) == sorted(GOLDEN_NAMES)


@pytest.mark.parametrize("name", GOLDEN_NAMES)
@pytest.mark.parametrize("engine", ENGINES)
def test_engine_gives_the_golden_rows(open_engine: OpenEngine, engine: str, name: str) -> None:
    case, rows = GOLDEN[name]
    assert ask(*open_engine(engine), case) == rows


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_oracle_gives_the_golden_rows(name: str) -> None:
    case, rows = GOLDEN[name]
    assert expected(case) == rows


# Few keys and few instants, so that ties, duplicates and edges are the rule. Values name their row.
KEYS = st.sampled_from([1, 1, 2, 2, None])
INSTANTS = st.integers(0, 5).map(lambda offset: BASE + offset)
WRITTEN = st.sampled_from([None, *(BASE + offset for offset in range(6))])
ROW = st.tuples(KEYS, KEYS, WRITTEN, WRITTEN)
TEXTS = st.sampled_from(["a", None])
ASKED = ["value", "note"]


@st.composite
def tables(draw: st.DrawFn) -> Table:
    fewest = draw(st.sampled_from([0, 15, 40]))
    triples = draw(st.lists(ROW, min_size=fewest, max_size=fewest + 20, unique=True))
    rows: list[Row] = [
        {
            "user_id": user,
            "movie_id": movie,
            "event_timestamp": at,
            "created_timestamp": created,
            "value": None if i % 7 == 3 else i,
            "note": f"row {i}",
        }
        for i, (user, movie, at, created) in enumerate(triples)
    ]
    columns = {
        "user_id": "int",
        "movie_id": "int",
        "event_timestamp": "time",
        "created_timestamp": "time",
        "value": "int",
        "note": "text",
    }
    return Table(columns, rows)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    two = draw(st.booleans())
    named = {"one": draw(tables())} | ({"two": draw(tables())} if two else {})
    only_created = draw(st.booleans())
    views = []
    for i, name in enumerate([*named, *(["one"] if draw(st.booleans()) else [])]):
        keys = draw(st.sampled_from([["user_id"], ["movie_id"], ["user_id", "movie_id"]]))
        swapped = draw(st.booleans())
        created = draw(st.booleans())
        unique(named[name], keys, created)
        views.append(
            AskedView(
                table=name,
                keys=keys,
                features=ASKED,
                created=created,
                ttl=draw(st.sampled_from([None, 1, 2, 3])),
                alias=f"alias{i}",
                join={"user_id": "movie_id", "movie_id": "user_id"} if swapped and len(keys) == 2 else {},
            )
        )
    fewest = draw(st.sampled_from([0, 1, 10]))
    rows = draw(st.lists(st.tuples(KEYS, KEYS, INSTANTS, TEXTS), min_size=fewest, max_size=12))
    labels = Table(
        {"user_id": "int", "extra": "text", "movie_id": "int", "event_timestamp": "time"},
        [
            {"user_id": user, "extra": extra, "movie_id": movie, "event_timestamp": at}
            for user, movie, at, extra in rows
        ],
    )
    return Case(named, views, labels, full_feature_names=True, only_created=only_created)


def unique(table: Table, keys: list[str], created: bool) -> None:
    """Leave one row per key, instant and (where used) writing: which of several is taken is undefined."""
    seen = set()
    kept = []
    for row in table.rows:
        written = created and row["created_timestamp"]
        identity = (*(row[key] for key in keys), row["event_timestamp"], written)
        if identity not in seen:
            seen.add(identity)
            kept.append(row)
    table.rows[:] = kept


@pytest.mark.parametrize("engine", ENGINES)
def test_engine_equals_the_oracle_row_for_row(open_engine: OpenEngine, engine: str) -> None:
    store, offline = open_engine(engine)

    @settings(
        max_examples=120 if engine == "duckdb" else 10,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(case=cases())
    def check(case: Case) -> None:
        assert ask(store, offline, case) == expected(case)

    check()


@pytest.mark.parametrize("engine", ENGINES)
def test_pull_latest_equals_the_oracle(open_engine: OpenEngine, engine: str) -> None:
    store, offline = open_engine(engine)

    @settings(max_examples=60 if engine == "duckdb" else 5, deadline=None)
    @given(
        table=tables(),
        keys=st.sampled_from([["user_id"], ["user_id", "movie_id"]]),
        ends=st.tuples(INSTANTS, INSTANTS),
    )
    def check(table: Table, keys: list[str], ends: tuple[int, int]) -> None:
        unique(table, keys, created=True)
        asked = AskedView("one", keys, ASKED)
        case = Case({"one": table}, [asked], Table({"event_timestamp": "time"}, []))
        build(store, case)
        source = feast_view(case, asked).batch_source
        assert source is not None
        start, end = sorted(ends)
        found = offline.pull_latest_from_table_or_query(
            store.config,
            source,
            keys,
            ASKED,
            "event_timestamp",
            "created_timestamp",
            moment(start),
            moment(end),
        ).to_arrow()
        assert found.column_names == [*keys, *ASKED, "event_timestamp", "created_timestamp"]
        wanted = latest(oracle_view(case, asked), start, end)
        got = {tuple(row[key] for key in keys): row for row in plain(found)}
        assert len(got) == found.num_rows
        assert got == {key: {name: row[name] for name in found.column_names} for key, row in wanted.items()}

    check()
