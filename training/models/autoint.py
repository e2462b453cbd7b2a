"""AutoInt: layers of attention between fields."""

from typing import TYPE_CHECKING, Any

from pydantic import Field

from training.backend import keras
from training.config import Width
from training.inputs.spec import InputSpec
from training.models.blocks import attended, flat, logit, mlp
from training.models.config import KerasConfig
from training.models.embeddings import model_inputs
from training.models.fields import FieldConfig, fields_of
from training.models.search import (
    HIDDEN,
    search_attention,
    search_dropout,
    search_fields,
    search_first_order,
)

if TYPE_CHECKING:
    import optuna


class AutoIntConfig(KerasConfig):
    """Configuration of `autoint`.

    Args:
        embedding: width and regularisation of the fields' embeddings.
        layers: of attention.
        width: of what one head of a layer gathers.
        heads: of a layer.
        residual: whether a field stands beside what it gathers.
        normalise: scores of attention and what a layer gives, as the authors' code does (`FieldAttention`).
        first_order: whether a first-order term is added, as FM has it; the paper has none.
        units: hidden layers of a deep part beside it (the paper's AutoInt+); none by default.
        attention_dropout: after each layer of attention.
        dropout: after each hidden layer.
        l2: on their kernels.
    """

    embedding: FieldConfig = FieldConfig()
    layers: int = Field(default=3, ge=1)
    width: Width = 16
    heads: int = Field(default=2, ge=1)
    residual: bool = True
    normalise: bool = False
    first_order: bool = False
    units: tuple[Width, ...] = ()
    attention_dropout: float = Field(default=0.0, ge=0, lt=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)


def build(config: AutoIntConfig, spec: InputSpec) -> Any:
    """The network, from the spec's dictionary of tensors to logits (batch, 1).

        E₀ = (e_1, …, e_F),  E_{l+1} = attention_l(E_l)
        logit = wᵀ vec(E_L) + b,  or with a deep part wᵀ vec(E_L) + b + hᵀ mlp(vec(E₀)),
    plus Σ_f w_f where there is a first-order term

    over the fields of the service (see `fields_of`), with the layers of `FieldAttention`.

    Reference: W. Song et al., AutoInt, CIKM 2019, eq. 5 to 9.
    """
    inputs = model_inputs(spec)
    fields = fields_of(spec, inputs, config.embedding)
    found = attended(
        fields.embeddings,
        fields.mask,
        config.layers,
        config.attention_dropout,
        width=config.width,
        heads=config.heads,
        residual=config.residual,
        normalise=config.normalise,
    )
    out = logit(flat(found, "interacted"))
    if config.first_order:
        out = out + fields.first_order
    if config.units:
        deep = mlp(flat(fields.embeddings), config.units, config.dropout, config.l2, activation="relu")
        out = out + keras.layers.Dense(1, use_bias=False, name="deep")(deep)
    return keras.Model(inputs, out, name="autoint")


def space(trial: "optuna.Trial") -> dict[str, Any]:
    """What is searched."""
    deep = {"none": (), **HIDDEN}
    return {
        **search_fields(trial),
        **search_attention(trial),
        **search_dropout(trial),
        **search_first_order(trial),
        "layers": trial.suggest_categorical("layers", [1, 2, 3]),
        "units": deep[trial.suggest_categorical("units", list(deep))],
    }
