"""FM: a factorisation machine."""

from typing import TYPE_CHECKING, Any

from training.backend import keras
from training.inputs.spec import InputSpec
from training.layers import FactorisationMachine
from training.models.config import KerasConfig
from training.models.embeddings import model_inputs
from training.models.fields import FieldConfig, fields_of
from training.models.search import search_fields

if TYPE_CHECKING:
    import optuna


class FMConfig(KerasConfig):
    """Configuration of `fm`.

    Args:
        embedding: width and regularisation of the fields' embeddings.
    """

    embedding: FieldConfig = FieldConfig()


def build(config: FMConfig, spec: InputSpec) -> Any:
    """The network, from the spec's dictionary of tensors to logits (batch, 1).

        logit = w₀ + Σ_f w_f + Σ_{f<g} ⟨e_f, e_g⟩

    over the fields f of the service (see `fields_of`).

    Reference: S. Rendle, Factorization Machines, ICDM 2010, eq. 1.
    """
    inputs = model_inputs(spec)
    fields = fields_of(spec, inputs, config.embedding)
    second = FactorisationMachine(use_bias=True, name="pairs")(fields.embeddings)
    return keras.Model(inputs, fields.first_order + second, name="fm")


def space(trial: "optuna.Trial") -> dict[str, Any]:
    """What is searched."""
    return search_fields(trial)
