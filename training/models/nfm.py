"""NFM: a deep network on the pooled pairs of a factorisation machine."""

from typing import TYPE_CHECKING, Any

from pydantic import Field

from training.backend import keras
from training.config import Width
from training.inputs.spec import InputSpec
from training.layers import BiInteraction
from training.models.blocks import logit, mlp
from training.models.config import KerasConfig
from training.models.embeddings import model_inputs
from training.models.fields import FieldConfig, fields_of
from training.models.search import search_deep_fields

if TYPE_CHECKING:
    import optuna


class NFMConfig(KerasConfig):
    """Configuration of `nfm`.

    Args:
        embedding: width and regularisation of the fields' embeddings.
        units: hidden layers.
        dropout: of the pooled pairs, and after each hidden layer.
        l2: on their kernels.
    """

    embedding: FieldConfig = FieldConfig()
    units: tuple[Width, ...] = Field(default=(64, 32), min_length=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)


def build(config: NFMConfig, spec: InputSpec) -> Any:
    """The network, from the spec's dictionary of tensors to logits (batch, 1).

        logit = b + Σ_f w_f + hᵀ mlp(Σ_{f<g} e_f ⊙ e_g)

    over the fields f of the service (see `fields_of`).

    Reference: X. He and T.-S. Chua, Neural Factorization Machines, SIGIR 2017, eq. 2 to 6. Its batch
    normalisation of the pooled pairs is left out: inputs of one scale need none.
    """
    inputs = model_inputs(spec)
    fields = fields_of(spec, inputs, config.embedding)
    pairs = BiInteraction(name="pairs")(fields.embeddings)
    pairs = keras.layers.Dropout(config.dropout, name="pairs_dropout")(pairs)
    deep = mlp(pairs, config.units, config.dropout, config.l2, activation="relu")
    return keras.Model(inputs, fields.first_order + logit(deep), name="nfm")


def space(trial: "optuna.Trial") -> dict[str, Any]:
    """What is searched."""
    return search_deep_fields(trial)
