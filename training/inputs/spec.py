"""From a feature service's columns to model inputs.

The one contract of every model: a dictionary of arrays in, one logit a row out. What the dictionary holds
follows from the roles of the service's columns; nothing is wired by hand, and nothing is guessed:

| role | input |
|---|---|
| `Id`, `Category` | categorical id |
| `Number`, `Count` | standardised, in a block for each side and modality; its quantile bucket in another |
| `Bag` | padded multi-valued ids |
| `Sequence` | padded sequence of ids, or of bags of ids |
| `Vector` | itself |
| `Instant` | the days from it to the request, standardised and as a quantile bucket |
| `Unread` | none |

Beside them stand hour and weekday of the request. A key is an `Id` of its side.

An `InputSpec` is fitted on training rows only and is plain data (JSON). Applying it is vectorised.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import model_validator

from common.errors import MarqueeError
from feature_repo.arrow import ARROW_TYPES
from feature_repo.define.column import Type
from feature_repo.define.fields import Block
from training.config import Config
from training.inputs.apply import array_of
from training.inputs.columns import check_shape
from training.inputs.config import InputConfig
from training.inputs.fit import inputs_of
from training.inputs.kinds import FIRST_ID, Input, MultiValued, ValueSequence, Vector
from training.inputs.vocabulary import VocabularyCounts, as_arrays

SPEC_VERSION = 2

Arrays = dict[str, np.ndarray]


class InputSpec(Config):
    """How a table of features becomes a dictionary of arrays: plain data, fitted on training rows.

    Args:
        version: of this format.
        service: the feature service.
        inputs: in the order of the dictionary.
        vocabularies: the values seen in training, by vocabulary, ascending.
        types: the column types expected, by column, as in `Type`.
        rows: training rows that it was fitted on.

    Raises:
        MarqueeError: it was written in another version of this format.
    """

    version: int = SPEC_VERSION
    service: str
    inputs: tuple[Input, ...]
    vocabularies: dict[str, tuple[int, ...] | tuple[str, ...]]
    types: dict[str, str]
    rows: int

    @model_validator(mode="before")
    @classmethod
    def _of_this_version(cls, values: Any) -> Any:
        version = values.get("version", SPEC_VERSION) if isinstance(values, dict) else SPEC_VERSION
        if version != SPEC_VERSION:
            raise MarqueeError(
                f"The inputs of this model are specified in format {version}, but this version of Marquee"
                f" reads format {SPEC_VERSION}: train the model anew."
            )
        return values

    @classmethod
    def fit(
        cls,
        table: pa.Table,
        service: str,
        views: Sequence[Block],
        config: InputConfig | None = None,
        counts: VocabularyCounts | None = None,
    ) -> "InputSpec":
        """Fit to the rows of `table`, which must be training rows only.

        Args:
            table: a service's features with keys and `event_timestamp`.
            service: its name.
            views: whose features it joins.
            config: how columns become inputs.
            counts: of the values of all training rows, where `table` has some of them only; counted here
                where None.

        Raises:
            MarqueeError: no rows, a table of another shape than the views', or a column that no input reads.
        """
        config = config or InputConfig()
        if table.num_rows == 0:
            raise MarqueeError(f"There are no training rows to fit the inputs of {service} to.")
        inputs, columns = inputs_of(table, service, views, config)
        if counts is None:
            counts = VocabularyCounts(views, config)
            counts.add(table)
        return cls(
            service=service,
            inputs=tuple(inputs),
            vocabularies=counts.vocabularies(),
            types={column.name: column.type.value for column in columns},
            rows=table.num_rows,
        )

    def __getitem__(self, name: str) -> Input:
        return next(item for item in self.inputs if item.name == name)

    def size(self, vocabulary: str) -> int:
        """Rows of an embedding table for a vocabulary: its values, padding and unseen."""
        return len(self.vocabularies[vocabulary]) + FIRST_ID

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

    @property
    def _types(self) -> dict[str, Type]:
        return {name: Type(value) for name, value in self.types.items()}

    def nothing(self) -> pa.Table:
        """One row of which nothing is known."""
        return pa.table({name: pa.nulls(1, ARROW_TYPES[kind]) for name, kind in self._types.items()})

    def check(self, table: pa.Table) -> None:
        """Refuse a table of another shape than the one that this was fitted to.

        Raises:
            MarqueeError: a missing column, another type, or a padded list of another length.
        """
        lengths = {}
        for item in self.inputs:
            match item:
                case ValueSequence() | MultiValued(fixed=True):
                    lengths[item.column] = item.length
                case Vector():
                    lengths[item.column] = item.width
        check_shape(table, self._types, lengths, self.service)

    def apply(self, table: pa.Table) -> Arrays:
        """The inputs of each row, in order, as contiguous arrays.

        Ids come in the smallest integer type that holds them; a Keras model casts them.

        Args:
            table: with at least the columns `self.columns`; others are ignored.

        Raises:
            MarqueeError: as `check`.
        """
        self.check(table)
        types, words = self._types, as_arrays(self.vocabularies)
        return {item.name: np.ascontiguousarray(array_of(item, table, types, words)) for item in self.inputs}
