"""Columns may be named by words of SQL, and by characters that mean something there: a domain with such names
goes the whole road."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from app.audit import audit_consistency, audit_leakage
from app.facts import event_facts
from app.lookup import lookup
from app.train import TrainOptions, train
from app.validate import validate_lake
from common.progress import Stages
from common.settings import Settings
from feature_repo.define.column import EVENT_TIMESTAMP
from feature_repo.define.domain import Domain
from feature_repo.store import apply, materialize, open_store
from lake.dialect import for_duckdb
from lake.session import StartSpark
from lake.tables import open_table, overwrite
from pipelines.features.jobs import job_names, run_job
from pipelines.ingest import add, ingest
from tests.feature_oracle import known_at_labels
from tests.raw_rows import no_spark, table_rows
from tests.test_toy_road import KEYS, press
from tests.toy_domain import PRESS
from training.data.dataset import point_in_time
from validation.audit.oracle import same

CALLED = {
    "reader_id": "order",
    "article_id": "group",
    "minutes": "select",
    "topics": "from",
    "words": "table",
    "section": "it's",
    "country": "where",
    "age": "90%",
    "reader_read_count": "count",
    "reader_first_at": "rank",
    "reader_last_at": "rows",
    "reader_minutes_mean": "x->y",
    "reader_minutes_std": "k",
    "reader_words_mean": "stamp",
    "reader_recent_articles": "instant",
    "reader_country": 'user"c;',
    "reader_top_topics": '"in quotes"',
    "reader_recent_topics": "größe",
    "article_read_count": "union",
    "article_section": "a-b/c",
}


def renamed(thing: Any, done: dict[int, Any]) -> Any:
    """A declaration with its columns renamed; what is the same object stays so."""
    if id(thing) not in done:
        done[id(thing)] = thing, _renamed(thing, done)  # kept, so that no other object gets its id
    return done[id(thing)][1]


def _renamed(thing: Any, done: dict[int, Any]) -> Any:
    if isinstance(thing, str):
        return CALLED.get(thing, thing)
    if isinstance(thing, tuple):
        return tuple(renamed(each, done) for each in thing)
    if isinstance(thing, dict):
        return {key: renamed(value, done) for key, value in thing.items()}
    if is_dataclass(thing) and not isinstance(thing, type):
        parts = {field.name: renamed(getattr(thing, field.name), done) for field in fields(thing)}
        return type(thing)(**parts)
    return thing


DOMAIN: Domain = renamed(PRESS, {})


def test_every_odd_name_is_in_the_domain() -> None:
    names = {column.name for table in DOMAIN.tables.values() for column in table.all_columns}
    assert set(CALLED.values()) <= names and not set(CALLED) & names


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home of the press, brought online."""
    settings = Settings(home=tmp_path_factory.mktemp("named"))
    ingest(no_spark, press(called=CALLED), settings.lake, DOMAIN)
    for name in job_names(DOMAIN):
        run_job(no_spark, settings.lake, DOMAIN, name)
    apply(settings, DOMAIN)
    materialize(settings)
    return settings


def test_rows_are_judged_and_added_as_under_plain_names(start: StartSpark, tmp_path: Path) -> None:
    plain = ingest(start, press(), tmp_path / "plain", PRESS)
    odd = ingest(start, press(called=CALLED), tmp_path / "odd", DOMAIN)
    for name in plain.tables:
        counts = [(table.accepted, table.quarantined) for table in (plain.tables[name], odd.tables[name])]
        assert counts[0] == counts[1]
        rows = [
            sorted(str(list(row.values())) for row in table_rows(tmp_path / lake, name))
            for lake in ("plain", "odd")
        ]
        assert rows[0] == rows[1]
    reasons = {row["reason"] for row in table_rows(tmp_path / "odd", "quarantine")}
    assert reasons == {
        "order 'x' is not a whole number",
        "group a-99 is not in the catalogue",
        "select is outside [0, 600]: -1.0",
    }
    again = add(start, press(called=CALLED), tmp_path / "odd", DOMAIN).tables["reads"]
    assert (again.accepted, again.known) == (0, odd.tables["reads"].accepted)


def test_features_are_those_of_a_loop(settings: Settings) -> None:
    tables = {table.name: table_rows(settings.lake, table.name) for table in DOMAIN.sources}
    events = sorted(tables["reads"], key=lambda row: row[EVENT_TIMESTAMP])
    labels = pa.table({name: [row[name] for row in events] for name in events[0]})
    joined = point_in_time(open_store(settings), DOMAIN, "press_v1", labels).to_pylist()
    known = known_at_labels(DOMAIN, tables)
    assert len(joined) == len(known) > 400
    for got, want in zip(joined, known, strict=True):
        assert all(same(got[name], want[name]) for name in want)


def test_the_gate_tells_good_rows_from_bad(settings: Settings, tmp_path: Path) -> None:
    assert validate_lake(settings, DOMAIN, tmp_path, Stages()).passed
    home = tmp_path / "home"
    ingest(no_spark, press(called=CALLED), home / "lake", DOMAIN)
    for name in job_names(DOMAIN):
        run_job(no_spark, home / "lake", DOMAIN, name)
    reads = open_table(home / "lake", "reads").to_pyarrow_table()
    bad = reads.slice(0, 2)
    for name, values in {"select": [700.0, None], "group": ["z", "z"]}.items():
        bad = bad.set_column(bad.column_names.index(name), name, pa.array(values))
    overwrite(pa.concat_tables([reads, bad.cast(reads.schema), reads.slice(5, 1)]), home / "lake", "reads")
    report = validate_lake(Settings(home=home), DOMAIN, tmp_path / "bad", Stages())
    (broken,) = (table for table in report.tables if not table.passed)
    found = {check.check.name: check.unexpected for check in broken.failures}
    assert found == {
        "select_in_range": 1,
        "select_is_present": 1,
        "group_in_articles": 2,
        "reads_are_unique": 1,
    }


@pytest.mark.training
def test_audits_facts_training_and_lookup_take_such_names(settings: Settings) -> None:
    leakage, _ = audit_leakage(settings, DOMAIN, sample=30, seed=0, costs=True, stages=Stages())
    assert leakage.passed and {"rows", "count", "a-b/c"} <= {found.feature for found in leakage.features}
    served, _ = audit_consistency(
        settings, DOMAIN, events=40, instants=2, pairs=10, late=0.1, seed=0, stages=Stages()
    )
    assert served.passed
    facts = event_facts(settings.lake, DOMAIN, "1GB")
    assert set(facts.keys) == {"reader", "article"} and facts.positive is not None
    config = settings.home / "gbt.yaml"
    config.write_text("model: gbt\nconfig: {iterations: 10, min_leaf: 5}\n")
    result = train(settings, DOMAIN, "gbt", settings.home / "gbt", TrainOptions(config=config), Stages())
    assert result.labels_asked == result.labels_returned
    found = lookup(open_store(settings), "press_v1", {"order": 1, "group": "a-1"})
    assert found.unknown == () and found.values["count"] > 0
    assert set(KEYS) - set(CALLED) == {EVENT_TIMESTAMP}


def test_quoted_names_pass_from_one_dialect_to_the_other_as_they_are() -> None:
    assert for_duckdb("`it's` -> x") == "`it's` -> x"
    assert for_duckdb("filter(`x -> y`, x -> x > 'x -> y')") == "filter(`x -> y`, lambda x: x > 'x -> y')"
