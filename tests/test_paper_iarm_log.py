"""IARM's paper on a click log."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.errors import MarqueeError
from feature_repo.domains.clicks import LOGS
from tests.small_log import LOG, SMALL, log_rows, write_log
from training.data import log as log_module
from training.papers import find_paper
from training.papers.iarm import LEAST, PUBLISHED, on_log
from training.papers.page import configured_told, markdown, table_of
from training.papers.runner import reproduce

pytestmark = pytest.mark.training


@pytest.mark.parametrize("name", LOGS)
def test_every_log_has_the_papers_tables_beside_its_own_figures(name: str) -> None:
    paper = find_paper("iarm", LOGS[name])
    paper.check()
    published = {variant.key: variant.published for variant in paper.variants if variant.published}
    assert set(published) == set(PUBLISHED.get(name, ()))
    shares = {each: how.shares for each, how in paper.protocols.items()}
    assert shares["at_random"] == shares["in_time"] == (0.8, 0.1, 0.1)
    assert shares["test_30"] == (0.6, 0.1, 0.3)
    recipe = paper.recipe("fm", "in_time", {})
    assert (recipe.service, recipe.is_leaky) == (f"clicks_{name.split('_')[0]}", False)
    assert recipe.settings.inputs.min_category_count == LEAST[name]


def test_a_paper_of_joined_features_is_none_of_logs() -> None:
    with pytest.raises(MarqueeError, match="mmdin reads features that are joined, and criteo is a log"):
        find_paper("mmdin", LOGS["criteo"])


def test_a_table_on_a_log_that_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path / "lake", log_rows(900))
    prepare = log_module.prepare_log
    monkeypatch.setattr("training.papers.runner.prepare_log", lambda *args: prepare(*args, block=300))
    whole = on_log(SMALL)
    paper = replace(
        whole,
        variants=tuple(variant for variant in whole.variants if variant.key in ("fm", "iarm")),
        protocols={"at_random": whole.protocols["at_random"]},
    )
    quick = {"training.epochs": 1, "embedding.dim": 4, "training.batch_size": 128}
    results = reproduce(
        paper, None, tmp_path / "lake", tmp_path / "out", seeds=1, configure=lambda *_: quick, replicates=20
    )
    assert [row.variant for row in results.rows] == ["fm", "iarm"]
    assert sum(of for _, of in results.parts["at_random"].values()) == 900
    (attention,) = results.attention
    assert sorted(attention.fields) == sorted(column.name for part in SMALL.fields for column in part.columns)
    np.testing.assert_allclose(np.array(attention.weights).sum(axis=1), 1, rtol=1e-5)
    assert table_of(paper, results, "at_random")[0][0] == "model"
    assert "clicked" in markdown(paper, results, "x", f"On {LOG.name}", {})
    rare = replace(paper, config={**paper.config, "inputs.min_category_count": 1000})
    assert configured_told(paper, ["at_random"]) == ""
    assert configured_told(rare, ["at_random"]).startswith("Values that fewer than 1,000 training rows have")
