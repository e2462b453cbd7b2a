"""What a published AUC and log loss say of the share of positive rows that they were measured on.

Where the scores of positive and of other rows are normal with one deviation, as those of most models nearly
are, a calibrated model's log loss follows from its AUC and that share, the base rate. A model that is not
calibrated has a larger one. So a pair that lies far below is of rows with another base rate, that is of
another rule for labels. It is no bound for whatever scores: some that are far from normal, such as those of a
model that is sure of a fifth of the rows and says the same of all others, have a smaller one.
"""

from statistics import NormalDist

import numpy as np
from scipy.optimize import brentq

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(100)


def calibrated_log_loss(auc: float, rate: float) -> float:
    """The log loss of a calibrated model with normal scores.

    With d = √2 Φ⁻¹(AUC) the log odds of positive rows are normal with mean logit(rate) + d²/2 and deviation
    d, and those of others with mean logit(rate) - d²/2.

    Args:
        auc: of the model, from .5 on and below 1.
        rate: of positive rows, between 0 and 1.

    Raises:
        ValueError: one of them lies outside.

    Example:
        ```python
        calibrated_log_loss(0.5, 0.5)  # 0.6931…, which is log 2
        ```
    """
    if not (0.5 <= auc < 1 and 0 < rate < 1):
        raise ValueError(f"`auc` should lie in [.5, 1) and `rate` in (0, 1). Received: {auc} and {rate}")
    distance = np.sqrt(2) * NormalDist().inv_cdf(auc)
    middle = np.log(rate / (1 - rate))
    shift, spread = distance**2 / 2, distance * _NODES
    of_positive = np.logaddexp(0, -(middle + shift + spread))
    of_others = np.logaddexp(0, middle - shift + spread)
    weights = _WEIGHTS / _WEIGHTS.sum()
    return float(rate * (weights @ of_positive) + (1 - rate) * (weights @ of_others))


def base_rate(auc: float, log_loss: float) -> float | None:
    """The base rate, from .5 on, at which a calibrated model of this AUC has this log loss.

    One less that rate fits, too. None where the log loss is larger than at any rate: the model is not
    calibrated, and the pair says nothing.

    Raises:
        ValueError: as `calibrated_log_loss`, or a log loss that is not positive.
    """
    if log_loss <= 0:
        raise ValueError(f"`log_loss` should be positive. Received: {log_loss}")
    if log_loss > calibrated_log_loss(auc, 0.5):
        return None
    most = 1 - 1e-9
    return float(brentq(lambda rate: calibrated_log_loss(auc, rate) - log_loss, 0.5, most, xtol=1e-9))
