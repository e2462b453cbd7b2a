"""Figures say what the numbers say, the same bytes each time."""

import re

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training.evaluate import figures
from training.fit.curve import Curve, Epoch

RANDOM = np.random.default_rng(0)
LIKED = RANDOM.random(3000) < 0.6
SCORES = figures.Scores(LIKED, np.clip(0.3 * LIKED + RANDOM.random(3000) * 0.7, 0, 1))


def words(svg: str) -> list[str]:
    return [word.strip() for word in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


def test_roc_figure_names_each_model_with_its_auc() -> None:
    picture = figures.roc_curves({"DIN": SCORES})
    assert f"DIN  {roc_auc_score(SCORES.liked, SCORES.scores):.4f}" in words(picture.light)


def test_same_figure_is_the_same_bytes() -> None:
    assert figures.precision_recall_curves({"DIN": SCORES}) == figures.precision_recall_curves(
        {"DIN": SCORES}
    )


def test_dark_figure_differs_in_ink_only() -> None:
    picture = figures.score_histogram("DIN", SCORES)
    assert words(picture.light) == words(picture.dark)
    assert picture.light != picture.dark


def test_thinned_curve_keeps_its_ends() -> None:
    x = np.linspace(0, 1, 5000)
    kept, _ = figures._thinned(x, x)
    assert len(kept) == figures.POINTS
    assert (kept[0], kept[-1]) == (0, 1)


def test_training_curve_has_a_panel_for_each_model() -> None:
    curve = Curve([Epoch(1, 0.7, 0.69), Epoch(2, 0.6, 0.65)], best=2)
    shown = words(figures.training_curves({"DIN": curve, "MMDIN": curve}).light)
    assert {"DIN", "MMDIN"} <= set(shown)


def test_histograms_tell_the_share_that_is_missing() -> None:
    columns = {"user_rating_mean": np.array([1.0, 2.0, np.nan, 4.0])}
    assert "user_rating_mean  (missing 25%)" in words(figures.histograms(columns, "").light)


@pytest.mark.parametrize("labels", [["a"], [str(year) for year in range(1990, 2020)]])
def test_bars_label_at_most_ten_categories(labels: list[str]) -> None:
    shown = words(figures.bars(labels, [1.0] * len(labels), "x", "").light)
    assert 1 <= len(set(shown) & set(labels)) <= 10
