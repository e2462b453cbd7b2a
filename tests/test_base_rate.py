"""What a pair of AUC and log loss says of the base rate."""

import numpy as np
import pytest

from training.evaluate.base_rate import base_rate, calibrated_log_loss
from training.evaluate.metrics import log_loss_of, roc_auc
from training.tasks import sigmoid


@pytest.mark.parametrize("rate", [0.5, 0.25, 0.836])
def test_a_model_that_knows_nothing_has_the_entropy_of_the_rate(rate: float) -> None:
    entropy = -rate * np.log(rate) - (1 - rate) * np.log(1 - rate)
    assert calibrated_log_loss(0.5, rate) == pytest.approx(entropy, abs=1e-12)


@pytest.mark.parametrize(("rate", "distance"), [(0.78, 1.4), (0.2, 0.8), (0.5, 2.5)])
def test_it_is_the_log_loss_of_rows_drawn_so(rate: float, distance: float) -> None:
    random = np.random.default_rng(0)
    labels = random.random(400_000) < rate
    scores = random.normal(np.where(labels, distance, 0))
    odds = np.log(rate / (1 - rate)) + distance * scores - distance**2 / 2
    expected = calibrated_log_loss(roc_auc(labels, scores), float(labels.mean()))
    assert log_loss_of(labels, sigmoid(odds)) == pytest.approx(expected, abs=2e-3)


def test_a_rate_and_what_is_left_of_one_are_told_alike() -> None:
    assert calibrated_log_loss(0.8, 0.3) == pytest.approx(calibrated_log_loss(0.8, 0.7))


def test_the_pairs_of_iarm_are_of_rows_of_which_five_in_six_are_positive() -> None:
    """Its rule, 3 dropped, leaves .778 positive on ML-1M; "3 or more" has .836."""
    for auc, log_loss in ((0.8386, 0.3296), (0.8373, 0.3305), (0.8328, 0.3334), (0.8295, 0.3358)):
        assert base_rate(auc, log_loss) == pytest.approx(0.836, abs=0.003)
        assert calibrated_log_loss(auc, 0.778) > log_loss + 0.05


@pytest.mark.parametrize("auc", [0.5, 0.7, 0.95])
def test_a_rate_is_found_again(auc: float) -> None:
    assert base_rate(auc, calibrated_log_loss(auc, 0.9)) == pytest.approx(0.9, abs=1e-6)


def test_a_pair_of_no_calibrated_model_says_nothing() -> None:
    assert base_rate(0.5437, 0.9) is None


def test_what_is_no_auc_no_rate_and_no_loss_is_refused() -> None:
    for auc, rate in ((0.4, 0.5), (1.0, 0.5), (0.7, 0.0), (0.7, 1.0)):
        with pytest.raises(ValueError, match="Received"):
            calibrated_log_loss(auc, rate)
    with pytest.raises(ValueError, match="should be positive"):
        base_rate(0.7, 0.0)
