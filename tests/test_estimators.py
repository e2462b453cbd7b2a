"""What every estimator must do: one suite over every registered model, and every task that it learns."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from common.errors import MarqueeError
from feature_repo.define.task import Ordinal, Regression, Task
from tests.toy_features import toy_spec, toy_table
from tests.training_runs import ALIKE, LIKED
from training.data.labels import with_label
from training.estimators import Blueprint, Estimator, Examples, estimator_of
from training.fit.curve import Curve
from training.models import MODELS, Entry, model
from training.tasks import objective_of

pytestmark = pytest.mark.training

ROWS, TRAIN = 420, 300
TASKS: dict[str, Task] = {
    "binary": LIKED,
    "regression": Regression("value", "rating"),
    "ordinal": Ordinal("stars", "rating", (1.0, 2.0, 3.0, 4.0, 5.0)),
}
QUICK: dict[str, dict[str, Any]] = {
    "keras": {"training.epochs": 2, "training.batch_size": 64, "training.learning_rate": 0.02},
    "sklearn": {},
}
FASTER: dict[str, dict[str, Any]] = {"gbt": {"iterations": 15, "min_leaf": 10}}
KEYS = [key for key in MODELS if key not in ALIKE]
# Heads are the same for all networks (see test_training_heads), so one of them learns the other tasks.
CASES = [
    (key, kind)
    for key in KEYS
    for kind in MODELS[key].tasks
    if kind == "binary" or MODELS[key].kind != "keras" or key == "embedding_mlp"
]


def labelled(service: str, task: Task) -> pa.Table:
    """Toy rows with stars that follow from what is known of item and user."""
    table = toy_table(ROWS, service)
    known = [np.nan_to_num(table[f"{side}_rating_mean"].to_numpy(), nan=2.75) for side in ("movie", "user")]
    table = table.append_column("rating", pa.array(np.clip(np.round(sum(known) / 2), 1, 5)))
    return table if task is LIKED else with_label(table, task)


class World:
    """One model, one task: rows, inputs, and estimators that know nothing yet."""

    def __init__(self, entry: Entry, kind: str) -> None:
        self.entry = entry
        # Toy rows are liked by the mean ratings that their features tell.
        self.service = "din_v1" if entry.service == "iarm_v1" else entry.service
        self.objective = objective_of(TASKS[kind])
        self.table = labelled(self.service, self.objective.task)
        settings = {**QUICK[entry.kind], **FASTER.get(entry.key, {})}
        self.config = entry.config_class.of(settings)
        self.train, self.valid = self.table.slice(0, TRAIN), self.table.slice(TRAIN)
        self.spec = toy_spec(self.train, self.service, self.config.inputs)

    def estimator(self) -> Estimator:
        return estimator_of(Blueprint(self.entry, self.config, self.spec, self.objective))

    def examples(self, table: pa.Table) -> Examples:
        return Examples(self.spec.apply(table), self.objective.targets(table))

    def fitted(self, seed: int = 0) -> tuple[Estimator, Curve]:
        found = self.estimator()
        return found, found.fit(self.examples(self.train), self.examples(self.valid), seed=seed)

    def predicted(self, estimator: Estimator) -> np.ndarray:
        return estimator.predict(self.spec.apply(self.valid))


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def world(request: pytest.FixtureRequest) -> World:
    key, kind = request.param
    return World(model(key), kind)


@pytest.fixture(scope="module")
def trained(world: World) -> tuple[Estimator, Curve]:
    return world.fitted()


@pytest.fixture(scope="module")
def fitted(trained: tuple[Estimator, Curve]) -> Estimator:
    return trained[0]


@pytest.fixture(scope="module")
def predicted(world: World, fitted: Estimator) -> np.ndarray:
    return world.predicted(fitted)


def test_predictions_are_of_the_tasks_shape_and_range(world: World, predicted: np.ndarray) -> None:
    assert predicted.dtype == np.float64
    assert np.isfinite(predicted).all()
    rows = world.valid.num_rows
    if world.objective.kind == "ordinal":
        assert predicted.shape == (rows, 5)
        np.testing.assert_allclose(predicted.sum(axis=1), 1)
        assert (predicted >= 0).all()
    else:
        assert predicted.shape == (rows,)
    if world.objective.kind == "binary":
        assert ((predicted > 0) & (predicted < 1)).all()
    assert world.objective.score(predicted).shape == (rows,)


def test_learns_more_than_a_constant_knows(world: World, predicted: np.ndarray) -> None:
    if world.entry.key == "neuralcf":
        pytest.skip("ids alone say nothing of toy rows")
    targets = world.objective.targets(world.valid)
    found = world.objective.validate(targets, predicted)
    if world.objective.kind == "binary":
        assert found["auc"] > 0.6
    else:
        values = world.valid[world.objective.task.name].to_numpy()
        assert found["rmse"] < values.std()


def test_metrics_are_those_of_the_task(world: World, predicted: np.ndarray) -> None:
    targets = world.objective.targets(world.valid)
    threshold = world.objective.threshold(targets, predicted)
    metrics = world.objective.measure(targets, predicted, threshold)
    assert metrics["rows"] == world.valid.num_rows
    expected = {"binary": {"roc_auc", "log_loss", "f1"}, "regression": {"rmse", "mae"}}
    assert expected.get(world.objective.kind, {"log_loss", "rmse", "mae"}) <= set(metrics)
    assert (threshold is None) == (world.objective.kind != "binary")


def test_saved_and_loaded_it_predicts_the_same_bits(
    world: World, fitted: Estimator, predicted: np.ndarray, tmp_path: Path
) -> None:
    fitted.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [fitted.file]
    back = world.estimator()
    back.load(tmp_path)
    np.testing.assert_array_equal(world.predicted(back), predicted)


def test_missing_or_damaged_files_are_one_sentence(world: World, tmp_path: Path) -> None:
    found = world.estimator()
    with pytest.raises(MarqueeError, match=f"has no {found.file}: it is not a whole artefact"):
        found.load(tmp_path)
    (tmp_path / found.file).write_bytes(b"not a model")
    with pytest.raises(MarqueeError, match=r"cannot be read|do not fit the model"):
        found.load(tmp_path)


def test_another_seed_is_another_model(world: World, predicted: np.ndarray) -> None:
    if world.entry.key != "logistic":  # its solver is exact
        assert not np.array_equal(world.predicted(world.fitted(seed=1)[0]), predicted)


def test_refit_with_the_same_seed_trains_for_as_long_as_was_best_to_the_same_bits(
    world: World, trained: tuple[Estimator, Curve], predicted: np.ndarray
) -> None:
    _, curve = trained
    assert 1 <= curve.best <= len(curve.epochs)
    assert all(world.objective.loss in point.validation for point in curve.epochs)
    same, more = world.estimator(), world.estimator()
    same.refit(world.examples(world.train), curve)
    np.testing.assert_array_equal(world.predicted(same), predicted)
    # As many rows, for which the network is compiled already, but others.
    more.refit(world.examples(world.table.slice(ROWS - TRAIN)), curve)
    assert not np.array_equal(world.predicted(more), predicted)


def test_a_row_is_predicted_the_same_alone_and_no_rows_are_none(
    world: World, fitted: Estimator, predicted: np.ndarray
) -> None:
    alone = fitted.predict(world.spec.apply(world.valid.slice(3, 1)))
    np.testing.assert_allclose(alone, predicted[3:4], rtol=1e-4, atol=1e-5)
    none = fitted.predict(world.spec.apply(world.valid.slice(0, 0)))
    assert none.shape == (0, *predicted.shape[1:])


def test_other_features_are_refused(world: World, fitted: Estimator) -> None:
    arrays = world.spec.apply(world.valid)
    name = world.spec.inputs[0].name
    without = {other: array for other, array in arrays.items() if other != name}
    with pytest.raises(MarqueeError, match=f"The inputs lack {name}"):
        fitted.predict(without)
    wide = np.concatenate([arrays[name].reshape(len(world.valid), -1)] * 3, axis=1)
    with pytest.raises(MarqueeError, match=f"Input {name} has the shape"):
        fitted.predict(arrays | {name: wide})
    column = next(iter(world.spec.columns))
    with pytest.raises(MarqueeError, match=r"lacks 1 of the \d+ columns"):
        world.spec.apply(world.valid.drop_columns([column]))


def with_nothing_known(table: pa.Table, *ends: str) -> pa.Table:
    """A table whose features of such names have no value; all of them, where no name is given."""
    for place, field in enumerate(table.schema):
        if field.name not in LABELS and (not ends or field.name.endswith(ends)):
            table = table.set_column(place, field.name, pa.nulls(len(table), field.type))
    return table


def with_ids(table: pa.Table, name: str, ids: np.ndarray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(ids))


LABELS = ("user_id", "movie_id", "event_timestamp", "liked", "rating")
ONES, EACH = np.ones(ROWS, np.int64), np.arange(1, ROWS + 1)
HARD: dict[str, Callable[[pa.Table], pa.Table]] = {
    "features without a value, each user once": lambda table: with_ids(
        with_nothing_known(table, "_year_mean", "_release_year", "_std", "_genres"), "user_id", EACH
    ),
    "nothing known, one user, one movie": lambda table: with_ids(
        with_ids(with_nothing_known(table), "user_id", ONES), "movie_id", ONES
    ),
}


@pytest.mark.parametrize("rows", HARD)
@pytest.mark.parametrize("key", KEYS)
def test_rows_that_say_little_are_trained_on_all_the_same(key: str, rows: str) -> None:
    world = World(model(key), "binary")
    table = HARD[rows](world.table)
    world.train, world.valid = table.slice(0, TRAIN), table.slice(TRAIN)
    world.spec = toy_spec(world.train, world.service, world.config.inputs)
    assert np.isfinite(world.predicted(world.fitted()[0])).all()


def test_a_class_that_no_training_row_has_gets_a_probability_too() -> None:
    for key in ("gbt", "logistic", "embedding_mlp"):
        world = World(model(key), "ordinal")
        low = world.table.filter(pc.less_equal(world.table["rating"], 3.0))
        found = world.estimator()
        found.fit(world.examples(low), world.examples(world.valid))
        predicted = world.predicted(found)
        assert predicted.shape == (world.valid.num_rows, 5)
        np.testing.assert_allclose(predicted.sum(axis=1), 1)
