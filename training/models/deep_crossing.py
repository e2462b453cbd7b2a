"""Deep Crossing: residual units on stacked fields."""

from typing import TYPE_CHECKING, Any

from pydantic import Field

from training.backend import keras
from training.config import Width
from training.inputs.spec import InputSpec
from training.models.blocks import flat, logit
from training.models.config import KerasConfig
from training.models.embeddings import model_inputs
from training.models.fields import FieldConfig, fields_of
from training.models.search import search_deep_fields

if TYPE_CHECKING:
    import optuna


class DeepCrossingConfig(KerasConfig):
    """Configuration of `deep_crossing`.

    Args:
        embedding: width and regularisation of the fields' embeddings.
        units: width of the hidden layer of each residual unit.
        dropout: of the hidden layers.
    """

    embedding: FieldConfig = FieldConfig()
    units: tuple[Width, ...] = Field(default=(64, 64), min_length=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)


def build(config: DeepCrossingConfig, spec: InputSpec) -> Any:
    """The network, from the spec's dictionary of tensors to logits (batch, 1).

        x₀ = [e_1, …, e_F]
        x_{i+1} = relu(x_i + W₁⁽ⁱ⁾ relu(W₀⁽ⁱ⁾ x_i + b₀⁽ⁱ⁾) + b₁⁽ⁱ⁾)
        logit = wᵀ x_L + b

    over the fields of the service (see `fields_of`).

    Reference: Y. Shan et al., Deep Crossing, KDD 2016, eq. 1 to 3 and figure 2.
    """
    inputs = model_inputs(spec)
    fields = fields_of(spec, inputs, config.embedding)
    x = flat(fields.embeddings)
    for i, width in enumerate(config.units):
        hidden = keras.layers.Dense(width, "relu", name=f"unit_{i}_hidden")(x)
        hidden = keras.layers.Dropout(config.dropout, name=f"unit_{i}_dropout")(hidden)
        hidden = keras.layers.Dense(x.shape[-1], name=f"unit_{i}_out")(hidden)
        x = keras.ops.relu(x + hidden)
    return keras.Model(inputs, logit(x), name="deep_crossing")


def space(trial: "optuna.Trial") -> dict[str, Any]:
    """What is searched."""
    return search_deep_fields(trial)
