"""Boosted trees and logistic regression: what they read, when they stop, what they do without values."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.preprocessing import FunctionTransformer

from common.errors import MarqueeError
from feature_repo.define.task import Regression
from feature_repo.domains.movies import DOMAIN
from tests.toy_features import toy_spec, toy_table
from tests.training_runs import LIKED
from training.estimators import Blueprint, Examples
from training.estimators.scikit import ScikitModel
from training.evaluate.metrics import log_loss_of, roc_auc
from training.inputs.spec import Arrays, InputSpec
from training.models import logistic, model
from training.models.gbt import GBTConfig, matrix
from training.tasks import objective_of

OBJECTIVE = objective_of(LIKED)


def parts(rows: int = 1500, seed: int = 0) -> tuple[InputSpec, Examples, Examples, Examples]:
    table = toy_table(rows, "gbt_v1", seed=seed)
    spec = toy_spec(table.slice(0, 1000), "gbt_v1", GBTConfig().inputs)
    first, valid, test = (
        Examples(spec.apply(part), OBJECTIVE.targets(part))
        for part in (table.slice(0, 1000), table.slice(1000, 250), table.slice(1250))
    )
    return spec, first, valid, test


def trees(spec: InputSpec, config: GBTConfig) -> ScikitModel:
    return ScikitModel(Blueprint(model("gbt"), config, spec, OBJECTIVE))


def test_matrix_is_every_number_of_the_service_missing_ones_left_missing() -> None:
    spec, train, _, _ = parts()
    numbers = [
        column for view in DOMAIN.services["gbt_v1"] for column in view.columns if column.type.is_number
    ]
    rows = matrix(spec, train.arrays)
    assert rows.shape == (1000, len(numbers))
    assert np.isnan(rows).any()


def test_trees_learn_and_stop_at_the_least_validation_loss() -> None:
    spec, train, valid, test = parts()
    found = trees(spec, GBTConfig(patience=5, min_leaf=10, iterations=150))
    curve = found.fit(train, valid)
    losses = [epoch.validation["log_loss"] for epoch in curve.epochs]
    assert curve.epochs[curve.best - 1].epoch == curve.best
    assert losses[curve.best - 1] == min(losses)
    assert found.fitted.n_iter_ == curve.best
    assert len(losses) < 150
    # The trees that were kept have the loss that the curve says.
    assert log_loss_of(valid.targets, found.predict(valid.arrays)) == pytest.approx(min(losses), rel=1e-4)
    assert roc_auc(test.targets, found.predict(test.arrays)) > 0.8


def test_the_curve_of_a_regression_is_the_mean_squared_error() -> None:
    table = toy_table(1500, "gbt_v1")
    spec = toy_spec(table.slice(0, 1000), "gbt_v1", GBTConfig().inputs)
    values = np.nan_to_num(table["movie_rating_mean"].to_numpy(), nan=2.5)
    first, valid = (
        Examples(spec.apply(table.slice(*part)), values[part[0] : part[0] + part[1]])
        for part in ((0, 1000), (1000, 500))
    )
    objective = objective_of(Regression("stars", "rating"))
    found = ScikitModel(Blueprint(model("gbt"), GBTConfig(iterations=40, min_leaf=10), spec, objective))
    curve = found.fit(first, valid)
    error = float(np.mean((found.predict(valid.arrays) - valid.targets) ** 2))
    assert curve.epochs[curve.best - 1].validation["mse"] == pytest.approx(error, rel=1e-4)
    assert error < 0.05 * values.var()


@pytest.mark.parametrize("refit", [False, True])
def test_a_column_without_a_value_in_training_changes_nothing(refit: bool) -> None:
    spec, train, valid, test = parts()
    config = GBTConfig(iterations=20, features=1.0)
    name = spec.select("numeric", "user")[0].name
    scores = []
    for hole in (np.nan, 0.0):
        found = trees(spec, config)
        holed = [Examples(with_hole(rows.arrays, name, hole), rows.targets) for rows in (train, valid)]
        curve = found.fit(*holed)
        if refit:
            found.refit(holed[0], curve)
        scores.append(found.predict(with_hole(test.arrays, name, hole)))
    np.testing.assert_array_equal(*scores)


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_a_model_comes_back_from_its_file_and_no_code_with_it(tmp_path: Path) -> None:
    table = toy_table(400, "gbt_v1")
    for key in ("gbt", "logistic"):
        config = model(key).config_class()
        spec = toy_spec(table, "gbt_v1", config.inputs)
        rows = Examples(spec.apply(table), OBJECTIVE.targets(table))
        saved, loaded = (ScikitModel(Blueprint(model(key), config, spec, OBJECTIVE)) for _ in range(2))
        saved.fit(rows, rows)
        saved.save(tmp_path)
        loaded.load(tmp_path)
        np.testing.assert_array_equal(saved.predict(rows.arrays), loaded.predict(rows.arrays))
        (file,) = tmp_path.iterdir()
        file.write_bytes(pickle.dumps(Harmful(tmp_path / "harm")))
        with pytest.raises(MarqueeError, match=r"model.skops cannot be read"):
            loaded.load(tmp_path)
        skops.io.dump(FunctionTransformer(os.mkdir), file)
        with pytest.raises(MarqueeError, match="has parts that Marquee does not write"):
            loaded.load(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["model.skops"]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("left", 10**6, "leads nowhere"),
        ("right", 0, "leads nowhere"),
        ("feature_idx", 10**6, "a column that is not there"),
        ("is_categorical", 1, "asks for categories"),
    ],
)
def test_a_tree_that_leads_out_of_its_nodes_is_refused(
    tmp_path: Path, field: str, value: int, sentence: str
) -> None:
    spec, train, valid, _ = parts()
    found = trees(spec, GBTConfig(iterations=3, min_leaf=10))
    found.fit(train, valid)
    found.fitted._predictors[-1][0].nodes[field][0] = value
    found.save(tmp_path)
    with pytest.raises(MarqueeError, match=sentence):
        found.load(tmp_path)


def with_hole(arrays: Arrays, name: str, value: float) -> Arrays:
    """The first number of an input, the same in all rows."""
    block = arrays[name].copy()
    block[:, 0] = value
    return arrays | {name: block}


def test_inputs_without_a_number_are_one_sentence() -> None:
    table = toy_table(100, "gbt_v1")
    for key in ("gbt", "logistic"):
        config, off = model(key).config_class(), {"numeric": False, "bucketised": False}
        spec = toy_spec(table, "gbt_v1", config.inputs.model_copy(update={"ids": True} | off))
        rows = Examples(spec.apply(table), OBJECTIVE.targets(table))
        with pytest.raises(MarqueeError, match="the inputs of gbt_v1 have none: set inputs"):
            ScikitModel(Blueprint(model(key), config, spec, OBJECTIVE)).fit(rows, rows)


def test_logistic_regression_reads_numbers_and_one_column_for_each_bucket() -> None:
    config = model("logistic").config_class.of({"inputs.buckets": 4})
    table = toy_table(300, "gbt_v1")
    spec = toy_spec(table, "gbt_v1", config.inputs)
    rows = logistic.matrix(spec, spec.apply(table))
    numeric = sum(len(item.columns) for item in spec.select("numeric"))
    sizes = [size for item in spec.select("bucketised") for size in item.sizes]
    assert rows.shape == (300, numeric + sum(sizes))
    # Each row is in exactly one bucket of each column.
    np.testing.assert_array_equal(rows[:, numeric:].sum(axis=1), len(sizes))
    assert np.isfinite(rows).all()


def test_logistic_regression_keeps_the_strength_of_the_least_validation_loss() -> None:
    config = model("logistic").config_class.of({"strengths": [1e-6, 0.1, 1e-5]})
    table = toy_table(1500, "gbt_v1")
    spec = toy_spec(table.slice(0, 1000), "gbt_v1", config.inputs)
    first, rest = (
        Examples(spec.apply(part), OBJECTIVE.targets(part))
        for part in (table.slice(0, 1000), table.slice(1000))
    )
    found = ScikitModel(Blueprint(model("logistic"), config, spec, OBJECTIVE))
    curve = found.fit(first, rest)
    assert curve.best == 2
    losses = [epoch.validation["log_loss"] for epoch in curve.epochs]
    assert losses[1] == min(losses)
    assert log_loss_of(rest.targets, found.predict(rest.arrays)) == pytest.approx(losses[1])
    assert roc_auc(rest.targets, found.predict(rest.arrays)) > 0.8
