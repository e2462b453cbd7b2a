"""From the inputs that a spec declares to the tensors that models are made of.

What the models share: the embedding tables of a spec's vocabularies, one vector for each side (user, movie,
scene), and the history with its candidate. Everything follows from the spec.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from common.errors import MarqueeError
from training.backend import keras
from training.inputs.spec import BEHAVIOUR, POSTER, SCENE, InputSpec
from training.layers import (
    BilinearMatch,
    BucketisedEmbedding,
    IdDropout,
    ModalityGate,
    MultiValuedEmbedding,
    NumericEmbedding,
)
from training.settings import Settings


class EmbeddingConfig(Settings):
    """Widths and regularisation of embeddings.

    Args:
        id_dim: of users and movies.
        list_dim: of the values of multi-valued inputs (genres).
        bucket_dim: of a bucketised number.
        id_dropout: share of ids that become "unseen" while training.
        l2: pulls the embeddings looked up towards 0 (mean over the batch).
    """

    id_dim: int = Field(default=8, ge=1)
    list_dim: int = Field(default=8, ge=1)
    bucket_dim: int = Field(default=4, ge=1)
    id_dropout: float = Field(default=0.3, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)


def model_inputs(spec: InputSpec) -> dict[str, Any]:
    """One `keras.Input` for each of the spec's inputs, by name; numbers float32, all else int32."""
    return {
        item.name: keras.Input(
            shape=item.shape, dtype="float32" if item.kind == "numeric" else "int32", name=item.name
        )
        for item in spec.inputs
    }


class Towers:
    """Looks up and joins the inputs of a spec.

    Args:
        spec: the inputs.
        inputs: from `model_inputs`.
        config: of the embeddings.
        prefix: of the layers' names, where a model has two sets of tables.

    A vocabulary has one table, which all inputs of that vocabulary share: the candidate's id and those of the
    history meet in the same space.
    """

    def __init__(
        self, spec: InputSpec, inputs: dict[str, Any], config: EmbeddingConfig, prefix: str = ""
    ) -> None:
        self.spec = spec
        self.inputs = inputs
        self.config = config
        self.prefix = prefix
        self.forget = IdDropout(config.id_dropout, name=f"{prefix}id_dropout")
        id_spaces = {item.vocabulary for item in spec.select("categorical")}
        penalty = keras.regularizers.L2(config.l2) if config.l2 else None
        self.tables: dict[str, Any] = {}
        for vocabulary in spec.vocabularies:
            size = spec.size(vocabulary)
            if vocabulary in id_spaces:
                self.tables[vocabulary] = keras.layers.Embedding(
                    size,
                    config.id_dim,
                    embeddings_initializer=keras.initializers.RandomNormal(stddev=0.05),
                    activity_regularizer=penalty,
                    name=f"{prefix}{vocabulary}_embedding",
                )
            else:
                self.tables[vocabulary] = MultiValuedEmbedding(
                    size,
                    config.list_dim,
                    activity_regularizer=penalty,
                    name=f"{prefix}{vocabulary}_embedding",
                )
        self._embedded: dict[str, Any] = {}

    def embed(self, name: str) -> Any:
        """The embedding of a categorical, multi-valued or sequence input: (batch, dim) or (batch, T, dim)."""
        if name not in self._embedded:
            item = self.spec[name]
            table = self.tables[item.vocabulary]  # type: ignore[union-attr]
            ids = self.inputs[name]
            is_id = isinstance(table, keras.layers.Embedding)
            self._embedded[name] = table(self.forget(ids) if is_id else ids)
        return self._embedded[name]

    def ids(self, side: str) -> list[Any]:
        """The id embeddings of a side, each (batch, id_dim)."""
        return [self.embed(item.name) for item in self.spec.select("categorical", side)]

    def numbers(self, side: str, modality: str) -> list[Any]:
        """A side's numbers of one modality: the standardised block and the embedded buckets, (batch, …)."""
        parts = [self.inputs[item.name] for item in self.spec.select("numeric", side, modality)]
        for item in [
            *self.spec.select("bucketised", side, modality),
            *self.spec.select("scene", side, modality),
        ]:
            embedded = BucketisedEmbedding(item.sizes, self.config.bucket_dim, name=f"{item.name}_embedding")(
                self.inputs[item.name]
            )
            parts.append(keras.layers.Flatten(name=f"{self.prefix}{item.name}_flat")(embedded))
        return parts

    def bags(self, side: str) -> list[Any]:
        """The mean embeddings of a side's multi-valued inputs, each (batch, list_dim)."""
        return [self.embed(item.name) for item in self.spec.select("multi_valued", side)]

    def behaviour(self, side: str) -> list[Any]:
        """All of a side but its poster features and its history."""
        return [*self.ids(side), *self.bags(side), *self.numbers(side, BEHAVIOUR)]

    def scene(self) -> list[Any]:
        """The features of the request itself."""
        return self.numbers(SCENE, SCENE)

    def poster(self, side: str, gate: float, dropout: float) -> list[Any]:
        """A side's poster features behind a `ModalityGate`."""
        parts = self.numbers(side, POSTER)
        if not parts:
            return []
        joined = join(parts, f"{side}_poster")
        return [ModalityGate(gate, dropout, name=f"{side}_poster_gate")(joined)]

    def matches(self) -> list[Any]:
        """The product of both embeddings, for each of the user's bags whose vocabulary the candidate has."""
        found = []
        for bag in self.spec.select("multi_valued", "user"):
            found += [
                self.embed(bag.name) * self.embed(item.name)
                for item in self.spec.select("multi_valued", "movie")
                if item.vocabulary == bag.vocabulary
            ]
        return found

    def poster_match(self, rank: int, gate: float, dropout: float) -> list[Any]:
        """How the user's taste in posters meets the candidate's poster, by `BilinearMatch` of the numbers,
        behind a `ModalityGate`."""
        users = self.spec.select("numeric", "user", POSTER)
        movies = self.spec.select("numeric", "movie", POSTER)
        return [
            ModalityGate(gate, dropout, name="poster_match_gate")(
                BilinearMatch(rank, name="poster_match")(self.inputs[user.name], self.inputs[movie.name])
            )
            for user, movie in zip(users, movies, strict=True)
            if rank
        ]

    def fields(self) -> Any:
        """Every input as embeddings of one width, (batch, fields, dim).

        A field is an id, a bag, a history (the mean of its items), a number, a number's bucket, or a part of
        the scene. The widths in the configuration must be equal.
        """
        ops = keras.ops
        fields = []
        for item in self.spec.inputs:
            match item.kind:
                case "categorical" | "multi_valued":
                    fields.append(self.embed(item.name)[:, None, :])
                case "sequence":
                    ids = self.inputs[item.name]
                    there = (ops.max(ids, axis=-1) if item.bag else ids) != 0
                    there = ops.cast(there, "float32")[:, :, None]
                    total = ops.sum(self.embed(item.name) * there, axis=1, keepdims=True)
                    fields.append(total / ops.maximum(ops.sum(there, axis=1, keepdims=True), 1))
                case "numeric":
                    name = f"{self.prefix}{item.name}_embedding"
                    fields.append(NumericEmbedding(self.config.bucket_dim, name=name)(self.inputs[item.name]))
                case "bucketised" | "scene":
                    name = f"{self.prefix}{item.name}_embedding"
                    embedding = BucketisedEmbedding(item.sizes, self.config.bucket_dim, name=name)
                    fields.append(embedding(self.inputs[item.name]))
        return keras.layers.Concatenate(axis=1, name=f"{self.prefix}fields")(fields)

    def history(self) -> tuple[Any, Any, Any]:
        """The candidate (batch, d), the history (batch, T, d) and its mask (batch, T).

        An item is described by what the sequences hold of it: each sequence gives one part, and the
        candidate's part of the same vocabulary stands opposite. The mask follows the first sequence of ids.

        Raises:
            MarqueeError: the service has no history, or nothing of the candidate in a sequence's vocabulary.
        """
        sequences = self.spec.select("sequence")
        if not sequences:
            raise MarqueeError(
                f"The feature service {self.spec.service} has no history: attention needs a padded list."
            )
        candidate, history = [], []
        for sequence in sequences:
            opposite = [
                item
                for item in (*self.spec.select("categorical"), *self.spec.select("multi_valued"))
                if item.vocabulary == sequence.vocabulary and item.side != sequence.side
            ]
            if not opposite:
                raise MarqueeError(
                    f"Nothing of the candidate is in the vocabulary '{sequence.vocabulary}' of "
                    f"{sequence.name}: join a view that has it."
                )
            candidate.append(self.embed(opposite[0].name))
            history.append(self.embed(sequence.name))
        ids = next((item.name for item in sequences if not item.bag), None)
        if ids is None:
            raise MarqueeError(f"The history of {self.spec.service} has no list of ids to tell padding by.")
        mask = self.inputs[ids] != 0
        return join(candidate, "candidate"), join(history, "history"), mask


def join(parts: Sequence[Any], name: str) -> Any:
    """Concatenate along the last axis; one part stays as it is."""
    return parts[0] if len(parts) == 1 else keras.layers.Concatenate(name=name)(list(parts))


def mlp(x: Any, units: Sequence[int], dropout: float, l2: float, name: str = "mlp") -> Any:
    """Dense layers with PReLU and dropout: (batch, n) to (batch, units[-1])."""
    penalty = keras.regularizers.L2(l2) if l2 else None
    for i, width in enumerate(units):
        x = keras.layers.Dense(width, kernel_regularizer=penalty, name=f"{name}_{i}")(x)
        x = keras.layers.PReLU(name=f"{name}_{i}_prelu")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"{name}_{i}_dropout")(x)
    return x


def logit(x: Any) -> Any:
    """One unit, no activation: (batch, n) to (batch, 1)."""
    return keras.layers.Dense(1, name="logit")(x)
