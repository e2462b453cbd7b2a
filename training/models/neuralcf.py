"""NeuralCF: who and what, by their ids alone."""

from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from common.errors import MarqueeError
from training.backend import keras
from training.config import Width
from training.inputs.config import InputConfig
from training.inputs.kinds import ITEM, USER
from training.inputs.spec import InputSpec
from training.models.blocks import join, logit, mlp
from training.models.config import KerasConfig
from training.models.embeddings import EmbeddingConfig, model_inputs
from training.models.search import search_network
from training.models.towers import Towers

if TYPE_CHECKING:
    import optuna


class NeuralCFConfig(KerasConfig):
    """Configuration of `neuralcf`.

    Args:
        embedding: widths and regularisation of embeddings.
        tower_units: hidden layers of each side's tower.
        units: hidden layers above both.
        dropout: after each of them.
        l2: on their kernels.
    """

    inputs: InputConfig = InputConfig(
        numeric=False, bucketised=False, categories=False, lists=False, vectors=False, context=False
    )
    embedding: EmbeddingConfig = EmbeddingConfig(id_dim=10)
    tower_units: tuple[Width, ...] = Field(default=(16,), min_length=1)
    units: tuple[Width, ...] = Field(default=(16,), min_length=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _reads_ids(self) -> Self:
        if not self.inputs.ids:
            raise ValueError("it learns from ids: set inputs.ids to true")
        return self


def build(config: NeuralCFConfig, spec: InputSpec) -> Any:
    """The network, from the spec's dictionary of tensors to logits (batch, 1).

    The id of each side goes through a tower of its own; both and their product go into an MLP.

    Raises:
        MarqueeError: the feature service lacks the id of a side.

    Reference: X. He et al., Neural Collaborative Filtering, WWW 2017, figure 3 (GMF and MLP).
    """
    inputs = model_inputs(spec)
    towers = Towers(spec, inputs, config.embedding)
    ids = {side: towers.ids(side) for side in (USER, ITEM)}
    for side, found in ids.items():
        if not found:
            raise MarqueeError(f"NeuralCF needs the id of the {side}, which {spec.service} does not give.")
    user, item = (
        mlp(join(found, f"{side}_ids"), config.tower_units, config.dropout, config.l2, f"{side}_tower")
        for side, found in ids.items()
    )
    product = keras.layers.Multiply(name="product")([*ids[USER], *ids[ITEM]])
    hidden = mlp(join([user, item, product], "features"), config.units, config.dropout, config.l2)
    return keras.Model(inputs, logit(hidden), name="neuralcf")


def space(trial: "optuna.Trial") -> dict[str, Any]:
    """What is searched."""
    return search_network(trial)
