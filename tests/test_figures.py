"""Figures say what the numbers say, the same bytes each time."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from training.evaluate import class_figures, figures, number_figures, picture
from training.fit.curve import Curve, Epoch

RANDOM = np.random.default_rng(0)
LIKED = RANDOM.random(3000) < 0.6
SCORES = np.clip(0.3 * LIKED + RANDOM.random(3000) * 0.7, 0, 1)


def words(svg: str) -> list[str]:
    return [word.strip() for word in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


def test_roc_figure_names_each_model_with_its_auc() -> None:
    drawn = class_figures.roc_curves({"DIN": (LIKED, SCORES)})
    assert f"DIN  {roc_auc_score(LIKED, SCORES):.4f}" in words(drawn.light)


def test_same_figure_is_the_same_bytes() -> None:
    models = {"DIN": (LIKED, SCORES)}
    assert class_figures.precision_recall_curves(models) == class_figures.precision_recall_curves(models)


def test_dark_figure_differs_in_ink_only() -> None:
    drawn = class_figures.score_histogram("DIN", LIKED, SCORES, "liked")
    inks = dict(zip(picture.LIGHT, picture.DARK, strict=True))
    assert re.split("(#[0-9a-f]{6})", drawn.dark) == [
        inks.get(part, part) for part in re.split("(#[0-9a-f]{6})", drawn.light)
    ]
    assert all(light in drawn.light and light not in drawn.dark for light in inks)


def test_thinned_curve_keeps_its_ends() -> None:
    x = np.linspace(0, 1, 5000)
    kept, _ = picture.thinned(x, x)
    assert len(kept) == picture.POINTS
    assert (kept[0], kept[-1]) == (0, 1)


def test_training_curve_has_a_panel_for_each_model() -> None:
    curve = Curve([Epoch(1, 0.7, {"log_loss": 0.69}), Epoch(2, 0.6, {"log_loss": 0.65})], best=2)
    shown = words(figures.training_curves({"DIN": curve, "MMDIN": curve}, "log_loss").light)
    assert {"DIN", "MMDIN", "log loss"} <= set(shown)


def test_histograms_tell_the_share_that_is_missing() -> None:
    columns = {"user_rating_mean": np.array([1.0, 2.0, np.nan, 4.0])}
    assert "user_rating_mean  (missing 25%)" in words(figures.histograms(columns, "").light)


@pytest.mark.parametrize("labels", [["a"], [str(year) for year in range(1990, 2020)]])
def test_bars_label_at_most_ten_categories(labels: list[str]) -> None:
    shown = words(figures.bars(labels, [1.0] * len(labels), "x", "").light)
    assert 1 <= len(set(shown) & set(labels)) <= 10


def test_class_balance_tells_the_share_of_each_class_in_each_part() -> None:
    parts = {"train": (3, 4), "test": (1, 2)}
    shown = words(class_figures.class_balance(parts, "liked").light)
    assert {"train", "test", "75.0%", "25.0%", "50.0%", "liked", "not liked"} <= set(shown)


def test_scatter_names_the_threshold_and_repeats() -> None:
    drawn = class_figures.score_scatter("MMDIN", LIKED, SCORES, 0.3853, "liked")
    assert "threshold 0.385" in words(drawn.light)
    assert drawn == class_figures.score_scatter("MMDIN", LIKED, SCORES, 0.3853, "liked")
    assert drawn != class_figures.score_scatter("MMDIN", LIKED, SCORES, 0.3853, "liked", seed=1)


def test_metric_bars_name_every_metric_and_model() -> None:
    values = {"DIN": {"ROC-AUC": 0.8, "F1": 0.7}, "MMDIN": {"ROC-AUC": 0.81, "F1": 0.72}}
    spread = {"DIN": {"ROC-AUC": 0.01, "F1": 0.02}, "MMDIN": {"ROC-AUC": 0.01, "F1": 0.0}}
    assert {"ROC-AUC", "F1", "DIN", "MMDIN"} <= set(words(figures.metric_bars(values).light))
    assert figures.metric_bars(values, spread).light != figures.metric_bars(values).light


def test_png_is_a_picture_of_the_same_figure_on_white() -> None:
    found = class_figures.roc_curves({"DIN": (LIKED, SCORES)}).png()
    image = Image.open(io.BytesIO(found))
    assert image.format == "PNG"
    assert image.width == round(picture.SIZE[0] * 160)
    assert image.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
    assert len(set(image.convert("RGB").getdata())) > 10
    assert found == class_figures.roc_curves({"DIN": (LIKED, SCORES)}).png()


def test_error_figures_name_the_mean_error_and_tell_many_values_in_bands() -> None:
    values = RANDOM.uniform(0, 5, 2000)
    pair = values, values + 0.25
    shown = words(number_figures.error_curves({"MF": pair}).light)
    assert "MF  0.2500" in shown
    for some in (values, np.round(values)):
        drawn = number_figures.by_value("MF", some, some + 0.25)
        assert {"value", "predicted"} <= set(words(drawn.light))
        assert drawn.light != drawn.dark
