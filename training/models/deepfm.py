"""DeepFM: a factorisation machine and a deep network on the same embeddings."""

from typing import TYPE_CHECKING, Any

from pydantic import Field

from training.backend import keras
from training.config import Width
from training.inputs.config import InputConfig
from training.inputs.spec import InputSpec
from training.layers import FactorisationMachine
from training.models.blocks import flat, logit, mlp
from training.models.config import KerasConfig
from training.models.embeddings import model_inputs
from training.models.fields import FieldConfig, fields_of
from training.models.search import search_deep_fields, search_numbers

if TYPE_CHECKING:
    import optuna


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
    units: tuple[Width, ...] = Field(default=(64, 32), min_length=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)


def build(config: DeepFMConfig, spec: InputSpec) -> Any:
    """The network, from the spec's dictionary of tensors to logits (batch, 1).

        logit = Σ_f w_f + Σ_{f<g} ⟨e_f, e_g⟩ + mlp([e_1, …, e_F])

    over the fields f of the service (see `fields_of`); a history is one field, the mean of its elements.

    Reference: H. Guo et al., DeepFM, IJCAI 2017, eq. 1 to 4.
    """
    inputs = model_inputs(spec)
    fields = fields_of(spec, inputs, config.embedding)
    second = FactorisationMachine(name="pairs")(fields.embeddings)
    deep = logit(mlp(flat(fields.embeddings), config.units, config.dropout, config.l2))
    return keras.Model(inputs, fields.first_order + second + deep, name="deepfm")


def space(trial: "optuna.Trial") -> dict[str, Any]:
    """What is searched."""
    return {**search_deep_fields(trial), **search_numbers(trial)}
