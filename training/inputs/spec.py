"""From a feature service's columns to model inputs.

The one contract of every model: a dictionary of arrays in, one logit a row out. What the dictionary holds
follows from the service's columns as `feature_repo.schema` declares them; nothing is wired by hand:

| column | input |
|---|---|
| key (`user_id`, `movie_id`) | categorical id |
| number | standardised, in one block a side; and its quantile bucket, in another |
| list of values in a vocabulary | padded multi-valued ids |
| padded list of ids, or of joined genres | padded sequence |
| `event_timestamp` of the request | scene: hour and weekday |
| instant | scene: the days from it to the request, standardised and as a quantile bucket |

An `InputSpec` is fitted on training rows only and is plain data (JSON). Applying it is vectorised.

Ids: 0 is padding or "no row yet", 1 is any value unseen in training, real values start at 2.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from common.errors import MarqueeError
from feature_repo import schema
from training.settings import Settings

PADDING, UNSEEN, FIRST = 0, 1, 2
"""Indices of padding, of any value unseen in training, and of the first value seen."""
MISSING_BUCKET = 0
HOURS, WEEKDAYS = 24, 7
SCENE = "scene"
BEHAVIOUR, POSTER = "behaviour", "poster"
SPEC_VERSION = 1
DAY = 86_400e6
"""Microseconds."""

Arrays = dict[str, np.ndarray]


class InputConfig(Settings):
    """How columns become inputs.

    Args:
        numeric: give each number standardised (counts as log(1 + n)).
        bucketised: give each number's quantile bucket.
        buckets: quantile buckets of a behaviour number, one more for missing values.
        poster_buckets: the same of a poster number.
        shrinkage: pulls a standardised statistic of n events towards its training mean: z·n/(n+shrinkage).
        missing: what a standardised number reads where there is none: "mean" (0) or "nan" (for trees).
        min_count: a user or movie seen in fewer training rows counts as unseen.
        ids: give user and movie ids.
        lists: give multi-valued inputs and sequences.
        scene: give hour and weekday of the request, and the days since each instant of the service.
        most_genres: genres of one movie beyond this many are left out.
    """

    numeric: bool = True
    bucketised: bool = True
    buckets: int = Field(default=16, ge=2, le=254)
    poster_buckets: int = Field(default=8, ge=2, le=254)
    shrinkage: float = Field(default=0.0, ge=0)
    missing: Literal["mean", "nan"] = "mean"
    min_count: int = Field(default=1, ge=1)
    ids: bool = True
    lists: bool = True
    scene: bool = True
    most_genres: int = Field(default=8, ge=1)


class _Input(Settings):
    """What all inputs have: a name (the key in the dictionary), a side and a modality."""

    name: str
    side: str
    modality: str = BEHAVIOUR


class NumericColumn(Settings):
    """One standardised column: z = (f(x) - mean) / std with f(x) = log(1 + x) for a count or days, else x.

    Where `count` names the number n of events behind it: z · n / (n + shrinkage). Where `since`, the column
    holds an instant, and x is the days from it to the request.
    """

    column: str
    fill: float | None
    log: bool
    mean: float
    std: float
    count: str | None = None
    since: bool = False


class Numeric(_Input):
    """Standardised numbers of one side and modality, float32 (rows, columns)."""

    kind: Literal["numeric"] = "numeric"
    columns: tuple[NumericColumn, ...]
    shrinkage: float
    missing: Literal["mean", "nan"]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.columns),)


class BucketColumn(Settings):
    """One bucketised column: bucket 1 + (number of edges <= x); 0 where missing."""

    column: str
    fill: float | None
    edges: tuple[float, ...]

    @property
    def size(self) -> int:
        """Number of buckets, the one for missing values included."""
        return len(self.edges) + 2


class Bucketised(_Input):
    """Buckets of the numbers of one side and modality, uint8 (rows, columns)."""

    kind: Literal["bucketised"] = "bucketised"
    columns: tuple[BucketColumn, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.columns),)

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(column.size for column in self.columns)


class Categorical(_Input):
    """One id a row, (rows,)."""

    kind: Literal["categorical"] = "categorical"
    column: str
    vocabulary: str

    @property
    def shape(self) -> tuple[int, ...]:
        return ()


class MultiValued(_Input):
    """A bag of ids a row, padded, (rows, length). `fixed`: the column itself always has that length."""

    kind: Literal["multi_valued"] = "multi_valued"
    column: str
    vocabulary: str
    length: int
    fixed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)


class ValueSequence(_Input):
    """An ordered, padded list: of ids (rows, length), or of bags of ids (rows, length, bag), where each
    element of the column joins several values by `schema.GENRE_SEPARATOR`."""

    kind: Literal["sequence"] = "sequence"
    column: str
    vocabulary: str
    length: int
    bag: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length, self.bag) if self.bag else (self.length,)


class Scene(_Input):
    """Hour and weekday (Monday first) of the request, in UTC, from 1, and the bucket of the days since each
    instant, uint8 (rows, 2 + instants); 0 is unknown, as for a new user."""

    kind: Literal["scene"] = "scene"
    column: str = schema.EVENT_TIMESTAMP
    since: tuple[BucketColumn, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.sizes),)

    @property
    def sizes(self) -> tuple[int, ...]:
        return (HOURS + 1, WEEKDAYS + 1, *(instant.size for instant in self.since))


Input = Annotated[
    Numeric | Bucketised | Categorical | MultiValued | ValueSequence | Scene, Field(discriminator="kind")
]


class InputSpec(Settings):
    """How a table of features becomes a dictionary of arrays: plain data, fitted on training rows.

    Args:
        version: of this format.
        service: the feature service.
        inputs: in the order of the dictionary.
        vocabularies: the values seen in training, by vocabulary, ascending.
        types: the column types expected, by column, as in `schema.Type`.
        rows: training rows that it was fitted on.
    """

    version: int = SPEC_VERSION
    service: str
    inputs: tuple[Input, ...]
    vocabularies: dict[str, tuple[int, ...] | tuple[str, ...]]
    types: dict[str, str]
    rows: int

    @classmethod
    def fit(
        cls,
        table: pa.Table,
        service: str,
        config: InputConfig | None = None,
        views: Sequence[schema.Table] | None = None,
    ) -> "InputSpec":
        """Fit to the rows of `table`, which must be training rows only.

        Args:
            table: a service's features with keys and `event_timestamp`.
            service: its name in `schema.SERVICES`.
            config: how columns become inputs.
            views: the feature tables that the service joins; those of `schema.SERVICES` where None.

        Raises:
            MarqueeError: an unknown service, no rows, or a table of another shape than the service's.
        """
        config = config or InputConfig()
        if views is None:
            if service not in schema.SERVICES:
                raise MarqueeError(
                    f"There is no feature service '{service}': known are {', '.join(schema.SERVICES)}."
                )
            views = schema.SERVICES[service]
        if table.num_rows == 0:
            raise MarqueeError(f"There are no training rows to fit the inputs of {service} to.")
        return _fit(table, service, config, views)

    def __getitem__(self, name: str) -> Input:
        return next(item for item in self.inputs if item.name == name)

    def size(self, vocabulary: str) -> int:
        """Rows of an embedding table for a vocabulary: its values, padding and unseen."""
        return len(self.vocabularies[vocabulary]) + FIRST

    def select(self, kind: str, side: str | None = None, modality: str | None = None) -> list[Any]:
        """The inputs of one kind, and where given of one side and modality."""
        return [
            item
            for item in self.inputs
            if item.kind == kind and side in (None, item.side) and modality in (None, item.modality)
        ]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that `apply` reads."""
        return tuple(self.types)

    def check(self, table: pa.Table) -> None:
        """Refuse a table of another shape than the one that this was fitted to.

        Raises:
            MarqueeError: a missing column, another type, or a padded list of another length.
        """
        check_shape(table, self.types, self._lengths, self.service)

    @property
    def _lengths(self) -> dict[str, int]:
        sequences = {item.column: item.length for item in self.inputs if isinstance(item, ValueSequence)}
        bags = {
            item.column: item.length for item in self.inputs if isinstance(item, MultiValued) and item.fixed
        }
        return sequences | bags

    def apply(self, table: pa.Table) -> Arrays:
        """The inputs of each row, in order, as contiguous arrays.

        Ids come in the smallest integer type that holds them; a Keras model casts them.

        Args:
            table: with at least the columns `self.columns`; others are ignored.

        Raises:
            MarqueeError: as `check`.
        """
        self.check(table)
        values = {name: pa.array(words) for name, words in self.vocabularies.items()}
        arrays: Arrays = {}
        for item in self.inputs:
            match item:
                case Numeric():
                    arrays[item.name] = _numeric_block(item, table)
                case Bucketised():
                    block = np.empty((table.num_rows, len(item.columns)), dtype=np.uint8)
                    for i, bucket in enumerate(item.columns):
                        block[:, i] = bucketise(_numbers(table, bucket.column, bucket.fill), bucket.edges)
                    arrays[item.name] = block
                case Categorical():
                    arrays[item.name] = _ids(_flat(table[item.column]), values[item.vocabulary])
                case MultiValued():
                    arrays[item.name] = _padded(
                        _flat(table[item.column]), item.length, values[item.vocabulary]
                    )
                case ValueSequence():
                    column = _flat(table[item.column])
                    words = values[item.vocabulary]
                    if item.bag:
                        arrays[item.name] = _padded_bags(column, item.length, item.bag, words)
                    else:
                        arrays[item.name] = _padded(column, item.length, words)
                case Scene():
                    times = [_scene(table[item.column])]
                    times += [
                        bucketise(_days_since(table, instant.column, None), instant.edges)[:, None]
                        for instant in item.since
                    ]
                    arrays[item.name] = np.concatenate(times, axis=1)
        return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


# --- fitting --------------------------------------------------------------------------------------------


def _fit(table: pa.Table, service: str, config: InputConfig, views: Sequence[schema.Table]) -> InputSpec:
    keys = {view.key[0].name: view.key[0] for view in views}
    blocks: dict[tuple[str, str], list[tuple[schema.Column, schema.Table]]] = {}
    bags: list[tuple[schema.Column, str, str]] = []
    instants: list[schema.Column] = []
    for view in views:
        side = view.key[0].vocabulary
        modality = POSTER if view in schema.POSTER else BEHAVIOUR
        for column in view.columns:
            if column.type.is_number:
                blocks.setdefault((side, modality), []).append((column, view))
            elif column.type is schema.Type.TIMESTAMP:
                instants.append(column)
            elif column.type.is_list and column.vocabulary:
                bags.append((column, side, modality))
    read: dict[str, schema.Column] = {}
    if config.ids:
        read |= keys
    if config.numeric or config.bucketised:
        read |= {column.name: column for block in blocks.values() for column, _ in block}
    if config.lists:
        read |= {column.name: column for column, _, _ in bags}
    if config.scene:
        read[schema.EVENT_TIMESTAMP] = schema.EVENT
        read |= {column.name: column for column in instants}
    types = {name: column.type.value for name, column in read.items()}
    lengths = {name: column.length for name, column in read.items() if column.length is not None}
    check_shape(table, types, lengths, service)

    inputs: list[Any] = []
    if config.ids:
        inputs += [
            Categorical(
                name=column.name, side=column.vocabulary, column=column.name, vocabulary=column.vocabulary
            )
            for column in keys.values()
        ]
    for (side, modality), block in blocks.items():
        if config.numeric:
            inputs.append(_fit_numeric(table, side, modality, block, config))
        if config.bucketised:
            buckets = config.poster_buckets if modality == POSTER else config.buckets
            inputs.append(
                Bucketised(
                    name=f"{side}_{modality}_buckets",
                    side=side,
                    modality=modality,
                    columns=tuple(
                        BucketColumn(
                            column=column.name,
                            fill=_fill(column),
                            edges=quantile_edges(_numbers(table, column.name, _fill(column)), buckets),
                        )
                        for column, _ in block
                    ),
                )
            )
    for column, side, modality in bags if config.lists else ():
        inputs.append(_fit_list(table, column, side, modality, config))
    if config.scene:
        inputs += _fit_scene(table, instants, config)
    counts = VocabularyCounts(_vocabulary_columns(views, config), config)
    counts.add(table)
    return InputSpec(
        service=service,
        inputs=tuple(inputs),
        vocabularies=counts.vocabularies(),
        types=types,
        rows=table.num_rows,
    )


def _fill(column: schema.Column) -> float | None:
    return None if column.fill is None else float(column.fill)


def _is_count(column: schema.Column) -> bool:
    return column.name.endswith("_count")


def _fit_numeric(
    table: pa.Table,
    side: str,
    modality: str,
    block: Sequence[tuple[schema.Column, schema.Table]],
    config: InputConfig,
) -> Numeric:
    columns = []
    for column, view in block:
        fill = _fill(column)
        x = _numbers(table, column.name, fill)
        log = _is_count(column)
        mean, std = _moments(np.log1p(x) if log else x)
        count = next((c.name for c in view.columns if _is_count(c)), None)
        columns.append(
            NumericColumn(
                column=column.name,
                fill=fill,
                log=log,
                mean=mean,
                std=std,
                count=None if log or not config.shrinkage else count,
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


def _fit_scene(
    table: pa.Table, instants: Sequence[schema.Column], config: InputConfig
) -> list[Scene | Numeric]:
    """Hour, weekday and the days since each instant: 0 days, and a bucket of its own, where there is none."""
    numbers, buckets = [], []
    fill = 0.0 if config.missing == "mean" else None
    for column in instants:
        edges = quantile_edges(_days_since(table, column.name, None), config.buckets)
        buckets.append(BucketColumn(column=column.name, fill=None, edges=edges))
        mean, std = _moments(np.log1p(_days_since(table, column.name, fill)))
        numbers.append(NumericColumn(column=column.name, fill=fill, log=True, mean=mean, std=std, since=True))
    found: list[Scene | Numeric] = [Scene(name=SCENE, side=SCENE, modality=SCENE, since=tuple(buckets))]
    if config.numeric and numbers:
        found.append(
            Numeric(
                name=f"{SCENE}_numeric",
                side=SCENE,
                modality=SCENE,
                columns=tuple(numbers),
                shrinkage=0.0,
                missing=config.missing,
            )
        )
    return found


def _moments(x: np.ndarray) -> tuple[float, float]:
    """Mean and deviation of the known values, for standardising: a deviation of nothing counts as 1."""
    known = x[~np.isnan(x)]
    mean = float(known.mean()) if len(known) else 0.0
    std = float(known.std()) if len(known) else 0.0
    return mean, std if std > 1e-12 else 1.0


def _fit_list(
    table: pa.Table,
    column: schema.Column,
    side: str,
    modality: str,
    config: InputConfig,
) -> MultiValued | ValueSequence:
    values = _flat(table[column.name])
    if column.type is schema.Type.INT64_LIST:
        return ValueSequence(
            name=column.name,
            side=side,
            modality=modality,
            column=column.name,
            vocabulary=column.vocabulary,
            length=_length(column, values),
        )
    words = _elements(values)
    joined = pc.any(pc.match_substring(words, schema.GENRE_SEPARATOR)).as_py() if len(words) else False
    if joined or _joins(column):
        parts = pc.list_value_length(pc.split_pattern(words.unique(), schema.GENRE_SEPARATOR))
        most = pc.max(parts).as_py() or 1
        return ValueSequence(
            name=column.name,
            side=side,
            modality=modality,
            column=column.name,
            vocabulary=column.vocabulary,
            length=_length(column, values),
            bag=min(int(most), config.most_genres),
        )
    length = _length(column, values)
    return MultiValued(
        name=column.name,
        side=side,
        modality=modality,
        column=column.name,
        vocabulary=column.vocabulary,
        length=length if column.length else min(length, config.most_genres),
        fixed=column.length is not None,
    )


def _joins(column: schema.Column) -> bool:
    """Whether each element stands for one movie and joins that movie's values."""
    return column.length == schema.RECENT_LIKES and column.type is schema.Type.STRING_LIST


def _length(column: schema.Column, values: pa.Array) -> int:
    if column.length is not None:
        return column.length
    return max(1, pc.max(pc.list_value_length(values)).as_py() or 1)


class VocabularyCounts:
    """How often each value of a service's vocabularies occurs, over any number of tables.

    Args:
        columns: those that share each vocabulary.
        config: how columns become inputs.
    """

    def __init__(self, columns: Mapping[str, Sequence[schema.Column]], config: InputConfig) -> None:
        self.columns = columns
        self.config = config
        self.counts: dict[str, Counter[int | str]] = {vocabulary: Counter() for vocabulary in columns}

    @classmethod
    def of_service(cls, service: str, config: InputConfig) -> "VocabularyCounts":
        """Those of a service in `schema.SERVICES`."""
        return cls(_vocabulary_columns(schema.SERVICES[service], config), config)

    def add(self, table: pa.Table) -> None:
        """Count the values of a table: of the key where there is one, else of all lists."""
        for vocabulary, columns in self.columns.items():
            scalars = [column for column in columns if not column.type.is_list]
            for column in scalars or columns:
                values = _flat(table[column.name])
                elements = _elements(values) if column.type.is_list else values.drop_null()
                if _is_text(elements.type):
                    parts = pc.split_pattern(elements.unique(), schema.GENRE_SEPARATOR)
                    elements = pc.list_flatten(parts).cast(pa.string())
                counted = elements.value_counts()
                names, numbers = (counted.field(place).to_pylist() for place in (0, 1))
                self.counts[vocabulary].update(dict(zip(names, numbers, strict=True)))

    def vocabularies(self) -> dict[str, tuple[int, ...] | tuple[str, ...]]:
        """The values seen, ascending, without padding and rare ids."""
        padding = {schema.PADDING_ID, schema.PADDING_GENRE}
        found: dict[str, Any] = {}
        for vocabulary, counts in self.counts.items():
            is_id = any(not column.type.is_list for column in self.columns[vocabulary])
            least = self.config.min_count if is_id else 1
            found[vocabulary] = tuple(
                sorted(value for value, n in counts.items() if n >= least and value not in padding)
            )
        return found


def _vocabulary_columns(views: Sequence[schema.Table], config: InputConfig) -> dict[str, list[schema.Column]]:
    """The columns that become ids, by vocabulary: keys first, then lists."""
    keys = {view.key[0].name: view.key[0] for view in views} if config.ids else {}
    lists = [
        column
        for view in views
        for column in view.columns
        if config.lists and column.type.is_list and column.vocabulary
    ]
    found: dict[str, list[schema.Column]] = {}
    for column in (*keys.values(), *lists):
        found.setdefault(column.vocabulary, []).append(column)
    return found


def quantile_edges(x: np.ndarray, buckets: int) -> tuple[float, ...]:
    """The inner edges of `buckets` quantile buckets of the known values, equal ones merged.

    Args:
        x: float64, NaN where missing.
        buckets: the most buckets.
    """
    known = x[~np.isnan(x)]
    if not len(known):
        return ()
    edges = np.unique(np.quantile(known, np.arange(1, buckets) / buckets))
    return tuple(float(edge) for edge in edges if edge > known.min())


def bucketise(x: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """1 + (number of edges <= x), and `MISSING_BUCKET` for NaN, as uint8.

    Args:
        x: float64 (rows,).
        edges: ascending.
    """
    buckets = np.searchsorted(np.asarray(edges, dtype=np.float64), x, side="right") + 1
    buckets[np.isnan(x)] = MISSING_BUCKET
    return buckets.astype(np.uint8)


# --- applying -------------------------------------------------------------------------------------------


def check_shape(table: pa.Table, types: Mapping[str, str], lengths: Mapping[str, int], service: str) -> None:
    """Refuse a table that lacks a column, or has one of another type or another fixed length.

    Args:
        table: features.
        types: the expected type of each column, as in `schema.Type`.
        lengths: the length that each list of a column must have.
        service: for the sentence.

    Raises:
        MarqueeError: names the column, what it is and what it should be.
    """
    missing = [name for name in types if name not in table.column_names]
    if missing:
        raise MarqueeError(
            f"The table lacks {len(missing)} of the {len(types)} columns that {service} "
            f"needs ({', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}): join its features."
        )
    for name, expected in types.items():
        found = table.schema.field(name).type
        if not _fits(found, schema.Type(expected)):
            raise MarqueeError(
                f"Column {name} is {found}, but {service} needs {expected}: "
                "give the features that the model was trained on."
            )
    for name, length in lengths.items():
        sizes = pc.min_max(pc.list_value_length(_flat(table[name]))).as_py()
        if sizes["min"] is not None and (sizes["min"], sizes["max"]) != (length, length):
            wrong = sizes["max"] if sizes["max"] != length else sizes["min"]
            raise MarqueeError(
                f"Column {name} has a list of {wrong} elements where {service} needs {length}: "
                "give the features that the model was trained on."
            )


def _fits(found: pa.DataType, expected: schema.Type) -> bool:
    if pa.types.is_null(found):
        return True
    if expected.is_list:
        if not (
            pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found)
        ):
            return False
        inner = found.value_type
        return pa.types.is_null(inner) or (
            pa.types.is_integer(inner) if expected is schema.Type.INT64_LIST else _is_text(inner)
        )
    match expected:
        case schema.Type.INT64:
            return bool(pa.types.is_integer(found))
        case schema.Type.FLOAT64:
            return bool(pa.types.is_floating(found) or pa.types.is_integer(found))
        case schema.Type.TIMESTAMP:
            return bool(pa.types.is_timestamp(found))
        case _:
            return _is_text(found)


def _is_list(found: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found)
    )


def _is_text(found: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found)
    )


def _flat(column: pa.ChunkedArray) -> pa.Array:
    """One array of the types that the rest counts on: list and string, never their large or view kin."""
    kind = column.type
    if _is_list(kind):
        inner = pa.string() if _is_text(kind.value_type) else kind.value_type
        column = column.cast(pa.list_(inner))
    elif _is_text(kind):
        column = column.cast(pa.string())
    return column.combine_chunks()


def _elements(values: pa.Array) -> pa.Array:
    """All elements of all lists that are there."""
    return pa.array([], pa.string()) if pa.types.is_null(values.type) else pc.list_flatten(values)


def _numbers(table: pa.Table, name: str, fill: float | None) -> np.ndarray:
    """A column as float64, missing values filled, or NaN where there is no fill."""
    column = table[name].cast(pa.float64())
    x: np.ndarray = column.to_numpy()
    if column.null_count or fill is not None:
        x = np.where(np.isnan(x), np.nan if fill is None else fill, x)
    return x


def _days_since(table: pa.Table, name: str, fill: float | None) -> np.ndarray:
    """Days from an instant to the request, at least 0, as `_numbers`."""
    then, now = (_microseconds(table[column]) for column in (name, schema.EVENT_TIMESTAMP))
    x: np.ndarray = np.maximum(pc.subtract(now, then).cast(pa.float64()).to_numpy() / DAY, 0)
    return x if fill is None else np.nan_to_num(x, nan=fill)


def _microseconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Instants as microseconds since 1970; naive ones are UTC."""
    zone = None if pa.types.is_null(column.type) else column.type.tz
    return column.cast(pa.timestamp("us", zone)).cast(pa.int64())


def _numeric_block(item: Numeric, table: pa.Table) -> np.ndarray:
    block = np.empty((table.num_rows, len(item.columns)), dtype=np.float32)
    for i, column in enumerate(item.columns):
        read = _days_since if column.since else _numbers
        x = read(table, column.column, column.fill)
        z = ((np.log1p(x) if column.log else x) - column.mean) / column.std
        if column.count is not None:
            n = _numbers(table, column.count, 0.0)
            z = z * (n / (n + item.shrinkage))
        if item.missing == "mean":
            z = np.nan_to_num(z, nan=0.0)
        block[:, i] = z
    return block


def _integer_type(size: int) -> type[np.unsignedinteger[Any]] | type[np.int32]:
    """The smallest type whose values an embedding table of `size` rows can be asked for."""
    return np.uint8 if size <= 2**8 else np.uint16 if size <= 2**16 else np.int32


def _ids(values: pa.Array, vocabulary: pa.Array) -> np.ndarray:
    """Index of each value: padding where null or the padding value, unseen where not in the vocabulary."""
    kind = _integer_type(len(vocabulary) + FIRST)
    if pa.types.is_null(values.type):
        return np.full(len(values), PADDING, dtype=kind)
    padding = schema.PADDING_GENRE if pa.types.is_string(values.type) else schema.PADDING_ID
    vocabulary = vocabulary.cast(values.type)
    index = pc.index_in(values, value_set=vocabulary).fill_null(UNSEEN - FIRST).to_numpy() + FIRST
    absent = pc.fill_null(pc.equal(values, pa.scalar(padding, values.type)), True)
    index[absent.to_numpy(zero_copy_only=False)] = PADDING
    ids: np.ndarray = index.astype(kind)
    return ids


def _positions(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Row, and place within its list, of each element of `_elements(values)`."""
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy().astype(np.int64)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return rows, np.arange(len(rows)) - starts


def _padded(values: pa.Array, length: int, vocabulary: pa.Array) -> np.ndarray:
    """Ids of each list's first `length` elements, (rows, length)."""
    ids = np.full((len(values), length), PADDING, dtype=_integer_type(len(vocabulary) + FIRST))
    if pa.types.is_null(values.type):
        return ids
    rows, places = _positions(values)
    inside = places < length
    ids[rows[inside], places[inside]] = _ids(_elements(values), vocabulary)[inside]
    return ids


def _padded_bags(values: pa.Array, length: int, bag: int, vocabulary: pa.Array) -> np.ndarray:
    """Ids of the values joined in each element, (rows, length, bag).

    Few distinct joins occur (a movie's genres), so each is taken apart once.
    """
    ids = np.full((len(values), length, bag), PADDING, dtype=_integer_type(len(vocabulary) + FIRST))
    if pa.types.is_null(values.type):
        return ids
    joined = _elements(values).dictionary_encode()
    parts = pc.split_pattern(joined.dictionary, schema.GENRE_SEPARATOR)
    table = _padded(parts, bag, vocabulary)
    rows, places = _positions(values)
    codes = joined.indices.to_numpy(zero_copy_only=False)
    if joined.null_count:
        table = np.concatenate([table, np.full((1, bag), PADDING, dtype=table.dtype)])
        codes = np.where(np.isnan(codes), len(table) - 1, codes).astype(np.int64)
    ids[rows, places] = table[codes]
    return ids


def _scene(column: pa.ChunkedArray) -> np.ndarray:
    times = column.cast(pa.timestamp("us", "UTC")) if column.type.tz else column.cast(pa.timestamp("us"))
    known = pc.is_valid(times).to_numpy()
    hour = pc.fill_null(pc.hour(times), 0).to_numpy() + 1
    weekday = pc.fill_null(pc.day_of_week(times), 0).to_numpy() + 1
    scene: np.ndarray = (np.stack([hour, weekday], axis=1) * known[:, None]).astype(np.uint8)
    return scene
