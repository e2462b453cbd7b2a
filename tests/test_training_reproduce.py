"""The paper's table: complete, resumable, and honest about what leaks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feast import FeatureStore

from common.errors import MarqueeError
from feature_repo.store import open_store
from tests.toy_features import toy_home
from training import artefact as artefacts
from training import reproduce as module
from training.models import MODELS
from training.reproduce import TABLE, Results, Variant, markdown, read_results, reproduce

# Trees and regression stand in for the networks where only the bookkeeping is tested: they train in a moment.
SMALL = (
    Variant("din", "DIN", "gbt", paper={"roc_auc": 0.787}),
    Variant("logistic", "Logistic regression", "logistic"),
    Variant("stump", "Stumps", "gbt", {"leaves": 2}, ablation=True),
)
QUICK: dict[str, dict[str, Any]] = {"gbt": {"iterations": 10, "min_leaf": 10}, "logistic": {"iterations": 50}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_home(tmp_path_factory.mktemp("home"), ratings=600)


@pytest.fixture(scope="module")
def store(home: Path) -> FeatureStore:
    return open_store(home)


@pytest.fixture(scope="module")
def results(home: Path, store: FeatureStore) -> Results:
    return reproduce(
        store, home / "lake", home / "table", seeds=2, variants=SMALL, config=QUICK, replicates=50
    )


def test_table_has_the_papers_models_the_references_and_the_ablations() -> None:
    assert {variant.model for variant in TABLE} == set(MODELS)
    assert {variant.key for variant in TABLE if variant.ablation} == {
        "no_multimodal",
        "one_head",
        "no_resnet",
        "sum_pooling",
    }
    for variant in TABLE:
        MODELS[variant.model].config_class.of(variant.config)
    paper = {variant.key: variant.paper["roc_auc"] for variant in TABLE if variant.paper}
    assert paper == {
        "neuralcf": 0.7295,
        "embedding_mlp": 0.7553,
        "deepfm": 0.7802,
        "din": 0.7870,
        "mmdin": 0.8006,
    }


def test_every_variant_has_a_row_under_both_protocols(results: Results) -> None:
    assert [(row.protocol, row.variant) for row in results.rows] == [
        (protocol, variant.key) for protocol in ("honest", "paper") for variant in SMALL
    ]
    assert {row.seeds for row in results.rows} == {2}


def test_mean_and_deviation_are_those_of_the_cells(home: Path, results: Results) -> None:
    for row in results.rows:
        folder = home / "table" / "cells" / row.protocol / row.variant
        aucs = [artefacts.read_metrics(folder / str(seed))["test"]["roc_auc"] for seed in range(2)]
        assert row.mean["roc_auc"] == pytest.approx(np.mean(aucs))
        assert row.deviation["roc_auc"] == pytest.approx(abs(aucs[0] - aucs[1]) / np.sqrt(2))


def test_differences_are_to_din_on_the_same_rows(results: Results) -> None:
    means = {(row.protocol, row.variant): row.mean["roc_auc"] for row in results.rows}
    for row in results.rows:
        if row.variant == "din":
            assert row.difference is None
        else:
            assert row.difference is not None
            expected = means[row.protocol, row.variant] - means[row.protocol, "din"]
            assert row.difference.difference == pytest.approx(expected)


def test_each_leak_is_measured_alone(results: Results) -> None:
    honest = next(row.mean["roc_auc"] for row in results.rows if row.variant == "din")
    assert [gap.leak for gap in results.gaps] == ["random split", "movie_rating_stats", "user_rating_stats"]
    for gap in results.gaps:
        assert gap.gain == pytest.approx(gap.auc - honest)


def test_only_the_leaking_view_is_replaced() -> None:
    from tests.toy_features import toy_table

    given = [
        module.Prepared(toy_table(20, "gbt_v1", seed=seed), "gbt_v1", protocol, 3.5, {}, 20)
        for seed, protocol in ((1, "honest"), (2, "paper"))
    ]
    table = module._with_leak(*given, "user_rating_stats").table
    assert table["user_rating_mean"].equals(given[1].table["user_rating_mean"])
    assert table["movie_rating_mean"].equals(given[0].table["movie_rating_mean"])
    assert table["liked"].equals(given[0].table["liked"])


def test_a_finished_cell_is_not_trained_again_and_a_cut_off_one_is(
    home: Path, store: FeatureStore, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    train_on = module.train_on

    def watched(prepared: Any, model: str, out: Path, **rest: Any) -> Any:
        trained.append(str(out.relative_to(home / "table" / "cells")))
        return train_on(prepared, model, out, **rest)

    monkeypatch.setattr(module, "train_on", watched)

    def again(**changed: Any) -> Results:
        trained.clear()
        return reproduce(
            store,
            home / "lake",
            home / "table",
            **{"seeds": 2, "variants": SMALL, "config": QUICK, "replicates": 50, **changed},
        )

    assert again() == results
    assert trained == []
    (home / "table" / "cells" / "honest" / "stump" / "1.cell.json").unlink()
    assert again() == results
    assert trained == ["honest/stump/1"]
    again(config={**QUICK, "logistic": {"iterations": 60}})
    assert trained == [f"{protocol}/logistic/{seed}" for protocol in ("honest", "paper") for seed in (0, 1)]


def test_results_come_back_from_their_file(home: Path, results: Results, tmp_path: Path) -> None:
    assert read_results(home / "table").rows[0].variant == "din"
    with pytest.raises(MarqueeError, match="There are no results at"):
        read_results(tmp_path)
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(MarqueeError, match="is damaged"):
        read_results(tmp_path)
    assert results.rows


def test_page_marks_the_leak_and_shows_the_papers_figure_beside_ours(results: Results) -> None:
    page = markdown(results, "marquee reproduce mmdin", SMALL)
    assert "`marquee reproduce mmdin`" in page
    assert "It leaks the future" in page
    row = results.rows[0]
    assert f"| DIN | {row.mean['roc_auc']:.4f} ± {row.deviation['roc_auc']:.4f} |" in page
    assert "| 0.7870 |" in page
    assert "| random split |" in page


def test_bad_requests_are_refused(home: Path, store: FeatureStore) -> None:
    lake = home / "lake"
    with pytest.raises(MarqueeError, match="at least one seed"):
        reproduce(store, lake, home / "x", seeds=0)
    with pytest.raises(MarqueeError, match="Unknown protocol"):
        reproduce(store, lake, home / "x", protocols=["fair"])
    with pytest.raises(MarqueeError, match="The table needs din"):
        reproduce(store, lake, home / "x", variants=SMALL[1:])
