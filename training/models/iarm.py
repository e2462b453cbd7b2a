"""IARM: the user's interest, attention between fields, and residuals."""

from typing import TYPE_CHECKING, Any

from pydantic import Field

from training.backend import keras
from training.config import Width
from training.inputs.kinds import USER
from training.inputs.spec import InputSpec
from training.models.blocks import attended, flat, join, logit, mlp
from training.models.config import KerasConfig
from training.models.embeddings import model_inputs
from training.models.fields import FieldConfig, fields_of
from training.models.search import search_attention, search_dropout, search_fields, search_first_order

if TYPE_CHECKING:
    import optuna


class IARMConfig(KerasConfig):
    """Configuration of `iarm`.

    Args:
        embedding: width and regularisation of the fields' embeddings.
        interest: whether there is an interest layer; without, it is the paper's IARM*.
        units: hidden layers of the interest layer.
        layers: of interaction; 0 for none.
        width: of what one head of a layer gathers.
        heads: of a layer.
        attention: whether fields weigh one another; without, all weigh the same, as the paper's IRM.
        residual: whether a field stands beside what it gathers; without, it is the paper's IARM-.
        normalise: scores of attention and what a layer gives, as AutoInt's authors do (`FieldAttention`).
        first_order: whether a first-order term is added, as FM has it; the paper has none.
        attention_dropout: after each layer of interaction.
        dropout: after each hidden layer of the interest layer.
        l2: on their kernels.
    """

    embedding: FieldConfig = FieldConfig()
    interest: bool = True
    units: tuple[Width, ...] = Field(default=(64, 64, 64, 64), min_length=1)
    layers: int = Field(default=3, ge=0)
    width: Width = 16
    heads: int = Field(default=2, ge=1)
    attention: bool = True
    residual: bool = True
    normalise: bool = False
    first_order: bool = False
    attention_dropout: float = Field(default=0.0, ge=0, lt=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)


def build(config: IARMConfig, spec: InputSpec) -> Any:
    """The network, from the spec's dictionary of tensors to logits (batch, 1).

        U = mlp([e_f of the user's fields])
        E₀ = (e_1, …, e_F),  E_{l+1} = attention_l(E_l)
        logit = wᵀ [U, vec(E₀), vec(E_L)] + b,  plus Σ_f w_f where there is a first-order term

    over the fields of the service (see `fields_of`), with the layers of `FieldAttention`. Where no field
    tells of a user, as in a click log, U reads all fields.

    Reference: IARM (user interest, multi-head attention and residual network for click-through rates). How
    the paper leaves attention out of IRM is not said; equal weights are ours.
    """
    inputs = model_inputs(spec)
    fields = fields_of(spec, inputs, config.embedding)
    parts = [flat(fields.embeddings)]
    if config.interest:
        of_user = flat(fields.of_side(USER), "of_user")
        parts.append(mlp(of_user, config.units, config.dropout, config.l2, "interest", activation="relu"))
    if config.layers:
        found = attended(
            fields.embeddings,
            fields.mask,
            config.layers,
            config.attention_dropout,
            width=config.width,
            heads=config.heads,
            attention=config.attention,
            residual=config.residual,
            normalise=config.normalise,
        )
        parts.append(flat(found, "interacted"))
    out = logit(join(parts, "output"))
    return keras.Model(inputs, out + fields.first_order if config.first_order else out, name="iarm")


def space(trial: "optuna.Trial") -> dict[str, Any]:
    """What is searched."""
    return {
        **search_fields(trial),
        **search_attention(trial),
        **search_dropout(trial),
        **search_first_order(trial),
        "units": (trial.suggest_categorical("units", [32, 64, 128]),) * 4,
    }
