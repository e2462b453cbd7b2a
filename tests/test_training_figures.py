"""The paper's further figures, and figures as PNG."""

import io
import re

import numpy as np
from PIL import Image

from training.evaluate import figures

RANDOM = np.random.default_rng(0)
LIKED = RANDOM.random(5000) < 0.6
SCORES = figures.Scores(LIKED, np.clip(0.3 * LIKED + RANDOM.random(5000) * 0.7, 0, 1))


def words(svg: str) -> list[str]:
    return [word.strip() for word in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


def test_class_balance_tells_the_share_of_each_class_in_each_part() -> None:
    parts = {"train": np.array([True] * 3 + [False]), "test": np.array([True, False])}
    shown = words(figures.class_balance(parts).light)
    assert {"train", "test", "75.0%", "25.0%", "50.0%"} <= set(shown)


def test_scatter_names_the_threshold_and_repeats() -> None:
    picture = figures.score_scatter("MMDIN", SCORES, threshold=0.3853)
    assert "threshold 0.385" in words(picture.light)
    assert picture == figures.score_scatter("MMDIN", SCORES, threshold=0.3853)
    assert picture != figures.score_scatter("MMDIN", SCORES, threshold=0.3853, seed=1)


def test_metric_bars_name_every_metric_and_model() -> None:
    values = {"DIN": {"ROC-AUC": 0.8, "F1": 0.7}, "MMDIN": {"ROC-AUC": 0.81, "F1": 0.72}}
    spread = {"DIN": {"ROC-AUC": 0.01, "F1": 0.02}, "MMDIN": {"ROC-AUC": 0.01, "F1": 0.0}}
    assert {"ROC-AUC", "F1", "DIN", "MMDIN"} <= set(words(figures.metric_bars(values).light))
    assert figures.metric_bars(values, spread).light != figures.metric_bars(values).light


def test_png_is_a_picture_of_the_same_figure_on_white() -> None:
    found = figures.roc_curves({"DIN": SCORES}).png()
    picture = Image.open(io.BytesIO(found))
    assert picture.format == "PNG"
    assert picture.width == round(figures.SIZE[0] * 160)
    assert picture.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
    assert len(set(picture.convert("RGB").getdata())) > 10
    assert found == figures.roc_curves({"DIN": SCORES}).png()
