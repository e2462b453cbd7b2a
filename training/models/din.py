"""DIN: the Deep Interest Network."""

from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from training.backend import keras
from training.config import Width
from training.inputs.config import InputConfig
from training.inputs.kinds import CONTEXT, ITEM, USER
from training.inputs.spec import InputSpec
from training.layers import InterestAttention
from training.models.blocks import join, logit, mlp
from training.models.config import KerasConfig
from training.models.embeddings import EmbeddingConfig, model_inputs
from training.models.search import search_network, search_numbers
from training.models.towers import Towers

if TYPE_CHECKING:
    import optuna


class DINConfig(KerasConfig):
    """Configuration of `din`.

    Args:
        embedding: widths and regularisation of embeddings.
        attention_units: hidden layers of the attention unit.
        attention_softmax: normalise the weights of the history.
        products: give the products of the pooled history and of the user's lists with the candidate too.
        units: hidden layers above.
        dropout: after each of them.
        l2: on their kernels.
    """

    inputs: InputConfig = InputConfig(shrinkage=5.0)
    embedding: EmbeddingConfig = EmbeddingConfig()
    attention_units: tuple[Width, ...] = Field(default=(32,), min_length=1)
    attention_softmax: bool = False
    products: bool = True
    units: tuple[Width, ...] = Field(default=(64, 32), min_length=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _reads_a_history(self) -> Self:
        if not self.inputs.lists:
            raise ValueError("attention reads a history: set inputs.lists to true")
        return self


def build(config: DINConfig, spec: InputSpec) -> Any:
    """The network, from the spec's dictionary of tensors to logits (batch, 1).

    The history is pooled by an `InterestAttention` to the candidate; user, item, pooled history and context
    go side by side into an MLP.

    Raises:
        MarqueeError: the feature service has no history.

    Reference: G. Zhou et al., Deep Interest Network for Click-Through Rate Prediction, KDD 2018.
    """
    inputs = model_inputs(spec)
    towers = Towers(spec, inputs, config.embedding)
    candidate, history, mask = towers.history()
    interest = InterestAttention(config.attention_units, normalise=config.attention_softmax, name="interest")(
        candidate, history, mask
    )
    met = [interest * candidate, *towers.matches()] if config.products else []
    sides = towers.side(USER) + towers.side(ITEM)
    joined = join([*sides, interest, *met, *towers.side(CONTEXT)], "features")
    hidden = mlp(joined, config.units, config.dropout, config.l2)
    return keras.Model(inputs, logit(hidden), name="din")


def space(trial: "optuna.Trial") -> dict[str, Any]:
    """What is searched."""
    return {**search_network(trial), **search_numbers(trial)}
