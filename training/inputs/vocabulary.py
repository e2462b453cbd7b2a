"""Vocabularies: which values were seen in training, and the ids that values get by them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.define import role
from feature_repo.define.column import PADDING, Column, Type
from feature_repo.define.fields import Block
from training.inputs.columns import numbers, positions, read, squared_logarithms
from training.inputs.config import InputConfig
from training.inputs.kinds import FIRST_ID, PADDING_ID, UNSEEN_ID

WORD, OCCURS = "word", "occurs"
MOST_APART = 4_000_000
"""Counts that wait to be added to those of earlier tables."""

Words = tuple[int, ...] | tuple[str, ...]


def padding_of(column: Column) -> int | str | None:
    """The value of a column that means "none"; None where every value is one, as in a category of numbers."""
    if isinstance(column.role, role.Category) and column.type is Type.INT64:
        return None
    return PADDING[column.type]


def separator_of(column: Column) -> str:
    """What joins several values in one element; "" where an element is one value."""
    return column.role.separator if isinstance(column.role, role.Sequence) else ""


def vocabulary_columns(views: Sequence[Block], config: InputConfig) -> dict[str, list[Column]]:
    """The columns that become ids, by vocabulary: keys first, then features as the views have them."""
    on: dict[type[Any], bool] = {
        role.Id: config.ids,
        role.Category: config.categories,
        role.Bag: config.lists,
        role.Sequence: config.lists,
    }
    keys = dict.fromkeys(key for view in views for key in view.keys)
    found: dict[str, list[Column]] = {}
    for column in (*keys, *(column for view in views for column in view.columns)):
        if on.get(type(column.role), False):
            found.setdefault(column.vocabulary, []).append(column)
    return found


def logarithmic_columns(views: Sequence[Block], config: InputConfig) -> dict[str, Column]:
    """The numbers whose squared logarithms become ids, by vocabulary."""
    numeric = (
        column
        for view in views
        for column in view.columns
        if config.logarithmic and isinstance(column.role, role.Number | role.Count)
    )
    return {logarithmic_vocabulary(column): column for column in numeric}


def logarithmic_vocabulary(column: Column) -> str:
    """The name of the vocabulary that a number's squared logarithms have."""
    return f"{column.name}_logarithm"


class VocabularyCounts:
    """How often each value of some vocabularies occurs, over any number of tables.

    A vocabulary of ids counts the ids alone: a history is read in terms of the candidates that were seen. Any
    other counts all of its columns.

    Args:
        views: whose columns.
        config: how columns become inputs.
    """

    def __init__(self, views: Sequence[Block], config: InputConfig) -> None:
        self.least: dict[str, int] = {}
        self.columns: dict[str, list[Column]] = {}
        self.logarithms = logarithmic_columns(views, config)
        for vocabulary, columns in vocabulary_columns(views, config).items():
            ids = [column for column in columns if isinstance(column.role, role.Id)]
            self.columns[vocabulary] = ids or columns
            self.least[vocabulary] = config.min_count if ids else 1
            if all(isinstance(column.role, role.Category) for column in columns):
                self.least[vocabulary] = config.min_category_count
        self.least |= dict.fromkeys(self.logarithms, config.min_category_count)
        self._found: dict[str, list[pa.Table]] = {vocabulary: [] for vocabulary in self.least}

    def add(self, table: pa.Table) -> None:
        """Count the values of a table, without padding."""
        for vocabulary, columns in self.columns.items():
            for column in columns:
                self._add(vocabulary, values_of(table, column), padding_of(column))
        for vocabulary, column in self.logarithms.items():
            self._add(vocabulary, squared_logarithms(numbers(table, column.name, None)), None)

    def _add(self, vocabulary: str, values: pa.Array, padding: int | str | None) -> None:
        words, counts = values.value_counts().flatten()
        found = pa.table({WORD: words, OCCURS: counts})
        if padding is not None:
            found = found.filter(pc.not_equal(found[WORD], pa.scalar(padding, words.type)))
        self._found[vocabulary].append(found)
        if sum(part.num_rows for part in self._found[vocabulary][1:]) > MOST_APART:
            self._found[vocabulary] = [self._together(vocabulary)]

    def _together(self, vocabulary: str) -> pa.Table:
        counted = pa.concat_tables(self._found[vocabulary]).group_by(WORD).aggregate([(OCCURS, "sum")])
        return counted.rename_columns([WORD, OCCURS])

    def vocabularies(self) -> dict[str, Words]:
        """The values seen, ascending, without rare ids and categories."""
        found: dict[str, Any] = {}
        for vocabulary, least in self.least.items():
            counted = self._together(vocabulary)
            kept = counted.filter(pc.greater_equal(counted[OCCURS], least))
            found[vocabulary] = tuple(kept.sort_by(WORD)[WORD].to_pylist())
        return found


def values_of(table: pa.Table, column: Column) -> pa.Array:
    """All values that a column holds, each element of a list by itself, joined ones taken apart."""
    values = read(table, column.name, column.type)
    if column.type.is_list:
        values = values.flatten()
    elif column.fill is not None:
        values = values.fill_null(column.fill)
    separator = separator_of(column)
    if separator:
        # Each join counts once: of words it only matters whether they occur.
        values = pc.split_pattern(values.unique(), separator).flatten()
    return values.drop_null()


def ids(values: pa.Array, vocabulary: pa.Array, padding: int | str | None) -> np.ndarray:
    """Index of each value: padding where null or the padding value, unseen where not in the vocabulary.

    Args:
        values: of one type.
        vocabulary: its values, in order.
        padding: the value that means "none"; None where every value is one.

    Returns:
        The smallest unsigned integers that hold them, (values,).
    """
    vocabulary = vocabulary.cast(values.type)
    index = pc.index_in(values, value_set=vocabulary).fill_null(UNSEEN_ID - FIRST_ID).to_numpy() + FIRST_ID
    absent = values.is_null()
    if padding is not None:
        absent = pc.fill_null(pc.equal(values, pa.scalar(padding, values.type)), True)
    index[absent.to_numpy(zero_copy_only=False)] = PADDING_ID
    found: np.ndarray = index.astype(_integer_type(len(vocabulary) + FIRST_ID))
    return found


def padded(values: pa.Array, length: int, vocabulary: pa.Array, padding: int | str) -> np.ndarray:
    """Ids of each list's first `length` elements, (rows, length)."""
    found = np.full((len(values), length), PADDING_ID, dtype=_integer_type(len(vocabulary) + FIRST_ID))
    rows, places = positions(values)
    inside = places < length
    found[rows[inside], places[inside]] = ids(values.flatten(), vocabulary, padding)[inside]
    return found


def padded_bags(
    values: pa.Array, length: int, bag: int, separator: str, vocabulary: pa.Array, padding: int | str
) -> np.ndarray:
    """Ids of the values joined in each of a list's first `length` elements, (rows, length, bag).

    Few distinct joins occur (one for each item), so each is taken apart once.
    """
    joined = values.flatten().dictionary_encode()
    parts = pc.split_pattern(joined.dictionary, separator)
    nothing = np.full((1, bag), PADDING_ID, dtype=_integer_type(len(vocabulary) + FIRST_ID))
    table = np.concatenate([padded(parts, bag, vocabulary, padding), nothing])
    codes = joined.indices.fill_null(len(table) - 1).to_numpy(zero_copy_only=False)
    rows, places = positions(values)
    inside = places < length
    found = np.full((len(values), length, bag), PADDING_ID, dtype=table.dtype)
    found[rows[inside], places[inside]] = table[codes[inside]]
    return found


def _integer_type(size: int) -> type[np.unsignedinteger[Any]] | type[np.int32]:
    """The smallest type whose values an embedding table of `size` rows can be asked for."""
    return np.uint8 if size <= 2**8 else np.uint16 if size <= 2**16 else np.int32


def as_arrays(vocabularies: Mapping[str, Words]) -> dict[str, pa.Array]:
    """Each vocabulary as an Arrow array."""
    return {name: pa.array(words) for name, words in vocabularies.items()}
