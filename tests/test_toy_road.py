"""Another domain goes the whole road: from a source to online lookup, and from labels to logits, with both
audits. Rows are few, so nothing of it needs Spark."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pytest
from feast import FeatureStore

from app.audit import audit_consistency, audit_leakage
from app.lookup import lookup
from app.report import write_report
from app.summary import Summary, TableCount
from app.train import TrainOptions, train
from app.validate import validate_lake
from common.progress import StageCost, Stages
from common.settings import Settings
from feature_repo.define.column import BEGINNING, EVENT_TIMESTAMP
from feature_repo.define.table import QUARANTINE
from feature_repo.store import apply, materialize, open_store
from lake.tables import newest_version, open_table
from pipelines.features.jobs import job_names, run_job
from pipelines.ingest import ingest
from pipelines.sources.readings import instant, number, text, whole_number, words
from pipelines.sources.source import Source
from tests.feature_oracle import known_at_labels
from tests.raw_rows import no_spark, raw
from tests.toy_domain import PRESS
from training.data.dataset import point_in_time
from training.fit.artefact import load
from validation.audit.oracle import feature_rows, same

READERS, ARTICLES, READS = 24, 15, 700
START = 1_500_000_000
KEYS = ["reader_id", "article_id", EVENT_TIMESTAMP]
TOPICS = ("art", "law", "sport", "war")


def press(seed: int = 0, called: Mapping[str, str] | None = None) -> Source:
    """A source as text, with ties within a second, readers and articles that are read once or never, and
    rows that break rules.

    Args:
        called: other names of columns, by their own.
    """
    names = {name: name for table in PRESS.sources for name in table.column_names} | dict(called or {})
    random = np.random.default_rng(seed)
    articles = [
        (
            f"a-{i}",
            ";".join(topic for topic in TOPICS if random.random() < 0.4),
            str(100 * i) if i % 4 else "",
            ("home", "world", "")[i % 3],
        )
        for i in range(1, ARTICLES + 1)
    ]
    readers = [(str(i), ("DE", "FR", "")[i % 3], str(18 + i) if i % 5 else "") for i in range(1, READERS - 3)]
    reads = {
        (str(1 + int(READERS * random.random() ** 2)), f"a-{random.integers(1, ARTICLES)}", second): str(
            random.integers(0, 24) / 4
        )
        for second in (START + int(i) * 60 for i in np.sort(random.integers(0, READS // 2, READS)))
    }
    rows = [(reader, article, minutes, str(at)) for (reader, article, at), minutes in reads.items()]
    rows += [("x", "a-1", "3", str(START)), ("1", "a-99", "3", str(START)), ("1", "a-1", "-1", str(START))]
    return Source(
        "press",
        "articles and their readers",
        {
            "articles": raw(
                articles,
                (
                    text(names["article_id"]),
                    words(names["topics"], separator=";"),
                    whole_number(names["words"]),
                    text(names["section"]),
                ),
            ),
            "readers": raw(
                readers,
                (whole_number(names["reader_id"]), text(names["country"]), whole_number(names["age"])),
            ),
            "reads": raw(
                rows,
                (
                    whole_number(names["reader_id"]),
                    text(names["article_id"]),
                    number(names["minutes"]),
                    instant(EVENT_TIMESTAMP, "timestamp"),
                ),
            ),
        },
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home of the press, brought online."""
    settings = Settings(home=tmp_path_factory.mktemp("press"))
    report = ingest(no_spark, press(), settings.lake, PRESS).tables
    assert report["reads"].quarantined == 3
    for name in job_names(PRESS):
        run_job(no_spark, settings.lake, PRESS, name)
    apply(settings, PRESS)
    materialize(settings)
    return settings


@pytest.fixture(scope="module")
def store(settings: Settings) -> FeatureStore:
    return open_store(settings)


@pytest.fixture(scope="module")
def tables(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    return {
        table.name: open_table(settings.lake, table.name).to_pyarrow_table().to_pylist()
        for table in PRESS.sources
    }


def assert_same(got: dict[str, Any], want: dict[str, Any]) -> None:
    wrong = {name: (got[name], want[name]) for name in want if not same(got[name], want[name])}
    assert not wrong


def test_features_at_every_label_are_those_of_a_loop_over_strictly_earlier_events(
    store: FeatureStore, tables: dict[str, list[dict[str, Any]]]
) -> None:
    events = sorted(tables["reads"], key=lambda row: row[EVENT_TIMESTAMP])
    labels = pa.table({name: [row[name] for row in events] for name in events[0]})
    known = known_at_labels(PRESS, tables)
    joined = point_in_time(store, PRESS, "press_v1", labels).to_pylist()
    assert len(joined) == len(known) > 400
    for got, want in zip(joined, known, strict=True):
        assert_same(got, want)


def test_lookup_gives_the_newest_row_of_a_loop_over_all_events(
    store: FeatureStore, tables: dict[str, list[dict[str, Any]]]
) -> None:
    newest: dict[str, dict[Any, dict[str, Any]]] = {}
    for view in PRESS.views:
        rows = sorted(feature_rows(view, tables), key=lambda row: row[EVENT_TIMESTAMP])
        newest[view.name] = {row[view.by.name]: row for row in rows}
    for reader in range(1, READERS + 1):
        article = f"a-{1 + reader % ARTICLES}"
        keys = {"reader_id": reader, "article_id": article}
        found = lookup(store, "press_v1", keys)
        for view in PRESS.views:
            row = newest[view.name].get(keys[view.by.name])
            for column in view.columns:
                want = None if row is None else row[column.name]
                assert same(found.values[column.name], want), (keys, column.name)
    assert lookup(store, "press_v1", {"reader_id": 999, "article_id": "a-1"}).unknown == ("reader_id",)


def test_facts_are_known_since_the_beginning(settings: Settings) -> None:
    for view in PRESS.views:
        stamps = open_table(settings.lake, view.name).to_pyarrow_table()[EVENT_TIMESTAMP].to_pylist()
        assert (set(stamps) == {BEGINNING}) == view.is_timeless


def test_the_gate_passes(settings: Settings, tmp_path: Path) -> None:
    report = validate_lake(settings, PRESS, tmp_path, Stages())
    assert report.passed and {table.name for table in report.tables} == set(PRESS.tables)


@pytest.mark.training
@pytest.mark.parametrize("model", ["din", "gbt"])
def test_a_model_is_trained_from_labels_to_scores_that_come_back(settings: Settings, model: str) -> None:
    config = settings.home / f"{model}.yaml"
    settings_of = {"gbt": "{iterations: 20, min_leaf: 5}", "din": "{training: {epochs: 2}}"}
    config.write_text(f"model: {model}\nconfig: {settings_of[model]}\n")
    result = train(
        settings, PRESS, model, settings.home / "models" / model, TrainOptions(config=config), Stages()
    )
    assert 0 < result.metrics["log_loss"] < 2
    artefact = load(result.folder)
    assert artefact.manifest.recipe.domain == PRESS.name
    rows = point_in_time(open_store(settings), PRESS, "press_v1", artefact.predictions.select(KEYS))
    assert np.array_equal(artefact.score(rows), artefact.predictions["score"].to_numpy())


def test_the_page_of_a_run_speaks_of_the_domain(settings: Settings, tmp_path: Path) -> None:
    names = (*PRESS.tables, QUARANTINE)
    summary = Summary(
        run="r",
        options={"source": "press", "seed": 0, "path": None, "data": None},
        tables={name: TableCount(rows=3, read=3, quarantined=0) for name in PRESS.tables},
        models={},
        stages=[StageCost("ingest", 1.5, 1024)],
        versions={name: newest_version(settings.lake, name) for name in names},
    )
    write_report(settings, PRESS, summary, tmp_path)
    page = (tmp_path / "report.html").read_text()
    said = re.sub("<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL)
    assert "share reader and instant with another one" in said
    assert not {"user", "users", "movie", "movies", "item", "items"} & set(re.findall("[a-z]+", said.lower()))


def test_no_feature_holds_the_future(settings: Settings) -> None:
    report, page = audit_leakage(settings, PRESS, sample=60, seed=0, costs=True, stages=Stages())
    assert report.passed and page.is_file()
    assert {finding.feature for finding in report.features} >= {"reader_last_at", "article_section"}


def test_what_is_served_is_what_is_trained_on(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_spark_here(_: Settings) -> NoReturn:
        raise AssertionError("Spark was asked for")

    monkeypatch.setattr("app.spark.start_spark", no_spark_here)
    report, page = audit_consistency(
        settings, PRESS, events=60, instants=3, pairs=20, late=0.1, seed=0, stages=Stages()
    )
    assert report.passed and page.is_file()
