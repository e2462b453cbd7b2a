"""One list of tensors for each side (user, item, context) and modality, and the history with its candidate.

Everything follows from the spec.
"""

from typing import Any

from common.errors import MarqueeError
from feature_repo.define.view import BEHAVIOUR
from training.backend import keras
from training.inputs.kinds import ITEM, USER
from training.inputs.spec import InputSpec
from training.layers import BilinearMatch, ModalityGate
from training.models.blocks import join
from training.models.embeddings import EmbeddingConfig, Embeddings, masked_mean


class Towers:
    """Looks up and joins the inputs of a spec.

    Every input but the history is in just one of `part(side, modality)`, so a model that reads all sides and
    modalities reads every input. The history is the user's sequences; a sequence of another side is read as
    the mean of its elements.

    Args:
        spec: the inputs.
        inputs: from `model_inputs`.
        config: of the embeddings.
        prefix: of the layers' names, where a model has several sets of tables.
    """

    def __init__(
        self, spec: InputSpec, inputs: dict[str, Any], config: EmbeddingConfig, prefix: str = ""
    ) -> None:
        self.spec = spec
        self.inputs = inputs
        self.prefix = prefix
        self.embeddings = Embeddings(spec, inputs, config, prefix)
        self._parts: dict[tuple[str, str], list[Any]] = {}

    def part(self, side: str, modality: str) -> list[Any]:
        """All inputs of one side and modality but the history, each (batch, n)."""
        if (side, modality) not in self._parts:
            self._parts[side, modality] = [
                *self.ids(side, modality),
                *self._words(side, modality),
                *self._numbers(side, modality),
                *(self.inputs[item.name] for item in self.spec.select("vector", side, modality)),
            ]
        return self._parts[side, modality]

    def behaviour(self, side: str) -> list[Any]:
        """A side's inputs of modality `BEHAVIOUR` but its history, each (batch, n)."""
        return self.part(side, BEHAVIOUR)

    def side(self, side: str) -> list[Any]:
        """A side's inputs of every modality but its history, each (batch, n)."""
        return [
            *self.behaviour(side),
            *(tensor for modality in self.modalities for tensor in self.part(side, modality)),
        ]

    def gated(self, side: str, gate: float, dropout: float) -> list[Any]:
        """A side's inputs of every modality but `BEHAVIOUR`, each modality joined behind a `ModalityGate`.

        Args:
            side: the side.
            gate: where the gate starts.
            dropout: share of rows that lose the modality while training.
        """
        found = []
        for modality in self.modalities:
            if parts := self.part(side, modality):
                name = f"{self.prefix}{side}_{modality}"
                found.append(ModalityGate(gate, dropout, name=f"{name}_gate")(join(parts, name)))
        return found

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities but `BEHAVIOUR`, in the order of the spec."""
        return tuple(dict.fromkeys(item.modality for item in self.spec.inputs if item.modality != BEHAVIOUR))

    def ids(self, side: str, modality: str | None = None) -> list[Any]:
        """The embeddings of a side's ids, each (batch, id_dim)."""
        return [
            self.embeddings.values(item.name)
            for item in self.spec.select("categorical", side, modality)
            if item.identity
        ]

    def matches(self) -> list[Any]:
        """The product of both embeddings, for each category and bag of the user and each of the item of the
        same vocabulary."""
        embed = self.embeddings.values
        return [
            embed(mine.name) * embed(theirs.name)
            for mine in self._worded(USER)
            for theirs in self._worded(ITEM)
            if mine.vocabulary == theirs.vocabulary
        ]

    def modality_matches(self, rank: int, gate: float, dropout: float) -> list[Any]:
        """How the user's numbers and vectors of a modality meet the item's, by `BilinearMatch` behind a
        `ModalityGate`, for each modality but `BEHAVIOUR` that both have.

        Args:
            rank: number of products; 0 for none.
            gate, dropout: as in `gated`.
        """
        found = []
        for modality in self.modalities if rank else ():
            users, items = (
                [
                    self.inputs[item.name]
                    for kind in ("numeric", "vector")
                    for item in self.spec.select(kind, side, modality)
                ]
                for side in (USER, ITEM)
            )
            if users and items:
                name = f"{self.prefix}{modality}_match"
                layers = ModalityGate(gate, dropout, name=f"{name}_gate"), BilinearMatch(rank, name=name)
                met = layers[1](join(users, f"{name}_user"), join(items, f"{name}_item"))
                found.append(layers[0](met))
        return found

    def history(self) -> tuple[Any, Any, Any]:
        """The candidate (batch, d), the history (batch, T, d) and its mask (batch, T).

        An element of the history is described by what the user's sequences hold of it: each sequence gives
        one part, and the item's part of the same vocabulary stands opposite. The mask follows the first
        sequence of ids.

        Raises:
            MarqueeError: the service has no history, one of several lengths, or nothing of the item in a
                sequence's vocabulary.
        """
        sequences = self.spec.select("sequence", USER)
        if not sequences:
            raise MarqueeError(
                f"The feature service {self.spec.service} has no history: attention needs a padded list."
            )
        if len({sequence.length for sequence in sequences}) > 1:
            raise MarqueeError(
                f"The sequences {', '.join(item.name for item in sequences)} of {self.spec.service} differ in"
                " length: together they describe one history, so they must have one."
            )
        candidate, history = [], []
        for sequence in sequences:
            opposite = [
                item
                for kind in ("categorical", "multi_valued")
                for item in self.spec.select(kind, ITEM)
                if item.vocabulary == sequence.vocabulary
            ]
            if not opposite:
                raise MarqueeError(
                    f"Nothing of the candidate is in the vocabulary '{sequence.vocabulary}' of "
                    f"{sequence.name}: join a view that has it."
                )
            candidate.append(self.embeddings.values(opposite[0].name))
            history.append(self.embeddings.values(sequence.name))
        ids = next((item.name for item in sequences if not item.bag), None)
        if ids is None:
            raise MarqueeError(f"The history of {self.spec.service} has no list of ids to tell padding by.")
        mask = self.embeddings.present(ids)
        return (
            join(candidate, f"{self.prefix}candidate"),
            join(history, f"{self.prefix}history"),
            mask,
        )

    def _worded(self, side: str, modality: str | None = None) -> list[Any]:
        """A side's bags and categories."""
        categories = [item for item in self.spec.select("categorical", side, modality) if not item.identity]
        return [*self.spec.select("multi_valued", side, modality), *categories]

    def _words(self, side: str, modality: str) -> list[Any]:
        """A side's bags, categories, and sequences that are no history, embedded, each (batch, dim)."""
        found = [self.embeddings.values(item.name) for item in self._worded(side, modality)]
        for item in self.spec.select("sequence", side, modality) if side != USER else ():
            elements = self.embeddings.values(item.name)
            found.append(masked_mean(elements, self.embeddings.present(item.name)))
        return found

    def _numbers(self, side: str, modality: str) -> list[Any]:
        """A side's numbers: the standardised block and the embedded buckets, each (batch, n)."""
        found = [self.inputs[item.name] for item in self.spec.select("numeric", side, modality)]
        for kind in ("bucketised", "clock"):
            for item in self.spec.select(kind, side, modality):
                flat = keras.layers.Flatten(name=f"{self.prefix}{item.name}_flat")
                found.append(flat(self.embeddings.buckets(item.name)))
        return found
