"""Rows to train on, drawn at random straight into arrays: what a benchmark of training needs, at any size."""

from collections.abc import Mapping, Sequence

import numpy as np

from feature_repo.define.column import EVENT_TIMESTAMP
from feature_repo.define.view import BEHAVIOUR
from feature_repo.domains.movies.features import POSTER
from training.inputs.kinds import (
    CONTEXT,
    REQUEST,
    BucketColumn,
    Bucketised,
    Categorical,
    Clock,
    MultiValued,
    Numeric,
    NumericColumn,
    ValueSequence,
)
from training.inputs.spec import Arrays, InputSpec

HISTORY, BAG, GENRES, BUCKETS = 5, 4, 20, 16
BEHAVIOUR_NUMBERS = {"user": 5, "item": 4}
POSTER_NUMBERS = {"user": 27, "item": 13}
"""As many as the services have."""


def plain_spec(users: int, movies: int) -> InputSpec:
    """What every peer's DIN can read: two ids, a history of movies, and numbers."""
    numbers = [_numeric(side, BEHAVIOUR, n) for side, n in BEHAVIOUR_NUMBERS.items()]
    return _spec([*_ids(), _history(), *numbers], users, movies)


def service_spec(users: int, movies: int, posters: bool) -> InputSpec:
    """The shapes of `din_v1`, with posters of `mmdin_v1`."""
    blocks = [(BEHAVIOUR, BEHAVIOUR_NUMBERS, BUCKETS)]
    if posters:
        blocks.append((POSTER, POSTER_NUMBERS, BUCKETS // 2))
    inputs = [*_ids()]
    for modality, sizes, buckets in blocks:
        for side, n in sizes.items():
            inputs += [_numeric(side, modality, n), _bucketised(side, modality, n, buckets)]
    inputs += [
        _history(),
        ValueSequence(
            name="recent_genres",
            side="user",
            column="",
            vocabulary="genre",
            length=HISTORY,
            separator="|",
            bag=BAG,
            padding="",
        ),
        _bag("user", 3),
        _bag("item", BAG),
        Clock(name=REQUEST, side=CONTEXT, column=EVENT_TIMESTAMP, since=(_bucket(BUCKETS),)),
        _numeric(CONTEXT, BEHAVIOUR, 1),
    ]
    return _spec(inputs, users, movies)


def click_spec(fields: Mapping[str, int], genres: int, most: int) -> InputSpec:
    """Fields of one value each, and one of several.

    Args:
        fields: how many values each has, by name.
        genres: how many genres there are.
        most: of one movie.
    """
    inputs = [
        Categorical(name=name, side="user", column=name, vocabulary=name, identity=name.endswith("_id"))
        for name in fields
    ]
    bag = MultiValued(
        name="genres", side="item", column="", vocabulary="genres", length=most, fixed=True, padding=""
    )
    words = {name: tuple(range(1, size + 1)) for name, size in {**fields, "genres": genres}.items()}
    return InputSpec(service="benchmark", inputs=(*inputs, bag), vocabularies=words, types={}, rows=1)


def draw(spec: InputSpec, rows: int, seed: int = 0) -> tuple[Arrays, np.ndarray]:
    """Random inputs in the types that `InputSpec.apply` gives, and labels that depend on the numbers.

    Args:
        spec: whose shapes.
        rows: how many.
        seed: of everything.

    Returns:
        The arrays, and bool (rows,).
    """
    random = np.random.default_rng(seed)
    arrays: Arrays = {}
    logit = np.zeros(rows, np.float32)
    for item in spec.inputs:
        shape = (rows, *item.shape)
        if item.kind == "numeric":
            arrays[item.name] = random.standard_normal(shape, dtype=np.float32)
            logit += arrays[item.name].mean(axis=1)
        elif item.kind in ("bucketised", "clock"):
            arrays[item.name] = random.integers(0, np.array(item.sizes), shape, dtype=np.uint8)  # type: ignore[union-attr]
        else:
            size = spec.size(item.vocabulary)  # type: ignore[union-attr]
            kind = np.uint8 if size <= 2**8 else np.uint16 if size <= 2**16 else np.int32
            ids = random.integers(1, size, shape, dtype=kind)
            if item.kind != "categorical":
                ids[random.random(shape) < 0.2] = 0
            arrays[item.name] = ids
    return arrays, random.random(rows, np.float32) < 1 / (1 + np.exp(-logit))


def _spec(inputs: Sequence[object], users: int, movies: int) -> InputSpec:
    held = {item.vocabulary for item in inputs if hasattr(item, "vocabulary")}
    vocabularies = {
        "user": tuple(range(1, users + 1)),
        "movie": tuple(range(1, movies + 1)),
        "genre": tuple(f"genre {i}" for i in range(GENRES)),
    }
    return InputSpec(
        service="benchmark",
        inputs=tuple(inputs),  # type: ignore[arg-type]
        vocabularies={name: values for name, values in vocabularies.items() if name in held},
        types={},
        rows=1,
    )


def _ids() -> list[Categorical]:
    return [
        Categorical(
            name=f"{name}_id", side=side, column=f"{name}_id", vocabulary=name, identity=True, padding=0
        )
        for side, name in (("user", "user"), ("item", "movie"))
    ]


def _bag(side: str, length: int) -> MultiValued:
    return MultiValued(
        name=f"{side}_genres",
        side=side,
        column="",
        vocabulary="genre",
        length=length,
        fixed=True,
        padding="",
    )


def _history() -> ValueSequence:
    return ValueSequence(
        name="recent_likes", side="user", column="", vocabulary="movie", length=HISTORY, padding=0
    )


def _numeric(side: str, modality: str, n: int) -> Numeric:
    column = NumericColumn(column="", fill=0.0, log=False, mean=0.0, std=1.0, known=1)
    return Numeric(
        name=f"{side}_{modality}_numeric",
        side=side,
        modality=modality,
        columns=(column,) * n,
        shrinkage=0.0,
        missing="mean",
    )


def _bucketised(side: str, modality: str, n: int, buckets: int) -> Bucketised:
    return Bucketised(
        name=f"{side}_{modality}_buckets", side=side, modality=modality, columns=(_bucket(buckets),) * n
    )


def _bucket(buckets: int) -> BucketColumn:
    return BucketColumn(column="", fill=None, edges=tuple(float(i) for i in range(buckets - 1)))
