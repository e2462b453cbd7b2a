"""Fitting inputs to training rows: which columns they read, their moments, edges and lengths."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.errors import MarqueeError
from feature_repo.define import role
from feature_repo.define.check import check_fields, check_view, check_vocabularies
from feature_repo.define.column import EVENT, EVENT_TIMESTAMP, Column
from feature_repo.define.fields import Block
from feature_repo.define.view import BEHAVIOUR, View
from training.inputs.columns import NO_NUMBER, check_shape, days_since, logarithms, numbers, read, scaled
from training.inputs.config import InputConfig
from training.inputs.kinds import (
    CONTEXT,
    REQUEST,
    BucketColumn,
    Bucketised,
    Categorical,
    Clock,
    Input,
    MultiValued,
    Numeric,
    NumericColumn,
    ValueSequence,
    Vector,
)
from training.inputs.vocabulary import logarithmic_vocabulary, padding_of, separator_of


@dataclass(frozen=True, slots=True)
class Feature:
    """A column that is read, and what its view says of it."""

    column: Column
    side: str
    modality: str
    count: str | None


@dataclass(slots=True)
class Features:
    """The columns that a configuration reads, by what becomes of them, as the views have them.

    Args:
        categories: ids and categories, keys first.
        logarithms: numbers whose squared logarithms are read as categories.
        numbers: counts and numbers, by side and modality.
        lists: bags and sequences.
        vectors: vectors.
        instants: instants.
        context: whether the instant of the request is read.
    """

    categories: list[Feature] = field(default_factory=list)
    logarithms: list[Feature] = field(default_factory=list)
    numbers: dict[tuple[str, str], list[Feature]] = field(default_factory=dict)
    lists: list[Feature] = field(default_factory=list)
    vectors: list[Feature] = field(default_factory=list)
    instants: list[Feature] = field(default_factory=list)
    context: bool = False

    @property
    def columns(self) -> list[Column]:
        """Every column that is read."""
        blocks = [feature for block in self.numbers.values() for feature in block]
        found = [*self.categories, *self.logarithms, *blocks, *self.lists, *self.vectors]
        request = [EVENT] if self.context else []
        named = [feature.column for feature in found] + request + [f.column for f in self.instants]
        return list(dict.fromkeys(named))


def features_of(views: Sequence[Block], config: InputConfig) -> Features:
    """Sort the columns of views by their roles.

    Raises:
        MarqueeError: a declaration contradicts itself, or no input reads a column.
    """
    for view in views:
        if isinstance(view, View):
            check_view(view)
        else:
            check_fields(view.name, [view])
    keys = dict.fromkeys(key for view in views for key in view.keys)
    check_vocabularies(chain(keys, *(view.columns for view in views)))
    # Features are joined by keys, at the instant of a request; a log has neither.
    found = Features(context=config.context and bool(keys))
    if config.ids:
        found.categories += [Feature(key, key.side, BEHAVIOUR, None) for key in keys]
    for view in views:
        count = next((c.name for c in view.columns if isinstance(c.role, role.Count)), None)
        for column in view.columns:
            feature = Feature(column, view.side, view.modality, count)
            switched_on, kin = _place(column.role, config, found, (view.side, view.modality))
            if switched_on:
                kin.append(feature)
            if config.logarithmic and isinstance(column.role, role.Number | role.Count):
                found.logarithms.append(feature)
    return found


def _place(
    what: role.Role | None, config: InputConfig, features: Features, block: tuple[str, str]
) -> tuple[bool, list[Feature]]:
    """Whether columns of a role are read, and where they belong."""
    match what:
        case role.Id():
            return config.ids, features.categories
        case role.Category():
            return config.categories, features.categories
        case role.Number() | role.Count():
            read_at_all = config.numeric or config.bucketised
            return read_at_all, features.numbers.setdefault(block, []) if read_at_all else []
        case role.Bag() | role.Sequence():
            return config.lists, features.lists
        case role.Vector():
            return config.vectors, features.vectors
        case role.Instant():
            return config.context, features.instants
        case role.Unread():
            return False, []
    raise MarqueeError(f"No input reads a column of role {what}.")


def inputs_of(
    table: pa.Table, service: str, views: Sequence[Block], config: InputConfig
) -> tuple[list[Input], list[Column]]:
    """The inputs of a service, fitted to training rows, and the columns that they read.

    Raises:
        MarqueeError: as `features_of`; the table is of another shape than declared; or two inputs would have
            one name.
    """
    features = features_of(views, config)
    columns = features.columns
    lengths = {column.name: length for column in columns if (length := length_of(column)) is not None}
    check_shape(table, {column.name: column.type for column in columns}, lengths, service)
    inputs: list[Input] = [_categorical(feature) for feature in features.categories]
    inputs += [_logarithmic(feature) for feature in features.logarithms]
    for (side, modality), block in features.numbers.items():
        if config.numeric:
            inputs.append(_numeric(table, side, modality, block, config))
        if config.bucketised:
            inputs.append(_bucketised(table, side, modality, block, config))
    inputs += [_list(table, feature, config) for feature in features.lists]
    inputs += [_vector(feature) for feature in features.vectors]
    if features.context:
        inputs += _request(table, features.instants, config)
    names = [item.name for item in inputs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise MarqueeError(f"Two inputs of {service} would be named {twice[0]}: rename the column.")
    return inputs, columns


def length_of(column: Column) -> int | None:
    """The length that each list of a column has; None where it has none, or any."""
    return column.role.width if isinstance(column.role, role.Vector) else column.length


def _categorical(feature: Feature) -> Categorical:
    column = feature.column
    return Categorical(
        name=column.name,
        side=feature.side,
        modality=feature.modality,
        column=column.name,
        vocabulary=column.vocabulary,
        identity=isinstance(column.role, role.Id),
        fill=column.fill,  # type: ignore[arg-type]  # a number with a fraction fills no category
        padding=padding_of(column),
    )


def _logarithmic(feature: Feature) -> Categorical:
    column = feature.column
    return Categorical(
        name=logarithmic_vocabulary(column),
        side=feature.side,
        modality=feature.modality,
        column=column.name,
        vocabulary=logarithmic_vocabulary(column),
        identity=False,
        fill=NO_NUMBER,
        logarithmic=True,
    )


def _fill(column: Column) -> float | None:
    return None if column.fill is None else float(column.fill)


def _numeric(
    table: pa.Table, side: str, modality: str, block: Sequence[Feature], config: InputConfig
) -> Numeric:
    columns = []
    for feature in block:
        column, fill = feature.column, _fill(feature.column)
        log = isinstance(column.role, role.Count)
        heavy = isinstance(column.role, role.Number) and column.role.heavy
        x = numbers(table, column.name, fill)
        mean, std, known = moments(scaled(x, log, heavy))
        columns.append(
            NumericColumn(
                column=column.name,
                fill=fill,
                log=log,
                heavy=heavy,
                mean=mean,
                std=std,
                known=known,
                count=None if log or not config.shrinkage else feature.count,
            )
        )
    return Numeric(
        name=f"{side}_{modality}_numeric",
        side=side,
        modality=modality,
        columns=tuple(columns),
        shrinkage=config.shrinkage,
        missing=config.missing,
    )


def _bucketised(
    table: pa.Table, side: str, modality: str, block: Sequence[Feature], config: InputConfig
) -> Bucketised:
    buckets = config.buckets if modality == BEHAVIOUR else config.modality_buckets
    columns = []
    for feature in block:
        name, fill = feature.column.name, _fill(feature.column)
        columns.append(
            BucketColumn(column=name, fill=fill, edges=_edges(numbers(table, name, fill), buckets))
        )
    return Bucketised(name=f"{side}_{modality}_buckets", side=side, modality=modality, columns=tuple(columns))


def _list(table: pa.Table, feature: Feature, config: InputConfig) -> MultiValued | ValueSequence:
    column = feature.column
    values = read(table, column.name, column.type)
    shared: dict[str, Any] = {
        "name": column.name,
        "side": feature.side,
        "modality": feature.modality,
        "column": column.name,
        "vocabulary": column.vocabulary,
        "padding": padding_of(column),
    }
    if isinstance(column.role, role.Sequence):
        separator, bag = separator_of(column), 0
        if separator:
            parts = pc.list_value_length(pc.split_pattern(values.flatten().unique(), separator))
            bag = min(pc.max(parts).as_py() or 1, config.most_values)
        assert column.length is not None
        return ValueSequence(**shared, length=column.length, separator=separator, bag=bag)
    longest = max(1, pc.max(pc.list_value_length(values)).as_py() or 1)
    length = column.length or min(longest, config.most_values)
    return MultiValued(**shared, length=length, fixed=column.length is not None)


def _vector(feature: Feature) -> Vector:
    column = feature.column
    assert isinstance(column.role, role.Vector)
    return Vector(
        name=column.name,
        side=feature.side,
        modality=feature.modality,
        column=column.name,
        width=column.role.width,
    )


def _request(table: pa.Table, instants: Sequence[Feature], config: InputConfig) -> list[Clock | Numeric]:
    """Hour, weekday and the days since each instant: 0 days, and a bucket of its own, where there is none."""
    columns, buckets = [], []
    fill = 0.0 if config.missing == "mean" else None
    for feature in instants:
        name = feature.column.name
        edges = _edges(days_since(table, name, None), config.buckets)
        buckets.append(BucketColumn(column=name, fill=None, edges=edges))
        mean, std, known = moments(logarithms(days_since(table, name, fill)))
        columns.append(
            NumericColumn(column=name, fill=fill, log=True, mean=mean, std=std, known=known, since=True)
        )
    found: list[Clock | Numeric] = [
        Clock(name=REQUEST, side=CONTEXT, column=EVENT_TIMESTAMP, since=tuple(buckets))
    ]
    if config.numeric and columns:
        found.append(
            Numeric(
                name=f"{REQUEST}_numeric",
                side=CONTEXT,
                columns=tuple(columns),
                shrinkage=0.0,
                missing=config.missing,
            )
        )
    return found


def moments(x: np.ndarray) -> tuple[float, float, int]:
    """Mean and deviation of the known values, and how many there are; 0 where nothing differs.

    Args:
        x: float64 (rows,), NaN where unknown.
    """
    known = x[~np.isnan(x)]
    if not len(known):
        return 0.0, 0.0, 0
    std = float(known.std()) if known.min() < known.max() else 0.0
    return float(known.mean()), std if std > 1e-12 else 0.0, len(known)


def _edges(x: np.ndarray, buckets: int) -> tuple[float, ...] | None:
    """As `quantile_edges`; None where nothing is known."""
    return None if np.isnan(x).all() else quantile_edges(x, buckets)


def quantile_edges(x: np.ndarray, buckets: int) -> tuple[float, ...]:
    """The inner edges of `buckets` quantile buckets of the known values, equal ones merged.

    Args:
        x: float64 (rows,), NaN where unknown.
        buckets: the most buckets.
    """
    known = x[~np.isnan(x)]
    if not len(known):
        return ()
    edges = np.unique(np.quantile(known, np.arange(1, buckets) / buckets))
    return tuple(float(edge) for edge in edges if edge > known.min())
