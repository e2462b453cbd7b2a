"""DCN-V2: a cross network of matrices beside, or below, a deep one."""

from typing import TYPE_CHECKING, Any

from pydantic import Field

from training.backend import keras, keras_rs
from training.config import Width
from training.inputs.spec import InputSpec
from training.models.blocks import flat, join, logit, mlp
from training.models.config import KerasConfig
from training.models.embeddings import model_inputs
from training.models.fields import FieldConfig, fields_of
from training.models.search import search_deep_fields

if TYPE_CHECKING:
    import optuna


class DCNV2Config(KerasConfig):
    """Configuration of `dcn_v2`.

    Args:
        embedding: width and regularisation of the fields' embeddings.
        layers: of the cross network.
        rank: of its matrices; None for full ones.
        stacked: whether the deep part reads what was crossed, in place of the fields.
        units: hidden layers of the deep part.
        dropout: after each of them.
        l2: on their kernels.
    """

    embedding: FieldConfig = FieldConfig()
    layers: int = Field(default=3, ge=1)
    rank: int | None = Field(default=None, ge=1)
    stacked: bool = False
    units: tuple[Width, ...] = Field(default=(64, 32), min_length=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)


def build(config: DCNV2Config, spec: InputSpec) -> Any:
    """The network, from the spec's dictionary of tensors to logits (batch, 1).

        x₀ = [e_1, …, e_F]
        x_{l+1} = x₀ ⊙ (W_l x_l + b_l) + x_l
        logit = wᵀ [x_L, mlp(x₀)] + b, or stacked wᵀ mlp(x_L) + b

    over the fields of the service (see `fields_of`). The layer is that of Keras Recommenders.

    Reference: R. Wang et al., DCN V2, WWW 2021, eq. 1 to 4.
    """
    inputs = model_inputs(spec)
    fields = fields_of(spec, inputs, config.embedding)
    first = x = flat(fields.embeddings)
    for i in range(config.layers):
        x = keras_rs.layers.FeatureCross(projection_dim=config.rank, name=f"cross_{i}")(first, x)
    deep = mlp(x if config.stacked else first, config.units, config.dropout, config.l2, activation="relu")
    joined = deep if config.stacked else join([x, deep], "crossed")
    return keras.Model(inputs, logit(joined), name="dcn_v2")


def space(trial: "optuna.Trial") -> dict[str, Any]:
    """What is searched."""
    return search_deep_fields(trial)
