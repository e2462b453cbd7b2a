"""IARM's paper: rivals of which the best is compared with, settings as a curve, attention between fields."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.errors import MarqueeError
from common.settings import Settings
from feature_repo.store import open_store
from tests.toy_features import toy_home
from training.evaluate.attention import mean_attention
from training.fit import artefact as artefacts
from training.fit.configuration import committed_file
from training.papers import find_paper
from training.papers.drawings import pictures
from training.papers.iarm import ABLATIONS, IARM, LAYERS, MODELS
from training.papers.page import CHOSEN_ONCE, configured_table, markdown, table_of
from training.papers.results import Results, read_results
from training.papers.runner import reproduce

pytestmark = pytest.mark.training

KEPT = ("fm", "autoint", "iarm", "no_attention", "layers_0")
SMALL = replace(
    IARM,
    variants=tuple(variant for variant in IARM.variants if variant.key in KEPT),
    protocols={name: IARM.protocols[name] for name in ("dropped", "test_30")},
)
FIELDS = [
    "user_id",
    "movie_id",
    "user_age",
    "user_gender",
    "user_occupation",
    "user_zip_code",
    "movie_genres",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_home(tmp_path_factory.mktemp("home"), ratings=600)


@pytest.fixture(scope="module")
def results(home: Path) -> Results:
    store = open_store(Settings(home=home))
    quick = {"training.epochs": 2, "training.learning_rate": 0.02, "embedding.dim": 4}
    return reproduce(
        SMALL, store, home / "lake", home / "table", seeds=1, configure=lambda *_: quick, replicates=50
    )


def test_the_paper_can_be_made_and_has_all_of_its_rows() -> None:
    assert find_paper("iarm") is IARM
    IARM.check()
    keys = [variant.key for variant in IARM.variants]
    assert len(keys) == len(set(keys)) == len(MODELS) + 1 + len(ABLATIONS) + len(LAYERS) - 1
    assert set(LAYERS.values()) <= set(keys)
    for name, protocol in IARM.protocols.items():
        assert set(protocol.variants or ()) <= set(keys)
        recipe = IARM.recipe("iarm", name, {})
        assert recipe.service == "iarm_v1"
        assert recipe.is_leaky == (name != "in_time")


def test_a_table_has_the_rows_of_its_protocol(results: Results) -> None:
    under = {name: [row.variant for row in results.rows if row.protocol == name] for name in SMALL.protocols}
    assert under == {"dropped": list(KEPT), "test_30": ["fm", "autoint", "iarm"]}
    assert "IRM, without attention" in [row[0] for row in table_of(SMALL, results, "dropped")]


def test_all_are_compared_to_the_best_rival(results: Results) -> None:
    for protocol in SMALL.protocols:
        rows = {row.variant: row for row in results.rows if row.protocol == protocol}
        best = max(("fm", "autoint"), key=lambda key: rows[key].mean["roc_auc"])
        assert results.compared[protocol] == best
        assert rows[best].difference is None
        found = rows["iarm"].difference
        assert found is not None
        expected = rows["iarm"].mean["roc_auc"] - rows[best].mean["roc_auc"]
        assert found.difference == pytest.approx(expected, abs=1e-9)
        assert table_of(SMALL, results, protocol)[0][3] == f"ROC-AUC less {SMALL.variant(best).title}'s"


def test_attention_is_that_of_the_seven_fields_of_the_paper(results: Results, home: Path) -> None:
    found = {(each.protocol, each.variant): each for each in results.attention}
    assert set(found) == {(name, key) for name in SMALL.protocols for key in ("iarm", "autoint")}
    for each in found.values():
        assert sorted(each.fields) == sorted(FIELDS)
        weights = np.array(each.weights)
        assert weights.shape == (7, 7)
        assert (weights >= 0).all()
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    network = artefacts.load(home / "table" / "cells" / "dropped" / "fm" / "0").estimator.fitted
    with pytest.raises(MarqueeError, match="fm has no attention between fields"):
        mean_attention(network, {})


def test_figures_are_drawn_where_they_belong(results: Results, home: Path) -> None:
    assert set(pictures(SMALL, results, home / "table", "dropped")) == {"figure-4", "figure-5"}
    assert set(pictures(SMALL, results, home / "table", "test_30")) == set()
    page = markdown(SMALL, results, "x", "On toys", {"dropped-figure-4": "a.png"})
    assert "![figure 4](a.png)" in page
    assert "/ 0.8386" in page
    assert re.search(r"above_three: .*; true of \d\d\.\d % of \d+ rows", page.replace("%", " %"))
    assert "| IARM | 0.8386 | 0.3296 | 83.7% |" in page
    assert CHOSEN_ONCE in page
    chosen = configured_table(SMALL, results.parts)
    assert [row[0] for row in chosen[1:]] == [SMALL.variant(key).title for key in ("fm", "autoint", "iarm")]
    fm = committed_file("fm", "iarm")
    assert fm is not None
    assert chosen[1][1:4] == [f"{fm.trials + fm.pruned}", f"{fm.pruned}", f"dropped: {fm.data}"]
    assert read_results(home / "table") == results
