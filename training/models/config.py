"""What the configurations of all models have in common."""

from typing import Literal, Self

from pydantic import Field, model_validator

from training.config import Config
from training.inputs.config import InputConfig


class TrainingConfig(Config):
    """How a Keras model is trained.

    Args:
        batch_size: rows of a batch; None chooses between 256 and 4500 (the paper's) by the rows there are.
        epochs: the most passes over the training rows.
        learning_rate: of Adam.
        decay: the learning rate falls to this share of itself by the last epoch, along a cosine; 1 keeps it.
        weight_decay: decoupled (AdamW), on all but biases and embeddings.
        embedding_decay: the same, on embeddings alone: an id or a bucket that is seldom met fades.
        averaging: momentum of an exponential moving average of the weights, which is what is evaluated and
            kept; 0 for none.
        monitor: what the best epoch has the best of, on the validation rows: a metric of the task, or its own
            choice (ROC-AUC, of a binary task) where None.
        patience: epochs without a better one before training stops.
        clip_norm: of the gradient; 0 for none.
    """

    batch_size: int | None = Field(default=None, ge=1)
    epochs: int = Field(default=30, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    decay: float = Field(default=1.0, gt=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0)
    embedding_decay: float = Field(default=0.0, ge=0)
    averaging: float = Field(default=0.0, ge=0, lt=1)
    monitor: Literal["auc", "log_loss", "rmse", "mae"] | None = None
    patience: int = Field(default=4, ge=1)
    clip_norm: float = Field(default=0.0, ge=0)


class ModelConfig(Config):
    """Base of every model's configuration.

    Args:
        inputs: how columns become inputs.
        refit: once the validation rows have chosen the epoch (the trees, the strength), fit inputs and model
            once more, to training and validation rows together and for just as long.
    """

    inputs: InputConfig = InputConfig()
    refit: bool = False


class KerasConfig(ModelConfig):
    """Base of a network's configuration.

    Args:
        training: how it is trained.
    """

    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _reads_no_gaps(self) -> Self:
        if self.inputs.missing == "nan":
            raise ValueError("a network cannot read numbers that stay missing: set inputs.missing to mean")
        return self
