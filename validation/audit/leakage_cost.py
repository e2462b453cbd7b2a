"""What the papers' protocol leaks, as ROC-AUC: each view's features as known at the label, and as they are
over the whole data.

The papers join each label to statistics of all events, the label's own and later ones included. Here both
kinds of features come from the same offline store, by the same join: honestly at the label's instant, and
leaking at the end of the data. Both are scored by the same gradient-boosted trees on the same split in time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureStore

from feature_repo.schema import (
    EVENT_TIMESTAMP,
    FEATURE_TABLES,
    GENRE_SEPARATOR,
    KNOWN_AFTER,
    LIKED_RATING,
    MOVIE_CONTENT,
    MOVIE_POSTER_COLOUR,
    PADDING_GENRE,
    Column,
    Table,
    Type,
)
from validation.audit.store import offline_rows

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
        return self.leaking - self.honest


def leak_costs(store: FeatureStore, labels: pa.Table, seed: int = 0) -> tuple[LeakCost, ...]:
    """The cost of each view whose features change with time, and of all views together.

    Args:
        labels: with `user_id`, `movie_id`, `event_timestamp` and `rating`, in the order of time.

    Returns:
        Nothing where the labels are too few, or of one kind only, to train and test on.
    """
    if labels.num_rows > LABELS:
        places = np.random.default_rng(seed).choice(labels.num_rows, LABELS, replace=False)
        labels = labels.take(pa.array(np.sort(places)))
    liked = pc.greater_equal(labels["rating"], LIKED_RATING).to_numpy().astype(bool)
    train = labels.num_rows - int(labels.num_rows * TEST_SHARE)
    if len(set(liked[:train])) < 2 or len(set(liked[train:])) < 2:
        return ()
    end = pc.max(labels[EVENT_TIMESTAMP]).as_py() + KNOWN_AFTER
    at_end = pa.repeat(pa.scalar(end, labels.schema.field(EVENT_TIMESTAMP).type), labels.num_rows)
    place = labels.column_names.index(EVENT_TIMESTAMP)
    honest = offline_rows(store, labels)
    leaking = offline_rows(store, labels.set_column(place, EVENT_TIMESTAMP, at_end))
    timeless = (MOVIE_CONTENT, MOVIE_POSTER_COLOUR)
    groups = {table.name: (table,) for table in FEATURE_TABLES if table not in timeless}

    def cost(name: str, tables: Sequence[Table]) -> LeakCost:
        aucs = (_auc(_inputs(rows, tables), liked, train, seed) for rows in (honest, leaking))
        return LeakCost(name, next(aucs), next(aucs), labels.num_rows)

    return tuple(cost(name, tables) for name, tables in (groups | {ALL: FEATURE_TABLES}).items())


def _auc(inputs: np.ndarray, liked: np.ndarray, train: int, seed: int) -> float:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    trees = HistGradientBoostingClassifier(max_iter=40, early_stopping=False, random_state=seed)
    trees.fit(inputs[:train], liked[:train])
    return float(roc_auc_score(liked[train:], trees.predict_proba(inputs[train:])[:, 1]))


def _inputs(rows: pa.Table, tables: Sequence[Table]) -> np.ndarray:
    """One number per label and feature; NaN where there is none."""
    columns = [_numbers(rows, column) for table in tables for column in table.feature_columns]
    return np.column_stack(columns)


def _numbers(rows: pa.Table, column: Column) -> np.ndarray:
    """A feature as numbers: of a list, how many of its entries are the label's movie, or have its genres."""
    values = rows[column.name]
    if column.type is Type.TIMESTAMP:
        values = values.cast(pa.int64())
    if column.type.is_number or column.type is Type.TIMESTAMP:
        return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=float)
    if column.vocabulary == "movie":
        told = zip(values.to_pylist(), rows["movie_id"].to_pylist(), strict=True)
        counts = [np.nan if ids is None else ids.count(movie) for ids, movie in told]
        return np.asarray(counts, dtype=float)
    of_movie = rows["movie_genres"].to_pylist()
    counts = [
        np.nan if entries is None else _shared(entries, genres or ())
        for entries, genres in zip(values.to_pylist(), of_movie, strict=True)
    ]
    return np.asarray(counts, dtype=float)


def _shared(entries: Sequence[str], genres: Sequence[str]) -> int:
    named = [genre for entry in entries for genre in entry.split(GENRE_SEPARATOR) if genre != PADDING_GENRE]
    return sum(genre in genres for genre in named)
