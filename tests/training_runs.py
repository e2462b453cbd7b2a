"""Trainings on toy tables and toy homes, in as few words as a test should need."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from feast import FeatureStore

from feature_repo.define.task import Binary, Task
from feature_repo.domains.movies import DOMAIN
from tests.toy_features import toy_table
from training.data.prepared import Prepared, prepare
from training.data.service import service_of
from training.fit.train import Result, train_on
from training.recipe import Recipe, recipe_of

LIKED = DOMAIN.tasks[0]
assert isinstance(LIKED, Binary)
ALIKE = {"fm", "afm", "nfm", "wide_deep", "deep_crossing", "dcn", "dcn_v2", "pnn", "autoint"}
"""Networks on fields: one estimator and one way to read, with other layers. `deepfm` and `iarm` stand for all
where a test would only repeat itself; that each is its paper's equation, see test_click_models."""
SERVICES = {name: service_of(DOMAIN, name) for name in DOMAIN.services}


def liked_from(stars: float) -> Binary:
    """The task with another threshold."""
    assert isinstance(LIKED, Binary)
    return replace(LIKED, at_least=stars)


def recipe(model: str, **options: Any) -> Recipe:
    """A recipe of the movies."""
    return recipe_of(DOMAIN, model, **options)


def prepared(
    service: str = "gbt_v1",
    rows: int = 400,
    table: pa.Table | None = None,
    protocol: str = "honest",
    task: Task = LIKED,
) -> Prepared:
    """Rows of a toy table, as if they had been joined."""
    table = toy_table(rows, service) if table is None else table
    return Prepared(table, DOMAIN, service_of(DOMAIN, service), task, protocol, {}, table.num_rows)


def train(
    store: FeatureStore, lake: Path, model: str, out: Path, truth: Path | None = None, **options: Any
) -> Result:
    """Join what a recipe asks for, and train it."""
    made = recipe(model, **options)
    return train_on(prepare(store, lake, DOMAIN, made), made, out, truth=truth)
