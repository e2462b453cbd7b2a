"""DCN: a cross network beside a deep one."""

from typing import TYPE_CHECKING, Any

from pydantic import Field

from training.backend import keras
from training.config import Width
from training.inputs.spec import InputSpec
from training.layers import VectorCross
from training.models.blocks import flat, join, logit, mlp
from training.models.config import KerasConfig
from training.models.embeddings import model_inputs
from training.models.fields import FieldConfig, fields_of
from training.models.search import search_deep_fields

if TYPE_CHECKING:
    import optuna


class DCNConfig(KerasConfig):
    """Configuration of `dcn`.

    Args:
        embedding: width and regularisation of the fields' embeddings.
        layers: of the cross network.
        units: hidden layers of the deep part.
        dropout: after each of them.
        l2: on their kernels.
    """

    embedding: FieldConfig = FieldConfig()
    layers: int = Field(default=3, ge=1)
    units: tuple[Width, ...] = Field(default=(64, 32), min_length=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)


def build(config: DCNConfig, spec: InputSpec) -> Any:
    """The network, from the spec's dictionary of tensors to logits (batch, 1).

        x₀ = [e_1, …, e_F]
        x_{l+1} = x₀ (x_lᵀ w_l) + b_l + x_l
        logit = wᵀ [x_L, mlp(x₀)] + b

    over the fields of the service (see `fields_of`).

    Reference: R. Wang et al., Deep & Cross Network for Ad Click Predictions, ADKDD 2017, eq. 3 and 6.
    """
    inputs = model_inputs(spec)
    fields = fields_of(spec, inputs, config.embedding)
    first = x = flat(fields.embeddings)
    for i in range(config.layers):
        x = VectorCross(name=f"cross_{i}")(first, x)
    deep = mlp(first, config.units, config.dropout, config.l2, activation="relu")
    return keras.Model(inputs, logit(join([x, deep], "crossed")), name="dcn")


def space(trial: "optuna.Trial") -> dict[str, Any]:
    """What is searched."""
    return search_deep_fields(trial)
