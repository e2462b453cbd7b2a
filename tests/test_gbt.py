"""Boosted trees: what they read, when they stop, that they come back the same."""

from pathlib import Path

import numpy as np
import pytest

from common.errors import MarqueeError
from feature_repo import schema
from tests.toy_features import toy_spec, toy_table
from training.evaluate.metrics import log_loss_of, roc_auc
from training.fit import predictor
from training.inputs.spec import InputSpec
from training.models import model
from training.models.gbt import GBTConfig, fit, matrix

ENTRY = model("gbt")


def parts(rows: int = 1500, seed: int = 0) -> tuple[InputSpec, tuple[dict[str, np.ndarray], ...], np.ndarray]:
    table = toy_table(rows, "gbt_v1", seed=seed)
    spec = toy_spec(table.slice(0, 1000), "gbt_v1", GBTConfig().inputs)
    arrays = spec.apply(table)
    cut = tuple(
        {name: array[a:b] for name, array in arrays.items()}
        for a, b in ((0, 1000), (1000, 1250), (1250, rows))
    )
    liked: np.ndarray = table["liked"].to_numpy(zero_copy_only=False).astype(bool)
    return spec, cut, liked


def test_matrix_is_every_number_of_the_service_missing_ones_left_missing() -> None:
    spec, (train, _, _), _ = parts()
    numbers = [
        column for view in schema.SERVICES["gbt_v1"] for column in view.columns if column.type.is_number
    ]
    rows = matrix(spec, train)
    assert rows.shape == (1000, len(numbers))
    assert np.isnan(rows).any()


def test_trees_learn_and_stop_at_the_least_validation_loss() -> None:
    spec, (train, valid, test), liked = parts()
    config = GBTConfig(patience=5, min_leaf=10, iterations=150)
    trees, curve = fit(config, spec, train, liked[:1000], valid, liked[1000:1250])
    losses = [epoch.val_log_loss for epoch in curve.epochs]
    assert curve.epochs[curve.best - 1].epoch == curve.best
    assert losses[curve.best - 1] == min(losses)
    assert trees.n_iter_ == curve.best
    assert len(losses) < 150
    found = predictor.Predictor(ENTRY, spec, trees)
    # The trees that were kept have the loss that the curve says.
    assert log_loss_of(liked[1000:1250], found.predict(valid)) == pytest.approx(min(losses), rel=1e-4)
    assert roc_auc(liked[1250:], found.predict(test)) > 0.8


def test_same_seed_same_trees() -> None:
    spec, (train, valid, test), liked = parts()
    config = GBTConfig(iterations=20)
    scores = [
        predictor.fit(ENTRY, config, spec, train, liked[:1000], valid, liked[1000:1250], seed=seed)[
            0
        ].predict(test)
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_trees_save_and_load_to_the_same_scores(tmp_path: Path) -> None:
    spec, (train, valid, test), liked = parts()
    config = GBTConfig(iterations=20)
    found, _ = predictor.fit(ENTRY, config, spec, train, liked[:1000], valid, liked[1000:1250])
    found.save(tmp_path)
    back = predictor.load(ENTRY, config, spec, tmp_path)
    np.testing.assert_array_equal(back.predict(test), found.predict(test))
    nothing = {name: array[:0] for name, array in test.items()}
    assert back.predict(nothing).shape == (0,)


def test_damaged_or_missing_trees_are_refused(tmp_path: Path) -> None:
    spec, _, _ = parts()
    with pytest.raises(MarqueeError, match=r"has no model.joblib"):
        predictor.load(ENTRY, GBTConfig(), spec, tmp_path)
    (tmp_path / predictor.SKLEARN_FILE).write_bytes(b"not a pickle")
    with pytest.raises(MarqueeError, match="cannot be read"):
        predictor.load(ENTRY, GBTConfig(), spec, tmp_path)


def test_logistic_regression_reads_numbers_and_one_column_for_each_bucket() -> None:
    entry = model("logistic")
    config = entry.config_class.of({"inputs.buckets": 4})
    table = toy_table(300, "gbt_v1")
    spec = toy_spec(table, "gbt_v1", config.inputs)
    rows = entry.matrix(spec, spec.apply(table))
    numeric = sum(len(item.columns) for item in spec.select("numeric"))
    sizes = [size for item in spec.select("bucketised") for size in item.sizes]
    assert rows.shape == (300, numeric + sum(sizes))
    # Each row is in exactly one bucket of each column.
    np.testing.assert_array_equal(rows[:, numeric:].sum(axis=1), len(sizes))
    assert np.isfinite(rows).all()


def test_logistic_regression_keeps_the_strength_of_the_least_validation_loss(tmp_path: Path) -> None:
    entry = model("logistic")
    config = entry.config_class.of({"strengths": [1e-6, 0.1, 1e-5]})
    table = toy_table(1500, "gbt_v1")
    spec = toy_spec(table.slice(0, 1000), "gbt_v1", config.inputs)
    arrays = spec.apply(table)
    first, rest = (
        {name: array[rows] for name, array in arrays.items()} for rows in (slice(1000), slice(1000, None))
    )
    liked = table["liked"].to_numpy(zero_copy_only=False).astype(bool)
    found, curve = predictor.fit(entry, config, spec, first, liked[:1000], rest, liked[1000:])
    assert curve.best == 2
    assert curve.epochs[1].val_log_loss == min(epoch.val_log_loss for epoch in curve.epochs)
    assert log_loss_of(liked[1000:], found.predict(rest)) == pytest.approx(curve.epochs[1].val_log_loss)
    assert roc_auc(liked[1000:], found.predict(rest)) > 0.8
    found.save(tmp_path)
    back = predictor.load(entry, config, spec, tmp_path)
    np.testing.assert_array_equal(back.predict(rest), found.predict(rest))
