"""Embedding MLP: all features of user, item and context side by side, without history."""

from typing import TYPE_CHECKING, Any

from pydantic import Field

from training.backend import keras
from training.config import Width
from training.inputs.config import InputConfig
from training.inputs.kinds import CONTEXT, ITEM, USER
from training.inputs.spec import InputSpec
from training.models.blocks import join, logit, mlp
from training.models.config import KerasConfig
from training.models.embeddings import EmbeddingConfig, model_inputs
from training.models.search import search_network, search_numbers
from training.models.towers import Towers

if TYPE_CHECKING:
    import optuna


class EmbeddingMLPConfig(KerasConfig):
    """Configuration of `embedding_mlp`.

    Args:
        embedding: widths and regularisation of embeddings.
        units: hidden layers.
        dropout: after each of them.
        l2: on their kernels.
    """

    inputs: InputConfig = InputConfig(shrinkage=5.0)
    embedding: EmbeddingConfig = EmbeddingConfig()
    units: tuple[Width, ...] = Field(default=(64, 32), min_length=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)


def build(config: EmbeddingMLPConfig, spec: InputSpec) -> Any:
    """The network, from the spec's dictionary of tensors to logits (batch, 1).

    Reference: the Embedding MLP baseline of MMDIN; Y. Shan et al., Deep Crossing, KDD 2016, without residual
    units.
    """
    inputs = model_inputs(spec)
    towers = Towers(spec, inputs, config.embedding)
    parts = [tensor for side in (USER, ITEM, CONTEXT) for tensor in towers.side(side)]
    hidden = mlp(join(parts, "features"), config.units, config.dropout, config.l2)
    return keras.Model(inputs, logit(hidden), name="embedding_mlp")


def space(trial: "optuna.Trial") -> dict[str, Any]:
    """What is searched."""
    return {**search_network(trial), **search_numbers(trial)}
