"""What models are put together of, beside the layers."""

from collections.abc import Sequence
from typing import Any

from common.errors import MarqueeError
from training.backend import keras
from training.layers import FieldAttention


def join(parts: Sequence[Any], name: str) -> Any:
    """Concatenate along the last axis; one part stays as it is.

    Raises:
        MarqueeError: there is no part.
    """
    if not parts:
        raise MarqueeError(
            f"The model has nothing to read as its {name.replace('_', ' ')}: the feature service has no such"
            " columns, or their inputs are switched off."
        )
    return parts[0] if len(parts) == 1 else keras.layers.Concatenate(name=name)(list(parts))


def mlp(
    x: Any, units: Sequence[int], dropout: float, l2: float, name: str = "mlp", activation: str = "prelu"
) -> Any:
    """Dense layers with an activation and dropout: (batch, n) to (batch, units[-1]).

    Args:
        activation: "prelu", or a name that Keras knows.
    """
    penalty = keras.regularizers.L2(l2) if l2 else None
    for i, width in enumerate(units):
        of_keras = None if activation == "prelu" else activation
        x = keras.layers.Dense(width, of_keras, kernel_regularizer=penalty, name=f"{name}_{i}")(x)
        if activation == "prelu":
            x = keras.layers.PReLU(name=f"{name}_{i}_prelu")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"{name}_{i}_dropout")(x)
    return x


def attended(fields: Any, present: Any, layers: int, dropout: float = 0.0, **options: Any) -> Any:
    """Fields after some layers of attention between them: (batch, fields, dim) to (batch, fields, n).

    Args:
        present: which fields are there, bool (batch, fields).
        layers: how many; 0 for the fields as they are.
        dropout: after each of them.
        options: of `FieldAttention`.
    """
    for i in range(layers):
        fields = FieldAttention(**options, name=f"attention_{i}")(fields, present)
        if dropout:
            fields = keras.layers.Dropout(dropout, name=f"attention_dropout_{i}")(fields)
    return fields


def flat(fields: Any, name: str = "flat") -> Any:
    """Fields side by side: (batch, fields, dim) to (batch, fields · dim)."""
    return keras.layers.Flatten(name=name)(fields)


def logit(x: Any) -> Any:
    """One unit, no activation: (batch, n) to (batch, 1)."""
    return keras.layers.Dense(1, name="logit")(x)
