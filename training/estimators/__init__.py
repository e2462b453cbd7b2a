"""Estimators: one interface to models of any library, see `training.estimators.estimator`."""

from importlib import import_module
from typing import Any

from training.estimators.estimator import Blueprint, Estimator, Examples
from training.models import Entry

ESTIMATORS = {
    "keras": ("training.estimators.network", "Network"),
    "sklearn": ("training.estimators.scikit", "ScikitModel"),
}
"""The estimator of each kind of model; its library is imported when it is first needed."""


def estimator_of(blueprint: Blueprint) -> Estimator:
    """An estimator that knows nothing yet."""
    return _class_of(blueprint.entry)(blueprint)  # type: ignore[no-any-return]


def streams(entry: Entry) -> bool:
    """Whether a model can be trained on rows that stay on disk."""
    return bool(_class_of(entry).streams)


def _class_of(entry: Entry) -> Any:
    module, name = ESTIMATORS[entry.kind]
    return getattr(import_module(module), name)


__all__ = ["Blueprint", "Estimator", "Examples", "estimator_of", "streams"]
