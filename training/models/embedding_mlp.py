"""Embedding MLP: all features of user and movie side by side, without history."""

from typing import Any

from pydantic import Field

from training.backend import keras
from training.inputs.spec import InputConfig, InputSpec
from training.models.config import KerasConfig
from training.models.towers import EmbeddingConfig, Towers, join, logit, mlp, model_inputs


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
    units: tuple[int, ...] = Field(default=(64, 32), min_length=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)


def build(config: EmbeddingMLPConfig, spec: InputSpec) -> Any:
    """The network, from the spec's dictionary of tensors to logits (batch, 1).

    Reference: the Embedding MLP baseline of MMDIN; Y. Shan et al., Deep Crossing, KDD 2016, without residual
    units.
    """
    inputs = model_inputs(spec)
    towers = Towers(spec, inputs, config.embedding)
    parts = [*towers.behaviour("user"), *towers.behaviour("movie"), *towers.scene()]
    hidden = mlp(join(parts, "features"), config.units, config.dropout, config.l2)
    return keras.Model(inputs, logit(hidden), name="embedding_mlp")
