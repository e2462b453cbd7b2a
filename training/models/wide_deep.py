"""Wide & Deep: a linear model beside a deep network."""

from typing import TYPE_CHECKING, Any

from pydantic import Field

from training.backend import keras
from training.config import Width
from training.inputs.spec import InputSpec
from training.models.blocks import flat, logit, mlp
from training.models.config import KerasConfig
from training.models.embeddings import model_inputs
from training.models.fields import FieldConfig, fields_of
from training.models.search import search_deep_fields

if TYPE_CHECKING:
    import optuna


class WideDeepConfig(KerasConfig):
    """Configuration of `wide_deep`.

    Args:
        embedding: width and regularisation of the fields' embeddings.
        units: hidden layers of the deep part.
        dropout: after each of them.
        l2: on their kernels.
    """

    embedding: FieldConfig = FieldConfig()
    units: tuple[Width, ...] = Field(default=(64, 32), min_length=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)


def build(config: WideDeepConfig, spec: InputSpec) -> Any:
    """The network, from the spec's dictionary of tensors to logits (batch, 1).

        logit = b + Σ_f w_f + hᵀ mlp([e_1, …, e_F])

    over the fields f of the service (see `fields_of`). The paper's wide part also has products of fields
    that people chose; here are none, as in the papers that compare it.

    Reference: H.-T. Cheng et al., Wide & Deep Learning for Recommender Systems, DLRS 2016, eq. 3.
    """
    inputs = model_inputs(spec)
    fields = fields_of(spec, inputs, config.embedding)
    deep = mlp(flat(fields.embeddings), config.units, config.dropout, config.l2, activation="relu")
    return keras.Model(inputs, fields.first_order + logit(deep), name="wide_deep")


def space(trial: "optuna.Trial") -> dict[str, Any]:
    """What is searched."""
    return search_deep_fields(trial)
