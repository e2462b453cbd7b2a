"""The embedding tables of a spec's vocabularies, and what they make of its inputs."""

from typing import Any

from pydantic import Field

from common.errors import MarqueeError
from training.backend import keras
from training.config import Config
from training.inputs.spec import InputSpec
from training.layers import BucketisedEmbedding, IdDropout, KnownRows, MultiValuedEmbedding

FLOATS = ("numeric", "vector")
"""The kinds of input that hold numbers as they are; all others hold places in a table."""


class EmbeddingConfig(Config):
    """Widths and regularisation of embeddings.

    Args:
        id_dim: of ids, such as a user's.
        list_dim: of the values of categories, bags and sequences.
        bucket_dim: of a bucketised number.
        id_dropout: share of ids that become "unseen" while training; at 0 "unseen" starts as zero.
        l2: pulls the embeddings looked up towards 0 (mean over the batch).
        initial: deviation of the normal values that tables start as.
    """

    id_dim: int = Field(default=8, ge=1)
    list_dim: int = Field(default=8, ge=1)
    bucket_dim: int = Field(default=4, ge=1)
    id_dropout: float = Field(default=0.3, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)
    initial: float = Field(default=0.05, gt=0)


def model_inputs(spec: InputSpec) -> dict[str, Any]:
    """One `keras.Input` for each of the spec's inputs, by name: float32 for numbers and vectors, else int32.

    Raises:
        MarqueeError: every kind of input is switched off, or missing numbers stay missing, as for trees.
    """
    if not spec.inputs:
        raise MarqueeError(f"The inputs of {spec.service} are all switched off: a model needs one at least.")
    if any(item.missing == "nan" for item in spec.select("numeric")):
        raise MarqueeError("A network cannot read numbers that stay missing: set inputs.missing to mean.")
    return {
        item.name: keras.Input(
            shape=item.shape, dtype="float32" if item.kind in FLOATS else "int32", name=item.name
        )
        for item in spec.inputs
    }


class Embeddings:
    """Looks up the inputs of a spec.

    A vocabulary has one table, which all inputs of that vocabulary share: the candidate's id and those of the
    history meet in the same space. Ids are forgotten at random while training (`IdDropout`); a category that
    is not known is the zero vector.

    Args:
        spec: the inputs.
        inputs: from `model_inputs`.
        config: widths and regularisation.
        prefix: of the layers' names, where a model has several sets of tables.
    """

    def __init__(
        self, spec: InputSpec, inputs: dict[str, Any], config: EmbeddingConfig, prefix: str = ""
    ) -> None:
        self.spec = spec
        self.inputs = inputs
        self.config = config
        self.prefix = prefix
        self._forget = IdDropout(config.id_dropout, name=f"{prefix}id_dropout")
        self._id_spaces = {item.vocabulary for item in spec.select("categorical") if item.identity}
        penalty = keras.regularizers.L2(config.l2) if config.l2 else None
        self._tables: dict[str, Any] = {}
        for vocabulary in spec.vocabularies:
            size, name = spec.size(vocabulary), f"{prefix}{vocabulary}_embedding"
            if vocabulary in self._id_spaces:
                self._tables[vocabulary] = keras.layers.Embedding(
                    size,
                    config.id_dim,
                    embeddings_initializer=_initial(config),
                    activity_regularizer=penalty,
                    name=name,
                )
            else:
                self._tables[vocabulary] = MultiValuedEmbedding(
                    size, config.list_dim, _initial(config), activity_regularizer=penalty, name=name
                )
        self._found: dict[str, Any] = {}

    def values(self, name: str) -> Any:
        """The embedding of a categorical or multi-valued input (batch, dim), or of each element of a sequence
        (batch, T, dim); of a bag, the mean of its members' embeddings."""
        if name not in self._found:
            self._found[name] = self._look_up(name)
        return self._found[name]

    def _look_up(self, name: str) -> Any:
        item: Any = self.spec[name]
        table, ids = self._tables[item.vocabulary], self.inputs[name]
        is_bag = item.kind == "multi_valued" or (item.kind == "sequence" and item.bag > 0)
        if item.vocabulary in self._id_spaces:
            members = table(self._forget(ids))
            return masked_mean(members, ids != 0) if is_bag else members
        return table(ids if is_bag else keras.ops.expand_dims(ids, -1))

    def buckets(self, name: str) -> Any:
        """The embeddings of the columns of a bucketised input or a clock, (batch, columns, bucket_dim)."""
        if name not in self._found:
            item: Any = self.spec[name]
            self._found[name] = BucketisedEmbedding(
                item.sizes, self.config.bucket_dim, name=f"{self.prefix}{name}_embedding"
            )(self.inputs[name])
        return self._found[name]

    def present(self, name: str) -> Any:
        """Which values of a categorical (batch,) or multi-valued input (batch, L), or elements of a sequence
        (batch, T), are there and no padding."""
        item: Any = self.spec[name]
        ids = self.inputs[name]
        return (keras.ops.max(ids, axis=-1) if item.kind == "sequence" and item.bag else ids) != 0


def _initial(config: EmbeddingConfig) -> Any:
    """What a table starts as; each has one of its own, which gives the same values whenever it is asked."""
    kind = keras.initializers.RandomNormal if config.id_dropout else KnownRows
    return kind(stddev=config.initial)


def masked_mean(members: Any, present: Any) -> Any:
    """The mean of the members that are there, zero where none is: (…, L, dim) and (…, L) to (…, dim)."""
    weights = keras.ops.cast(present, "float32")[..., None]
    total = keras.ops.sum(members * weights, axis=-2)
    return total / keras.ops.maximum(keras.ops.sum(weights, axis=-2), 1)
