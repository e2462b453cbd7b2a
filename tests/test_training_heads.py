"""Heads of tasks that are not binary: hand-computed values, starts, and learning on a tiny set."""

import numpy as np
import pytest

from feature_repo.define.task import Ordinal, Regression
from tests.training_runs import LIKED
from training.backend import keras, seed_everything
from training.estimators.heads import Affine, OrderedThresholds, headed, loss_of
from training.tasks import objective_of, sigmoid

pytestmark = pytest.mark.training


def ordered(first: float, gaps: list[float]) -> OrderedThresholds:
    head = OrderedThresholds(len(gaps) + 2)
    head.build((None, 1))
    head.first.assign([first])
    head.gaps.assign(np.log(np.expm1(gaps)))  # through softplus they are the gaps again
    return head


def test_ordered_thresholds_cut_the_logistic_curve() -> None:
    z = np.array([[0.0], [1.5]], np.float32)
    found = np.exp(keras.ops.convert_to_numpy(ordered(0.0, [1.0])(z)))
    expected = [
        [
            sigmoid(np.array(0 - x)),
            sigmoid(np.array(1 - x)) - sigmoid(np.array(0 - x)),
            sigmoid(np.array(x - 1)),
        ]
        for x in (0.0, 1.5)
    ]
    np.testing.assert_allclose(found, np.array(expected, dtype=float), rtol=1e-5)


def test_ordered_thresholds_stay_finite_far_out() -> None:
    z = np.array([[-80.0], [80.0]], np.float32)
    found = keras.ops.convert_to_numpy(ordered(0.0, [0.5, 0.5])(z))
    assert np.isfinite(found).all()
    assert found.argmax(axis=1).tolist() == [0, 3]


def test_two_classes_need_one_threshold() -> None:
    found = np.exp(keras.ops.convert_to_numpy(ordered(0.5, [])(np.array([[0.0]], np.float32))))
    np.testing.assert_allclose(found, [[sigmoid(np.array(0.5)), sigmoid(np.array(-0.5))]], rtol=1e-6)


def test_ordered_thresholds_start_from_the_shares_of_the_classes() -> None:
    targets = np.repeat([0, 1, 2], [100, 300, 600])
    head = OrderedThresholds(3)
    head.build((None, 1))
    head.start_from(targets)
    found = np.exp(keras.ops.convert_to_numpy(head(np.zeros((1, 1), np.float32))))
    np.testing.assert_allclose(found, [[0.1, 0.3, 0.6]], atol=2e-3)


def test_affine_starts_from_mean_and_deviation() -> None:
    head = Affine()
    head.build((None, 1))
    head.start_from(np.array([1.0, 3.0]))
    found = keras.ops.convert_to_numpy(head(np.array([[0.0], [2.0]], np.float32)))
    np.testing.assert_allclose(found, [[2.0], [4.0]])
    head.start_from(np.array([3.0, 3.0]))  # no deviation: logits count as they are
    np.testing.assert_allclose(keras.ops.convert_to_numpy(head(np.ones((1, 1), np.float32))), [[4.0]])


def test_a_binary_task_takes_the_network_as_it_is() -> None:
    network = tiny()
    assert headed(network, objective_of(LIKED), np.array([True, False])) is network


def tiny() -> keras.Model:
    seed_everything(0)
    x = keras.Input((2,), name="x")
    hidden = keras.layers.Dense(8, activation="tanh")(x)
    return keras.Model({"x": x}, keras.layers.Dense(1)(hidden))


TASKS = Regression("value", "v"), Ordinal("stars", "v", (1.0, 2.0, 3.0, 4.0))


@pytest.mark.parametrize("task", TASKS, ids=["regression", "ordinal"])
def test_a_network_overfits_a_tiny_set(task: Regression | Ordinal) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 2)).astype(np.float32)
    objective = objective_of(task)
    places = np.clip(np.round(1.5 + x[:, 0]), 0, 3).astype(np.int64)
    targets = places if objective.kind == "ordinal" else 1.0 + places
    network = headed(tiny(), objective, targets)
    jit = keras.backend.backend() == "jax"  # which goes operation by operation without
    network.compile(keras.optimizers.Adam(0.03), loss=loss_of(objective), jit_compile=jit)
    for _ in range(400):
        network.train_on_batch({"x": x}, targets.astype(np.float32)[:, None])
    outputs = network.predict({"x": x}, verbose=0).astype(np.float64)
    found = objective.validate(targets, objective.link(outputs))
    assert found["rmse"] < 0.35
    assert found["rmse"] < 0.5 * (1.0 + places).std()
