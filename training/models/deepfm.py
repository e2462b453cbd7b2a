"""DeepFM: a factorisation machine and a deep network on the same embeddings."""

from typing import Any

from pydantic import Field

from training.backend import keras
from training.inputs.spec import InputConfig, InputSpec
from training.layers import FactorisationMachine
from training.models.config import KerasConfig
from training.models.towers import EmbeddingConfig, Towers, mlp, model_inputs
from training.settings import Settings


class FieldConfig(Settings):
    """Width and regularisation of the fields' embeddings.

    Args:
        dim: of every field.
        id_dropout: share of ids that become "unseen" while training.
        l2: pulls the embeddings looked up towards 0 (mean over the batch).
    """

    dim: int = Field(default=8, ge=1)
    id_dropout: float = Field(default=0.3, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)


class DeepFMConfig(KerasConfig):
    """Configuration of `deepfm`.

    Args:
        embedding: width and regularisation of the fields' embeddings.
        units: hidden layers of the deep part.
        dropout: after each of them.
        l2: on their kernels.
    """

    inputs: InputConfig = InputConfig(shrinkage=5.0)
    embedding: FieldConfig = FieldConfig()
    units: tuple[int, ...] = Field(default=(64, 32), min_length=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)


def build(config: DeepFMConfig, spec: InputSpec) -> Any:
    """The network, from the spec's dictionary of tensors to logits (batch, 1).

        logit = Σ_f w_f + Σ_{f<g} ⟨e_f, e_g⟩ + mlp([e_1, …, e_F])

    over the fields f of the service (see `Towers.fields`); a history is one field, the mean of its items.

    Reference: H. Guo et al., DeepFM, IJCAI 2017, eq. 1 to 4.
    """
    inputs = model_inputs(spec)

    def fields(dim: int, prefix: str) -> Any:
        widths = EmbeddingConfig(
            id_dim=dim,
            list_dim=dim,
            bucket_dim=dim,
            id_dropout=config.embedding.id_dropout,
            l2=config.embedding.l2,
        )
        return Towers(spec, inputs, widths, prefix).fields()

    embedded = fields(config.embedding.dim, "")
    first = keras.ops.sum(fields(1, "first_"), axis=1)
    second = FactorisationMachine(name="pairs")(embedded)
    deep = mlp(keras.layers.Flatten(name="flat")(embedded), config.units, config.dropout, config.l2)
    deep = keras.layers.Dense(1, name="logit")(deep)
    return keras.Model(inputs, first + second + deep, name="deepfm")
