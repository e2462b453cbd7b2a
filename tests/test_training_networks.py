"""Training networks: batches, early stopping, repeatability, and going on after a kill."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.toy_features import toy_spec, toy_table
from tests.training_runs import LIKED, prepared, recipe
from training.backend import keras, seed_everything
from training.estimators import Blueprint, Examples
from training.estimators.network import Network
from training.evaluate.metrics import roc_auc
from training.fit import artefact as artefacts
from training.fit import trainer
from training.fit.batches import Batches, batch_size
from training.fit.checkpoint import Checkpoint, State
from training.fit.curve import Epoch
from training.fit.train import train_on
from training.inputs.spec import Arrays, InputSpec
from training.models import model
from training.models.config import TrainingConfig
from training.tasks import objective_of

pytestmark = pytest.mark.training

QUICK = {"training.epochs": 2, "training.batch_size": 256}
OBJECTIVE = objective_of(LIKED)


class TestBatches:
    arrays: ClassVar[Arrays] = {"a": np.arange(10), "b": np.arange(20).reshape(10, 2)}
    liked = np.arange(10) % 3 == 0

    def test_an_epoch_has_every_row_with_its_label_and_batches_of_one_size(self) -> None:
        batches = Batches(self.arrays, self.liked, 4, seed=1)
        assert len(batches) == 3
        rows = []
        for i in range(3):
            batch, labels = batches[i]
            np.testing.assert_array_equal(batch["b"], self.arrays["b"][batch["a"]])
            np.testing.assert_array_equal(labels[:, 0] == 1, self.liked[batch["a"]])
            rows += batch["a"].tolist()
        assert sorted(rows[:10]) == list(range(10))
        assert rows[10:] == rows[:2]
        assert rows[:10] != list(range(10))

    def test_order_depends_on_seed_and_epoch_only(self) -> None:
        def order(seed: int, epoch: int) -> list[int]:
            batches = Batches(self.arrays, self.liked, 10, seed, epoch)
            return list(batches[0][0]["a"])

        assert order(1, 0) == order(1, 0)
        assert order(1, 0) != order(2, 0)
        batches = Batches(self.arrays, self.liked, 10, 1)
        batches.on_epoch_end()
        assert list(batches[0][0]["a"]) == order(1, 1) != order(1, 0)

    def test_without_a_seed_rows_keep_their_order(self) -> None:
        batches = Batches(self.arrays, None, 4)
        assert [row for i in range(3) for row in batches[i][0]["a"]] == list(range(10))

    def test_batches_are_filled_up_with_the_first_rows_where_asked(self) -> None:
        batches = Batches(self.arrays, None, 4, full=True)
        assert [list(batches[i][0]["a"]) for i in range(3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1]]
        few = Batches({"a": np.arange(3)}, None, 8, full=True)
        assert [list(few[i][0]["a"]) for i in range(len(few))] == [[0, 1, 2, 0, 1, 2, 0, 1]]

    def test_batch_size_grows_with_the_rows_up_to_the_papers(self) -> None:
        sizes = [batch_size(rows, TrainingConfig()) for rows in (100, 10_000, 100_000, 10_000_000)]
        assert sizes == [100, 256, 1000, 4500]
        assert batch_size(50, TrainingConfig(batch_size=64)) == 50


def parts(rows: int = 900) -> tuple[InputSpec, Examples, Examples]:
    table = toy_table(rows, "din_v1")
    spec = toy_spec(table.slice(0, 600), "din_v1", model("din").config_class().inputs)
    first, rest = (
        Examples(spec.apply(part), OBJECTIVE.targets(part))
        for part in (table.slice(0, 600), table.slice(600))
    )
    return spec, first, rest


def fitted(config: dict[str, Any], seed: int = 0) -> tuple[Network, Any, np.ndarray, np.ndarray]:
    spec, first, valid = parts()
    settings = model("din").config_class.of(config)
    seen: list[tuple[Epoch, int]] = []
    network = Network(Blueprint(model("din"), settings, spec, OBJECTIVE))
    curve = network.fit(first, valid, seed=seed, on_epoch=lambda *told: seen.append(told))
    assert [point for point, _ in seen] == curve.epochs
    assert {of for _, of in seen} == {settings.training.epochs}  # type: ignore[attr-defined]
    return network, curve, network.predict(valid.arrays), valid.targets


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="TensorFlow takes one step a call")
@pytest.mark.parametrize("together", [2, 3, 7])
def test_steps_in_one_call_are_those_of_calls_of_their_own(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """600 rows in batches of 100: calls that are full, and a last one that is not."""
    config = {"training.epochs": 2, "training.batch_size": 100, "training.averaging": 0.9}
    monkeypatch.setattr(trainer, "STEPS_A_CALL", 1)
    _, alone, expected, _ = fitted(config)
    monkeypatch.setattr(trainer, "STEPS_A_CALL", together)
    _, curve, found, _ = fitted(config)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert [epoch.loss for epoch in curve.epochs] == pytest.approx([e.loss for e in alone.epochs], rel=1e-6)


class TestFit:
    def test_learns(self) -> None:
        _, curve, scores, liked = fitted({"training.epochs": 12, "training.learning_rate": 0.01})
        assert roc_auc(liked, scores) > 0.75
        assert curve.epochs[-1].loss < curve.epochs[0].loss

    @pytest.mark.parametrize("averaging", [0.0, 0.9])
    @pytest.mark.parametrize("monitor", ["auc", "log_loss"])
    def test_ends_with_the_weights_of_the_best_epoch(self, monitor: str, averaging: float) -> None:
        _, curve, scores, liked = fitted(
            {
                "training.epochs": 12,
                "training.patience": 3,
                "training.learning_rate": 0.05,
                "training.monitor": monitor,
                "training.averaging": averaging,
            }
        )
        best = curve.epochs[curve.best - 1]
        assert roc_auc(liked, scores) == pytest.approx(best.validation["auc"], abs=1e-6)
        if monitor == "auc":
            assert best.validation["auc"] == max(epoch.validation["auc"] for epoch in curve.epochs)
        else:
            assert best.validation["log_loss"] == min(epoch.validation["log_loss"] for epoch in curve.epochs)
        # At this learning rate the best epoch is not the last one: training stopped early.
        assert len(curve.epochs) == min(12, curve.best + 3)
        assert curve.best < len(curve.epochs)

    def test_same_seed_same_scores_and_curve(self) -> None:
        first, again, other = (fitted(QUICK, seed) for seed in (3, 3, 4))
        np.testing.assert_array_equal(first[2], again[2])
        assert [epoch.loss for epoch in first[1].epochs] == [epoch.loss for epoch in again[1].epochs]
        assert not np.array_equal(first[2], other[2])

    def test_learning_rate_decay_weight_decay_and_clipping_change_the_outcome(self) -> None:
        plain = fitted(QUICK)[2]
        for key, value in (
            ("training.decay", 0.01),
            ("training.weight_decay", 0.5),
            ("training.embedding_decay", 5.0),
            ("training.clip_norm", 1e-3),
            ("training.averaging", 0.9),
        ):
            assert not np.array_equal(fitted({**QUICK, key: value})[2], plain), key


def test_embeddings_alone_decay_at_their_own_rate() -> None:
    spec, first, _ = parts()
    after = []
    for decay in (0.0, 20.0):
        config = TrainingConfig(embedding_decay=decay, learning_rate=0.01, batch_size=len(first.targets))
        seed_everything(0)
        network = model("din").build(model("din").config_class(), spec)
        # One step: the gradients of both are the same.
        trainer.refit(network, first.arrays, first.targets, config, OBJECTIVE, 1)
        after.append({weight.path: weight.numpy() for weight in network.trainable_weights})
    plain, decayed = after
    for path in plain:
        if not path.endswith("/embeddings"):
            np.testing.assert_array_equal(decayed[path], plain[path], err_msg=path)
        else:
            assert np.linalg.norm(decayed[path]) < np.linalg.norm(plain[path])
            assert not np.array_equal(decayed[path], plain[path])


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_a_refit_ends_where_a_fit_of_as_many_epochs_does(averaging: float) -> None:
    spec, first, valid = parts()
    settings = model("din").config_class.of({"training.epochs": 4, "training.averaging": averaging})
    fitted_, again = (Network(Blueprint(model("din"), settings, spec, OBJECTIVE)) for _ in range(2))
    curve = fitted_.fit(first, valid, seed=2)
    again.refit(first, curve, seed=2)
    np.testing.assert_array_equal(again.predict(valid.arrays), fitted_.predict(valid.arrays))


def test_seeding_makes_initial_weights_repeatable() -> None:
    spec, *_ = parts()
    config = model("din").config_class()
    weights = []
    for _ in range(2):
        seed_everything(11)
        weights.append(model("din").build(config, spec).get_weights())
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)


class KilledError(Exception):
    """As sudden as a kill: nothing of ours catches it."""


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_killed_training_goes_on_to_the_result_of_an_unbroken_one(tmp_path: Path, averaging: float) -> None:
    given = prepared("din_v1", 500)
    config = {
        "training.epochs": 4,
        "training.batch_size": 128,
        "training.decay": 0.1,
        "training.averaging": averaging,
    }
    asked = recipe("din", config=config, seed=3)
    whole = train_on(given, asked, tmp_path / "whole")

    def kill(point: Epoch, of: int) -> None:  # noqa: ARG001
        if point.epoch == 3:
            raise KilledError

    out = tmp_path / "killed"
    with pytest.raises(KilledError):
        train_on(given, asked, out, on_epoch=kill)
    assert not out.exists()
    # Another training does not take up this one's state.
    other = train_on(given, recipe("din", config={**config, "training.epochs": 1}, seed=4), out)
    assert other.resumed == (0, 0)
    with pytest.raises(KilledError):
        train_on(given, asked, out, on_epoch=kill)
    epochs: list[int] = []
    resumed = train_on(given, asked, out, on_epoch=lambda point, _: epochs.append(point.epoch))
    assert (resumed.resumed, epochs) == ((2, 0), [3, 4])
    assert resumed.metrics == whole.metrics
    scores = [artefacts.read_predictions(run.folder)["score"].to_numpy() for run in (whole, resumed)]
    np.testing.assert_array_equal(*scores)
    curves = [
        [(epoch.loss, epoch.validation["auc"]) for epoch in artefacts.read_history(run.folder).epochs]
        for run in (whole, resumed)
    ]
    assert curves[0] == curves[1]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("batch_size", [16, 50])
def test_training_killed_while_it_validates_goes_on_within_the_epoch(
    tmp_path: Path, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "STEPS_A_CALL", 4)
    monkeypatch.setattr(trainer, "KEPT_EVERY", 0.0)
    given, out = prepared("din_v1", 500), tmp_path / "killed"
    asked = recipe("din", config={"training.epochs": 2, "training.batch_size": batch_size}, seed=3)
    whole = train_on(given, asked, tmp_path / "whole")

    def kill(point: Epoch, _: int) -> None:
        if point.epoch == 2:
            raise KilledError

    with pytest.raises(KilledError):
        train_on(given, asked, out, on_epoch=kill)
    resumed = train_on(given, asked, out)
    epoch, batch = resumed.resumed
    assert epoch == 1
    assert 0 < batch < -(-given.table.num_rows * 0.72 // batch_size)
    assert resumed.metrics == whole.metrics


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_training_killed_within_an_epoch_goes_on_to_the_result_of_an_unbroken_one(
    tmp_path: Path, averaging: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "STEPS_A_CALL", 4)
    monkeypatch.setattr(trainer, "KEPT_EVERY", 0.0)
    given = prepared("din_v1", 500)
    config = {"training.epochs": 3, "training.batch_size": 16, "training.averaging": averaging}
    asked = recipe("din", config=config, seed=3)
    whole = train_on(given, asked, tmp_path / "whole")
    write, places = Checkpoint.write, []

    def kill(self: Checkpoint, state: State) -> None:
        write(self, state)
        places.append((state.epoch, state.batch))
        if state.epoch == 1 and state.batch > 8:
            raise KilledError

    out = tmp_path / "killed"
    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr(Checkpoint, "write", kill)
        train_on(given, asked, out)
    assert places[-1][1] > 8
    epochs: list[int] = []
    resumed = train_on(given, asked, out, on_epoch=lambda point, _: epochs.append(point.epoch))
    assert (resumed.resumed, epochs) == (places[-1], [2, 3])
    assert resumed.metrics == whole.metrics
    curves = [
        [(epoch.loss, epoch.validation["auc"]) for epoch in artefacts.read_history(run.folder).epochs]
        for run in (whole, resumed)
    ]
    assert curves[0] == curves[1]
