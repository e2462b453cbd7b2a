"""What click models read: every input as fields of one width, a first-order term, and a mask."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import Field

from training.backend import keras
from training.config import Config
from training.inputs.kinds import Bucketised, Clock, Input, Numeric
from training.inputs.spec import InputSpec
from training.layers import NumericEmbedding
from training.models.embeddings import EmbeddingConfig, Embeddings, masked_mean


class FieldConfig(Config):
    """Width and regularisation of the fields' embeddings.

    Args:
        dim: of every field.
        id_dropout: share of ids that become "unseen" while training.
        l2: pulls the embeddings looked up towards 0 (mean over the batch).
        initial: deviation of the normal values that tables start as. Where nothing multiplies fields by one
            another, small ones keep what is rarely seen from adding noise.
    """

    dim: int = Field(default=8, ge=1)
    id_dropout: float = Field(default=0.3, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)
    initial: float = Field(default=0.05, gt=0)


@dataclass(frozen=True)
class Fields:
    """The fields of a spec, each made when it is first asked for: not every model has a first-order term.

    Args:
        spec: the inputs.
        inputs: from `model_inputs`.
        config: widths and regularisation.
        prefix: of the layers' names.
    """

    spec: InputSpec
    inputs: dict[str, Any]
    config: FieldConfig
    prefix: str

    @cached_property
    def embeddings(self) -> Any:
        """eᵢ of each field i, (batch, fields, dim)."""
        return _embedded(self.spec, self.inputs, self.config, self.config.dim, self.prefix)

    @cached_property
    def first_order(self) -> Any:
        """Σᵢ wᵢ, (batch, 1); wᵢ is an embedding of width 1 from tables of its own. It has no bias."""
        weights = _embedded(self.spec, self.inputs, self.config, 1, f"{self.prefix}first_")
        return keras.ops.sum(weights, axis=1)

    @cached_property
    def mask(self) -> Any:
        """Which fields are there, bool (batch, fields). Numbers and buckets always are: that one is missing
        says something."""
        return _mask(self.spec, self.inputs)

    @property
    def sides(self) -> tuple[str, ...]:
        """Of each field: "user", "item" or "context"."""
        return tuple(item.side for item in self.spec.inputs for _ in field_names(item))

    def of_side(self, side: str) -> Any:
        """The embeddings of the fields of one side; of all, where none is of it: (batch, fields, dim)."""
        places = [place for place, found in enumerate(self.sides) if found == side]
        if not places:
            return self.embeddings
        return keras.ops.take(self.embeddings, keras.ops.array(places, "int32"), axis=1)


def fields_of(spec: InputSpec, inputs: dict[str, Any], config: FieldConfig, prefix: str = "") -> Fields:
    """Embed every input of a spec, in its order, as fields.

    | input | fields | embedding |
    |---|---|---|
    | categorical | 1 | V[id] |
    | multi-valued | 1 | the mean of V[id] over the values that are there, zero without any |
    | sequence | 1 | the mean over its elements that are there, zero without any |
    | numbers, K columns | K | xₖ vₖ |
    | buckets and clock, K columns | K | E⁽ᵏ⁾[bₖ] |
    | vector x | 1 | x W |

    Args:
        spec: the inputs.
        inputs: from `model_inputs`.
        config: widths and regularisation.
        prefix: of the layers' names, where a model has several sets of fields.

    Example:
        ```python
        fields = fields_of(spec, model_inputs(spec), FieldConfig(dim=8))
        logit = fields.first_order + FactorisationMachine()(fields.embeddings)
        ```

    Reference: S. Rendle, Factorization Machines, ICDM 2010, eq. 1; numbers and bags as fields: W. Song
    et al., AutoInt, CIKM 2019, section 4.2.
    """
    return Fields(spec, inputs, config, prefix)


def field_names(item: Input) -> tuple[str, ...]:
    """What the fields of an input are called."""
    match item:
        case Clock():
            return ("hour", "weekday", *(f"days since {instant.column}" for instant in item.since))
        case Numeric():
            return tuple(column.column for column in item.columns)
        case Bucketised():
            return tuple(f"{column.column}, bucket" for column in item.columns)
        case _:
            return (item.column,)


def _embedded(spec: InputSpec, inputs: dict[str, Any], config: FieldConfig, dim: int, prefix: str) -> Any:
    widths = EmbeddingConfig(
        id_dim=dim,
        list_dim=dim,
        bucket_dim=dim,
        id_dropout=config.id_dropout,
        l2=config.l2,
        initial=config.initial,
    )
    tables = Embeddings(spec, inputs, widths, prefix)
    found = []
    for item in spec.inputs:
        name = f"{prefix}{item.name}_embedding"
        match item.kind:
            case "categorical" | "multi_valued":
                found.append(tables.values(item.name)[:, None, :])
            case "sequence":
                found.append(masked_mean(tables.values(item.name), tables.present(item.name))[:, None, :])
            case "numeric":
                found.append(NumericEmbedding(dim, name=name)(inputs[item.name]))
            case "bucketised" | "clock":
                found.append(tables.buckets(item.name))
            case "vector":
                project = keras.layers.Dense(dim, use_bias=False, name=name)
                found.append(project(inputs[item.name])[:, None, :])
    return keras.layers.Concatenate(axis=1, name=f"{prefix}fields")(found) if len(found) > 1 else found[0]


def _mask(spec: InputSpec, inputs: dict[str, Any]) -> Any:
    """Which fields are there, bool (batch, fields)."""
    ops = keras.ops
    found = []
    for item in spec.inputs:
        x = inputs[item.name]
        match item.kind:
            case "categorical":
                found.append(ops.expand_dims(x, -1) != 0)
            case "multi_valued" | "sequence" | "vector":
                axes = tuple(range(1, len(x.shape)))
                found.append(ops.expand_dims(ops.any(x != 0, axis=axes), -1))
            case _:
                found.append(ops.ones_like(x, dtype="bool"))
    return ops.concatenate(found, axis=1) if len(found) > 1 else found[0]
