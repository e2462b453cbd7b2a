"""PNN: a deep network on fields and their products."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from training.backend import keras, keras_rs
from training.config import Width
from training.inputs.spec import InputSpec
from training.models.blocks import flat, join, logit, mlp
from training.models.config import KerasConfig
from training.models.embeddings import model_inputs
from training.models.fields import FieldConfig, fields_of
from training.models.search import search_deep_fields, search_first_order

if TYPE_CHECKING:
    import optuna


class PNNConfig(KerasConfig):
    """Configuration of `pnn`.

    Args:
        embedding: width and regularisation of the fields' embeddings.
        product: of two fields: "inner", "outer", or "both".
        first_order: whether a first-order term is added, as FM has it; the paper has none.
        units: hidden layers.
        dropout: after each of them.
        l2: on their kernels.
    """

    embedding: FieldConfig = FieldConfig()
    product: Literal["inner", "outer", "both"] = "inner"
    first_order: bool = False
    units: tuple[Width, ...] = Field(default=(64, 32), min_length=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)


def build(config: PNNConfig, spec: InputSpec) -> Any:
    """The network, from the spec's dictionary of tensors to logits (batch, 1).

        z = [e_1, …, e_F]
        inner: p = (⟨e_f, e_g⟩)_{f<g}        outer: p = vec(s sᵀ), s = Σ_f e_f
        logit = wᵀ mlp([z, p]) + b,  plus Σ_f w_f where there is a first-order term

    over the fields f of the service (see `fields_of`). Inner products are those of Keras Recommenders'
    `DotInteraction`; outer ones are summed over all pairs, as the paper does to keep them few.

    Reference: Y. Qu et al., Product-based Neural Networks, ICDM 2016, eq. 1 to 14.
    """
    inputs = model_inputs(spec)
    fields = fields_of(spec, inputs, config.embedding)
    products = []
    if config.product != "outer":
        each = keras.ops.unstack(fields.embeddings, axis=1)
        products.append(keras_rs.layers.DotInteraction(name="inner")(each))
    if config.product != "inner":
        total = keras.ops.sum(fields.embeddings, axis=1)
        outer = total[:, :, None] * total[:, None, :]
        products.append(flat(outer, "outer"))
    signals = join([flat(fields.embeddings), *products], "signals")
    deep = mlp(signals, config.units, config.dropout, config.l2, activation="relu")
    out = logit(deep)
    return keras.Model(inputs, out + fields.first_order if config.first_order else out, name="pnn")


def space(trial: "optuna.Trial") -> dict[str, Any]:
    """What is searched."""
    return {
        **search_deep_fields(trial),
        **search_first_order(trial),
        "product": trial.suggest_categorical("product", ["inner", "both"]),
    }
