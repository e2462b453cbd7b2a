"""MMDIN: the MultiHead MultiModal Deep Interest Network."""

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from training.backend import keras
from training.config import Width
from training.inputs.config import InputConfig
from training.inputs.kinds import CONTEXT, ITEM, USER
from training.inputs.spec import InputSpec
from training.layers import InterestAttention, MultiHeadResidual
from training.models.blocks import join, logit, mlp
from training.models.config import KerasConfig
from training.models.embeddings import EmbeddingConfig, model_inputs
from training.models.search import search_network, search_numbers
from training.models.towers import Towers

if TYPE_CHECKING:
    import optuna


class MMDINConfig(KerasConfig):
    """Configuration of `mmdin`.

    Args:
        embedding: widths and regularisation of embeddings.
        multimodal: read the features of other modalities than behaviour; False is the ablation without them.
        modality_gate: where the gates of those features and of their products start (see `ModalityGate`).
        modality_dropout: share of rows that lose them while training.
        modality_match: number of products between what the user and what the item has of a modality (see
            `BilinearMatch`); 0 for none.
        products: give the products of the pooled history and of the user's lists with the candidate too.
        pooling: "attention", or the ablation "sum" of the history.
        attention_units: hidden layers of the attention unit.
        attention_softmax: normalise the weights of the history.
        tower: "resnet", or the ablation "mlp" of the same width and depth.
        width: of the compressed features and of each residual block.
        heads: parallel heads; 1 is the ablation without multi-head.
        blocks: residual blocks of each head.
        dropout: inside each block, or after each layer of the MLP.
        l2: on the kernels of the tower.
    """

    inputs: InputConfig = InputConfig(shrinkage=5.0)
    embedding: EmbeddingConfig = EmbeddingConfig()
    multimodal: bool = True
    modality_gate: float = -4.0
    modality_dropout: float = Field(default=0.2, ge=0, lt=1)
    modality_match: int = Field(default=8, ge=0)
    products: bool = True
    pooling: Literal["attention", "sum"] = "attention"
    attention_units: tuple[Width, ...] = Field(default=(32,), min_length=1)
    attention_softmax: bool = False
    tower: Literal["resnet", "mlp"] = "resnet"
    width: int = Field(default=32, ge=1)
    heads: int = Field(default=4, ge=1)
    blocks: int = Field(default=2, ge=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _reads_a_history(self) -> Self:
        if not self.inputs.lists:
            raise ValueError("attention reads a history: set inputs.lists to true")
        return self


def build(config: MMDINConfig, spec: InputSpec) -> Any:
    """The network, from the spec's dictionary of tensors to logits (batch, 1).

    User, item, the history pooled by attention, and context side by side; the features of other modalities
    than behaviour join those of their side, each modality behind a gate; a `MultiHeadResidual` above.

    Raises:
        MarqueeError: the feature service has no history.

    Reference: MultiHead MultiModal Deep Interest Network (Yang, Li, Zhou, Zhang, Zhang).
    """
    inputs = model_inputs(spec)
    towers = Towers(spec, inputs, config.embedding)
    candidate, history, mask = towers.history()
    if config.pooling == "attention":
        pooled = InterestAttention(
            config.attention_units, normalise=config.attention_softmax, name="interest"
        )(candidate, history, mask)
    else:
        items = keras.ops.cast(mask, "float32")[:, :, None]
        pooled = keras.ops.sum(history * items, axis=1)
    parts = []
    gate, dropout = config.modality_gate, config.modality_dropout
    for side in (USER, ITEM):
        parts += towers.behaviour(side)
        if config.multimodal:
            parts += towers.gated(side, gate, dropout)
    if config.products:
        parts += [pooled * candidate, *towers.matches()]
    if config.multimodal:
        parts += towers.modality_matches(config.modality_match, gate, dropout)
    joined = join([*parts, pooled, *towers.side(CONTEXT)], "features")
    if config.tower == "resnet":
        penalty = keras.regularizers.L2(config.l2) if config.l2 else None
        hidden = MultiHeadResidual(
            config.width,
            config.heads,
            config.blocks,
            dropout=config.dropout,
            kernel_regularizer=penalty,
            name="tower",
        )(joined)
    else:
        hidden = mlp(joined, (config.width,) * (1 + 2 * config.blocks), config.dropout, config.l2, "tower")
    return keras.Model(inputs, logit(hidden), name="mmdin")


def space(trial: "optuna.Trial") -> dict[str, Any]:
    """What is searched."""
    return {
        **search_network(trial),
        **search_numbers(trial),
        "modality_gate": trial.suggest_float("modality_gate", -6.0, -1.0),
    }
