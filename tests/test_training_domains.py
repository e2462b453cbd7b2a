"""Another domain and every kind of task: from its lake to an artefact, scored again and trained again."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from feast import FeatureStore

from common.errors import MarqueeError
from common.settings import Settings
from feature_repo.arrow import arrow_schema
from feature_repo.define.column import BEGINNING, CREATED_TIMESTAMP, EVENT_TIMESTAMP
from feature_repo.define.task import Ordinal, Regression, Task
from feature_repo.domains.movies import DOMAIN
from feature_repo.store import apply, open_store
from tests.toy_domain import PRESS, READS
from tests.toy_press import START, drawn_values
from training.data.prepared import prepare
from training.fit import artefact as artefacts
from training.fit.repeat import train_like
from training.fit.rescore import rescore
from training.fit.train import Result, train_on
from training.recipe import recipe_of

pytestmark = pytest.mark.training

KEYS, EVENTS = 19, 500
LEVELS = Ordinal("level", "minutes", (1.0, 2.0, 3.0, 4.0, 5.0))
CASES: list[tuple[str, Task, dict[str, Any]]] = [
    ("gbt", PRESS.tasks[0], {"iterations": 20, "min_leaf": 10}),
    ("gbt", Regression("length", "minutes"), {"iterations": 20, "min_leaf": 10}),
    ("logistic", LEVELS, {}),
    ("din", PRESS.tasks[0], {"training.epochs": 2, "training.batch_size": 64, "refit": True}),
    ("embedding_mlp", LEVELS, {"training.epochs": 2, "training.batch_size": 64}),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of the press: random features of each reader and article; long reads follow from two of them."""
    home = tmp_path_factory.mktemp("press")
    random = np.random.default_rng(0)
    keys: dict[str, list[Any]] = {
        "reader_id": list(range(1, KEYS + 1)),
        "article_id": [f"a{i}" for i in range(1, KEYS + 1)],
    }
    means = {name: random.uniform(1, 5, KEYS) for name in ("reader_minutes_mean", "article_minutes_mean")}
    for view in PRESS.views:
        columns = {column.name: drawn_values(random, column, KEYS) for column in view.columns}
        columns |= {name: list(values) for name, values in means.items() if name in columns}
        times = {EVENT_TIMESTAMP: [BEGINNING] * KEYS, CREATED_TIMESTAMP: [START] * KEYS}
        rows = {view.by.name: keys[view.by.name], **columns, **times}
        write_deltalake(home / "lake" / view.name, pa.table(rows, arrow_schema(view.table)))
    reader, article = random.integers(0, KEYS, EVENTS), random.integers(0, KEYS, EVENTS)
    minutes = (means["reader_minutes_mean"][reader] + means["article_minutes_mean"][article]) / 2
    events = {
        "reader_id": [keys["reader_id"][i] for i in reader],
        "article_id": [keys["article_id"][i] for i in article],
        "minutes": np.clip(np.round(minutes + random.normal(0, 0.4, EVENTS)), 1, 5),
        EVENT_TIMESTAMP: [START + timedelta(minutes=i) for i in range(EVENTS)],
    }
    write_deltalake(home / "lake" / READS.name, pa.table(events, arrow_schema(READS)))
    apply(Settings(home=home), PRESS)
    return home


@pytest.fixture(scope="module")
def store(home: Path) -> FeatureStore:
    return open_store(Settings(home=home))


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1].name}")
def result(request: pytest.FixtureRequest, home: Path, store: FeatureStore) -> Result:
    key, task, config = request.param
    recipe = recipe_of(PRESS, key, task=task, config=config)
    out = home / "runs" / f"{key}-{task.name}"
    return train_on(prepare(store, home / "lake", PRESS, recipe), recipe, out)


def test_the_artefact_says_what_made_it_and_knows_its_task(result: Result) -> None:
    artefact = artefacts.load(result.folder)
    made = artefact.manifest.recipe
    assert made == result.recipe
    assert (made.domain, made.service) == ("press", "press_v1")
    assert set(artefact.manifest.versions) == {view.name for view in PRESS.views} | {READS.name}
    rows = artefact.predictions
    assert rows.column_names[:5] == ["reader_id", "article_id", EVENT_TIMESTAMP, made.task.name, "score"]
    assert rows.num_rows == result.rows["test"] == result.metrics["rows"]
    if made.task == LEVELS:
        probabilities = np.array(rows["probabilities"].to_pylist())
        assert probabilities.shape == (rows.num_rows, 5)
        np.testing.assert_allclose(probabilities @ np.array(LEVELS.values), rows["score"].to_numpy())


def test_it_learnt_more_than_a_constant_knows(result: Result) -> None:
    labels = artefacts.read_predictions(result.folder)[result.recipe.task.name].to_numpy(zero_copy_only=False)
    if "rmse" in result.metrics:
        assert result.metrics["rmse"] < labels.std()
    else:
        assert result.metrics["roc_auc"] > 0.6


def test_scored_again_it_has_the_same_metrics(result: Result, home: Path) -> None:
    def stores(versions: dict[str, int]) -> FeatureStore:
        return open_store(Settings(home=home), versions)

    assert rescore(result.folder, home / "lake", PRESS, stores) == result.metrics
    with pytest.raises(MarqueeError, match="was trained on press, not on marquee"):
        rescore(result.folder, home / "lake", DOMAIN, stores)


def test_trained_again_it_is_the_same(result: Result, home: Path, tmp_path: Path) -> None:
    def opened(versions: dict[str, int]) -> FeatureStore:
        return open_store(Settings(home=home), versions)

    again = train_like(result.folder, home / "lake", tmp_path / "again", PRESS, opened)
    assert again.same_metrics
    first, second = (artefacts.read_predictions(run) for run in (result.folder, again.result.folder))
    assert first.equals(second)
    with pytest.raises(MarqueeError, match="was trained on press, not on marquee"):
        train_like(result.folder, home / "lake", tmp_path / "other", DOMAIN, opened)
