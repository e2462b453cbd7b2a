"""What a declared task means to training: values computed by hand."""

from math import exp, log, sqrt

import numpy as np
import pyarrow as pa
import pytest

from common.errors import MarqueeError
from feature_repo.define.task import Ordinal, Regression, Task
from tests.training_runs import LIKED
from training.evaluate.metrics import TITLES, best_threshold, log_loss_of, roc_auc
from training.tasks import Scored, check_monitor, happened, objective_of, sigmoid

STARS = Ordinal("stars", "rating", (1.0, 2.5, 4.0))
MINUTES = Regression("length", "minutes")
LIKES = np.array([True, False, True, False])
SCORES = np.array([0.9, 0.6, 0.6, 0.1])


def test_binary_links_by_the_sigmoid_and_measures_at_the_best_threshold() -> None:
    objective = objective_of(LIKED)
    table = pa.table({"liked": LIKES})
    np.testing.assert_array_equal(objective.targets(table), LIKES)
    np.testing.assert_allclose(objective.link(np.array([[0.0], [2.0]])), [0.5, 1 / (1 + exp(-2))])
    assert objective.validate(LIKES, SCORES) == {
        "auc": roc_auc(LIKES, SCORES),
        "log_loss": log_loss_of(LIKES, SCORES),
    }
    threshold = objective.threshold(LIKES, SCORES)
    assert threshold == best_threshold(LIKES, SCORES) == 0.6
    assert objective.measure(LIKES, SCORES, threshold)["recall"] == 1.0
    np.testing.assert_array_equal(objective.score(SCORES), SCORES)


def test_regression_links_by_identity_and_measures_errors() -> None:
    objective = objective_of(MINUTES)
    targets = objective.targets(pa.table({"length": [1.0, 4.0]}))
    predicted = objective.link(np.array([[2.0], [2.0]]))
    np.testing.assert_array_equal(predicted, [2.0, 2.0])
    found = objective.measure(targets, predicted, None)
    assert found == {"rmse": pytest.approx(sqrt((1 + 4) / 2)), "mae": 1.5, "rows": 2}
    assert objective.validate(targets, predicted)["mse"] == pytest.approx(2.5)
    assert objective.threshold(targets, predicted) is None


def test_ordinal_scores_by_expectation() -> None:
    objective = objective_of(STARS)
    targets = objective.targets(pa.table({"stars": [4.0, 1.0]}))
    assert targets.tolist() == [2, 0]
    outputs = np.log([[0.2, 0.3, 0.5], [0.5, 0.5, 1e-9]]) + 7.0  # any constant
    predicted = objective.link(outputs)
    np.testing.assert_allclose(predicted[0], [0.2, 0.3, 0.5])
    scores = objective.score(predicted)
    first = 0.2 * 1 + 0.3 * 2.5 + 0.5 * 4
    assert scores[0] == pytest.approx(first)
    found = objective.measure(targets, predicted, None)
    assert found["log_loss"] == pytest.approx(-(log(0.5) + log(0.5)) / 2)
    assert found["mae"] == pytest.approx((abs(first - 4) + abs(scores[1] - 1)) / 2)
    assert found["rmse"] == pytest.approx(sqrt(((first - 4) ** 2 + (scores[1] - 1) ** 2) / 2))
    assert objective.outputs == 3


def test_one_class_only_is_said_of_the_part_that_has_it() -> None:
    objective = objective_of(LIKED)
    objective.check(LIKES, "test")
    with pytest.raises(MarqueeError, match="All 4 validation rows are liked: metrics need both"):
        objective.check(np.ones(4, bool), "validation")
    with pytest.raises(MarqueeError, match=r"All 3 test rows are not liked: .* Give more events, some"):
        objective.check(np.zeros(3, bool), "test")
    ordinal = objective_of(STARS)
    ordinal.check(np.zeros(3, np.int64), "test")
    with pytest.raises(MarqueeError, match="All 3 training rows have one and the same stars"):
        ordinal.check(np.zeros(3, np.int64), "training")
    objective_of(MINUTES).check(np.zeros(3), "training")


def test_monitors_are_the_tasks_own() -> None:
    assert check_monitor(objective_of(LIKED), None) == "auc"
    assert check_monitor(objective_of(MINUTES), None) == "rmse"
    assert check_monitor(objective_of(STARS), None) == "log_loss"
    assert check_monitor(objective_of(LIKED), "log_loss") == "log_loss"
    with pytest.raises(MarqueeError, match="no monitor of liked 'rmse': known: auc, log_loss"):
        check_monitor(objective_of(LIKED), "rmse")


@pytest.mark.parametrize("task", [LIKED, STARS, MINUTES], ids=lambda task: task.name)
def test_what_training_watches_has_a_name_for_people(task: Task) -> None:
    assert objective_of(task).monitors.keys() <= TITLES.keys()


def test_labels_as_they_happened_are_flags_or_values() -> None:
    table = pa.table({"liked": [True, False], "stars": [4.0, 1.0], "length": [3.0, 2.0]})
    assert happened(LIKED, table).tolist() == [True, False]
    assert happened(STARS, table).tolist() == [4.0, 1.0]
    assert happened(MINUTES, table).tolist() == [3.0, 2.0]


def test_sigmoid_is_stable_at_both_ends() -> None:
    with np.errstate(over="raise"):
        out = sigmoid(np.array([-1000.0, 0.0, 1000.0, 2.0]))
    np.testing.assert_allclose(out, [0, 0.5, 1, 1 / (1 + np.exp(-2))])


@pytest.mark.parametrize("task", [LIKED, STARS, MINUTES], ids=lambda task: task.name)
def test_every_task_has_figures(task: object) -> None:
    objective = objective_of(task)  # type: ignore[arg-type]
    random = np.random.default_rng(0)
    targets = random.integers(0, 3, 200) if task is STARS else random.random(200)
    if task is LIKED:
        targets = targets > 0.5
    pictures = objective.figures(
        {"A": Scored(targets, random.random(200)), "B": Scored(targets, random.random(200))}
    )
    assert len(pictures) >= 3
    assert all("<svg" in picture.light and picture.caption for picture in pictures)
