"""AFM: a factorisation machine whose pairs are weighted by attention."""

from typing import TYPE_CHECKING, Any

from pydantic import Field

from training.backend import keras
from training.config import Width
from training.inputs.spec import InputSpec
from training.layers import PairAttention
from training.models.blocks import logit
from training.models.config import KerasConfig
from training.models.embeddings import model_inputs
from training.models.fields import FieldConfig, fields_of
from training.models.search import search_dropout, search_fields

if TYPE_CHECKING:
    import optuna


class AFMConfig(KerasConfig):
    """Configuration of `afm`.

    Args:
        embedding: width and regularisation of the fields' embeddings.
        attention_units: width of the attention network.
        dropout: of the weighted pairs.
    """

    embedding: FieldConfig = FieldConfig()
    attention_units: Width = 8
    dropout: float = Field(default=0.2, ge=0, lt=1)


def build(config: AFMConfig, spec: InputSpec) -> Any:
    """The network, from the spec's dictionary of tensors to logits (batch, 1).

        logit = b + Σ_f w_f + pᵀ Σ_{f<g} a_fg (e_f ⊙ e_g)

    over the fields f of the service that are there (see `fields_of`), with a_fg of `PairAttention`.

    Reference: J. Xiao et al., Attentional Factorization Machines, IJCAI 2017, eq. 7.
    """
    inputs = model_inputs(spec)
    fields = fields_of(spec, inputs, config.embedding)
    attend = PairAttention(config.attention_units, config.dropout, name="pairs")
    pairs = attend(fields.embeddings, fields.mask)
    return keras.Model(inputs, fields.first_order + logit(pairs), name="afm")


def space(trial: "optuna.Trial") -> dict[str, Any]:
    """What is searched."""
    return {
        **search_fields(trial),
        **search_dropout(trial),
        "attention_units": trial.suggest_categorical("attention_units", [8, 32]),
    }
