"""What the papers' protocol leaks, as ROC-AUC: each view's features as known at the label, and as they are
over the whole data.

The papers join each label to statistics of all events, the label's own and later ones included. Here both
kinds of features come from the same offline store, by the same join: honestly at the label's instant, and
leaking at the end of the data. Both are scored by the same gradient-boosted trees on the same split in time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureStore

from feature_repo.define import operation as op
from feature_repo.define.column import EVENT_TIMESTAMP, KNOWN_AFTER, PADDING, Column, Type
from feature_repo.define.domain import Domain
from feature_repo.define.role import Id, Vector
from feature_repo.define.task import Binary
from feature_repo.define.view import View
from validation.audit.reading import offline_rows

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LABELS = 100_000
"""More labels are sampled down to these."""
TEST_SHARE = 0.2
ALL = "all views"


@dataclass(frozen=True, slots=True)
class LeakCost:
    """What a view's statistics over the whole data pretend.

    Args:
        view: its name, or `ALL`.
        honest: ROC-AUC on the test labels, features as known at each label.
        leaking: the same with features of the whole data.
        labels: trained on and tested on.
    """

    view: str
    honest: float
    leaking: float
    labels: int

    @property
    def gain(self) -> float:
        """By how much the leak flatters."""
        return self.leaking - self.honest


def leak_costs(store: FeatureStore, domain: Domain, labels: pa.Table, seed: int = 0) -> tuple[LeakCost, ...]:
    """The cost of each view whose features change with time, and of all views together, where the domain's
    first task is to be learnt.

    Args:
        labels: from `reading.read_labels`.

    Returns:
        Nothing where that task is not binary, or the labels are too few, or of one kind only, to train and
        test on.
    """
    task = domain.tasks[0]
    if not isinstance(task, Binary):
        return ()
    labels = labels.filter(_is_label(task, labels[task.of]))
    if labels.num_rows > LABELS:
        places = np.random.default_rng(seed).choice(labels.num_rows, LABELS, replace=False)
        labels = labels.take(pa.array(np.sort(places)))
    positive = pc.greater_equal(labels[task.of], task.at_least).to_numpy().astype(bool)
    train = labels.num_rows - int(labels.num_rows * TEST_SHARE)
    if len(set(positive[:train])) < 2 or len(set(positive[train:])) < 2:
        return ()
    end = pc.max(labels[EVENT_TIMESTAMP]).as_py() + KNOWN_AFTER
    at_end = pa.repeat(pa.scalar(end, labels.schema.field(EVENT_TIMESTAMP).type), labels.num_rows)
    place = labels.column_names.index(EVENT_TIMESTAMP)
    honest = offline_rows(store, domain, labels)
    leaking = offline_rows(store, domain, labels.set_column(place, EVENT_TIMESTAMP, at_end))
    groups: dict[str, Sequence[View]] = {view.name: (view,) for view in domain.views if not view.is_timeless}

    def cost(name: str, views: Sequence[View]) -> LeakCost:
        aucs = (
            auc_by_trees(_inputs(rows, domain, views), positive, train, seed) for rows in (honest, leaking)
        )
        return LeakCost(name, next(aucs), next(aucs), labels.num_rows)

    return tuple(cost(name, views) for name, views in (groups | {ALL: domain.views}).items())


def _is_label(task: Binary, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whether each value makes a label: none between the two kinds does, and no missing one."""
    labelled = pc.greater_equal(values, task.at_least)
    if task.below is None:
        return pc.is_valid(values)
    return pc.fill_null(pc.or_(labelled, pc.less(values, task.below)), False)


def auc_by_trees(inputs: Floats, positive: Flags, train: int, seed: int) -> float:
    """The ROC-AUC of boosted trees, trained on the first `train` rows, on the others.

    Args:
        inputs: (n, numbers); NaN where there is no value.
        positive: (n,) the labels; both kinds are among the rows to train on, and among the others.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    # Trees learn nothing from a column without a value, and scikit-learn fails on it.
    inputs = inputs[:, ~np.isnan(inputs[:train]).all(axis=0)]
    if not inputs.shape[1]:
        return 0.5
    trees = HistGradientBoostingClassifier(max_iter=40, early_stopping=False, random_state=seed)
    trees.fit(inputs[:train], positive[:train])
    return float(roc_auc_score(positive[train:], trees.predict_proba(inputs[train:])[:, 1]))


# --- features as numbers ----------------------------------------------------------------------------------


def _inputs(rows: pa.Table, domain: Domain, views: Sequence[View]) -> Floats:
    """(n, numbers) what trees can split on; NaN where there is none.

    Args:
        rows: from `reading.offline_rows`.
    """
    columns = [column for view in views for column in view.columns]
    return np.column_stack([numbers for column in columns for numbers in _numbers(rows, domain, column)])


def _numbers(rows: pa.Table, domain: Domain, column: Column) -> list[Floats]:
    """A feature as numbers: of a list of ids or words, how many of its entries fit the label's item; of a
    word, its place among the words; of a vector, all its numbers."""
    values = rows[column.name]
    if isinstance(column.role, Vector):
        width = column.role.width
        return list(np.array([vector or [np.nan] * width for vector in values.to_pylist()], float).T)
    if column.type.is_list:
        separator = getattr(column.role, "separator", "")
        return [_fitting(values, _fits(rows, domain, column.vocabulary), separator)]
    if column.type is Type.STRING:
        place = pc.rank(values, sort_keys="ascending", tiebreaker="dense")
        values = pc.if_else(pc.is_valid(values), place.cast(pa.int64()), None)
    elif column.type is Type.TIMESTAMP:
        values = values.cast(pa.int64())
    return [np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=float)]


def _fits(rows: pa.Table, domain: Domain, vocabulary: str) -> list[Sequence[Any]]:
    """What fits the label's item, row by row: its id, or its facts of a vocabulary; none where it has no such
    fact."""
    for key in domain.keys:
        if isinstance(key.role, Id) and key.role.vocabulary == vocabulary:
            return [(value,) for value in rows[key.name].to_pylist()]
    for view in domain.views:
        for each in view.features:
            if isinstance(each, op.Fact) and view.side == "item" and each.column.vocabulary == vocabulary:
                told = rows[each.column.name].to_pylist()
                return [value or () if each.column.type.is_list else (value,) for value in told]
    return [()] * rows.num_rows


def _fitting(values: pa.ChunkedArray, fits: Sequence[Sequence[Any]], separator: str) -> Floats:
    """(n,) how many values of each list fit; NaN where there is no list.

    Args:
        separator: stands between the values that an element joins; "" where an element is one value.
    """
    counts = [
        np.nan
        if listed is None
        else sum(
            value in fit
            for element in listed
            for value in (element.split(separator) if separator else (element,))
            if value not in NONE
        )
        for listed, fit in zip(values.to_pylist(), fits, strict=True)
    ]
    return np.asarray(counts, dtype=float)


NONE = frozenset(PADDING.values())
"""What fills short lists."""
