"""The paper's table: complete, resumable, and honest about what leaks."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore

from common.errors import MarqueeError
from common.settings import Settings
from feature_repo.define.task import Binary, Regression
from feature_repo.domains.movies import DOMAIN
from feature_repo.store import open_store
from tests.toy_features import toy_home, toy_table
from tests.training_runs import prepared
from training.data.labels import read_labels
from training.evaluate.metrics import roc_auc
from training.fit import artefact as artefacts
from training.models import MODELS
from training.papers import cells as cell_module
from training.papers import find_paper
from training.papers.drawings import pictures
from training.papers.mmdin import MMDIN
from training.papers.page import leaks_table, markdown, summary_of, table_of, with_part
from training.papers.paper import Protocol, Variant
from training.papers.results import Results, read_results
from training.papers.runner import reproduce
from training.papers.studies import earlier_events, with_leak

pytestmark = pytest.mark.training

# Trees and regression stand in for the networks where only the bookkeeping is tested: they train in a moment.
assert MMDIN.histories is not None
SMALL = replace(
    MMDIN,
    variants=(
        Variant("din", "DIN", "gbt", published={"roc_auc": 0.787}),
        Variant("logistic", "Logistic regression", "logistic"),
        Variant("mmdin", "MMDIN", "gbt", {"leaves": 8}),
        Variant("stump", "Stumps", "gbt", {"leaves": 2}, ablates="mmdin"),
    ),
    histories=replace(MMDIN.histories, fewest=10),
)
QUICK: dict[str, dict[str, Any]] = {"gbt": {"iterations": 10, "min_leaf": 10}, "logistic": {"iterations": 50}}


def quick(model: str, protocol: str) -> dict[str, Any]:  # noqa: ARG001
    return QUICK[model]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_home(tmp_path_factory.mktemp("home"), ratings=600)


@pytest.fixture(scope="module")
def store(home: Path) -> FeatureStore:
    return open_store(Settings(home=home))


@pytest.fixture(scope="module")
def truth(home: Path) -> Path:
    """As if the stars were what the likes were drawn from."""
    labels = read_labels(home / "lake", DOMAIN).table
    likes = labels.select(["user_id", "movie_id", "event_timestamp"]).append_column(
        "like_probability", pa.array(labels["rating"].to_numpy() / 5)
    )
    pq.write_table(likes, home / "truth.parquet")
    return home / "truth.parquet"


@pytest.fixture(scope="module")
def results(home: Path, store: FeatureStore, truth: Path) -> Results:
    return reproduce(
        SMALL,
        store,
        home / "lake",
        home / "table",
        seeds=2,
        configure=quick,
        replicates=50,
        truth=truth,
    )


def test_table_has_the_papers_models_the_references_and_the_ablations() -> None:
    assert find_paper("mmdin") is find_paper("mmdin") is MMDIN
    MMDIN.check()
    assert {variant.model for variant in MMDIN.variants} <= set(MODELS)
    assert {variant.key for variant in MMDIN.variants if variant.ablates} == {
        "no_multimodal",
        "one_head",
        "no_resnet",
        "sum_pooling",
    }
    published = {v.key: v.published["roc_auc"] for v in MMDIN.variants if v.published}
    assert published == {
        "neuralcf": 0.7295,
        "embedding_mlp": 0.7553,
        "deepfm": 0.7802,
        "din": 0.7870,
        "mmdin": 0.8006,
    }


def test_every_variant_has_a_row_under_both_protocols(results: Results) -> None:
    assert [(row.protocol, row.variant) for row in results.rows] == [
        (protocol, variant.key) for protocol in ("honest", "paper") for variant in SMALL.variants
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
        if row.variant == "stump":
            assert row.ablated is not None
            expected = means[row.protocol, row.variant] - means[row.protocol, "mmdin"]
            assert row.ablated.difference == pytest.approx(expected)
        else:
            assert row.ablated is None


def test_scores_of_other_rows_are_not_compared(tmp_path: Path) -> None:
    """Rows in another order are the same rows, and each score stays with its own."""
    rows = pa.table({"user_id": [1, 2, 3], "liked": [True, False, True], "score": [0.5, 0.25, 0.75]})
    other = rows.set_column(0, "user_id", pa.array([1, 2, 4]))
    for name, table in {"one": rows, "turned": rows.take([2, 0, 1]), "other": other}.items():
        (tmp_path / name).mkdir()
        pq.write_table(table, tmp_path / name / artefacts.PREDICTIONS)
    shared, scores = cell_module.scores_of([tmp_path / "one", tmp_path / "turned"])
    assert shared.equals(rows.drop_columns(["score"]))
    assert [list(found) for found in scores] == [[0.5, 0.25, 0.75]] * 2
    with pytest.raises(MarqueeError, match=r"other scored other test rows than .*one"):
        cell_module.scores_of([tmp_path / "one", tmp_path / "other"])


def test_earlier_events_are_counted_one_by_one() -> None:
    random = np.random.default_rng(1)
    users, instants = random.integers(0, 5, 80), random.integers(0, 20, 80)
    table = pa.table(
        {"user_id": users, "event_timestamp": pa.array(instants).cast(pa.timestamp("us", "UTC"))}
    )
    expected = [
        sum(u == user and t < instant for u, t in zip(users, instants, strict=True))
        for user, instant in zip(users, instants, strict=True)
    ]
    assert earlier_events(table, "user_id").tolist() == expected


def test_attainable_gain_is_told_by_length_of_history(home: Path, results: Results) -> None:
    for row in results.rows:
        assert row.best_auc == 1.0  # the rating itself says whether it was liked
        assert row.share == pytest.approx((row.mean["roc_auc"] - 0.5) / 0.5)
    ratings = read_labels(home / "lake", DOMAIN).table.select(["user_id", "event_timestamp"]).to_pylist()
    for protocol in ("honest", "paper"):
        (band,) = (b for b in results.bands if (b.protocol, b.low) == (protocol, 5))
        cells = [home / "table" / "cells" / protocol / "mmdin" / str(seed) for seed in range(2)]
        scored = [artefacts.read_predictions(cell).to_pylist() for cell in cells]
        within = [
            5
            <= sum(
                rating["user_id"] == row["user_id"] and rating["event_timestamp"] < row["event_timestamp"]
                for rating in ratings
            )
            <= 19
            for row in scored[0]
        ]
        aucs = [
            roc_auc(*(np.array([row[name] for row in rows])[within] for name in ("liked", "score")))
            for rows in scored
        ]
        assert band.rows == sum(within)
        assert band.auc["mmdin"] == pytest.approx(np.mean(aucs))
        assert band.share("mmdin") == pytest.approx((np.mean(aucs) - 0.5) / 0.5)


def test_each_leak_is_measured_alone(results: Results) -> None:
    honest = next(row.mean["roc_auc"] for row in results.rows if row.variant == "mmdin")
    assert results.leak_title == "MMDIN"
    assert [worth.leak for worth in results.leaks] == [
        "random split",
        "movie_rating_stats",
        "user_rating_stats",
    ]
    for worth in results.leaks:
        assert worth.gain == pytest.approx(worth.value - honest)


def test_only_the_leaking_view_is_replaced() -> None:
    given = [
        prepared("gbt_v1", table=toy_table(20, "gbt_v1", seed=seed), protocol=protocol)
        for seed, protocol in ((1, "honest"), (2, "paper"))
    ]
    table = with_leak(*given, "user_rating_stats").table
    assert table["user_rating_mean"].equals(given[1].table["user_rating_mean"])
    assert table["movie_rating_mean"].equals(given[0].table["movie_rating_mean"])
    assert table["liked"].equals(given[0].table["liked"])


def test_a_finished_cell_is_not_trained_again_and_a_cut_off_or_damaged_one_is(
    home: Path, store: FeatureStore, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    train_on = cell_module.train_on

    def watched(given: Any, recipe: Any, out: Path, **rest: Any) -> Any:
        trained.append(str(out.relative_to(home / "table" / "cells")))
        return train_on(given, recipe, out, **rest)

    monkeypatch.setattr(cell_module, "train_on", watched)

    told: list[bool] = []

    def again(**changed: Any) -> Results:
        trained.clear()
        told.clear()
        return reproduce(
            SMALL,
            store,
            home / "lake",
            home / "table",
            **{"seeds": 2, "configure": quick, "replicates": 50, **changed},
            truth=home / "truth.parquet",
            on_cell=lambda *cell: told.append(cell[-1]),
        )

    assert again() == results
    assert trained == []
    assert len(told) == 2 * (2 * len(SMALL.variants) + 3)
    assert not any(told)
    cells = home / "table" / "cells"
    (cells / "honest" / "stump" / "1.cell.json").unlink()
    assert again() == results
    assert trained == ["honest/stump/1"]
    assert sum(told) == 1
    for name in ("metrics.json", "predictions.parquet", "manifest.json"):
        (cells / "paper" / "stump" / "0" / name).write_text("{")
        assert again() == results
        assert trained == ["paper/stump/0"]
        (cells / "paper" / "stump" / "0" / name).unlink()
        assert again() == results
        assert trained == ["paper/stump/0"]
    metrics = cells / "paper" / "stump" / "0" / "metrics.json"
    improved, count = re.subn(r'("roc_auc": )0\.\d+', r"\g<1>0.9999", metrics.read_text())
    assert count
    metrics.write_text(improved)
    assert again() == results
    assert trained == ["paper/stump/0"]
    again(
        configure=lambda model, protocol: (
            {"iterations": 60} if model == "logistic" else quick(model, protocol)
        )
    )
    assert trained == [f"{protocol}/logistic/{seed}" for protocol in ("honest", "paper") for seed in (0, 1)]


def test_cells_say_which_recipe_made_them(home: Path, results: Results) -> None:
    assert results.rows
    cells = home / "table" / "cells"
    made = artefacts.read_manifest(cells / "leaks" / "user_rating_stats" / "1").recipe
    assert (made.leak, made.seed, made.split, made.protocol) == ("user_rating_stats", 1, "time", "honest")
    assert made.is_leaky
    assert artefacts.read_manifest(cells / "leaks" / "random_split" / "0").recipe.split == "random"
    assert not artefacts.read_manifest(cells / "honest" / "din" / "0").recipe.is_leaky


def test_results_come_back_from_their_file(home: Path, results: Results, tmp_path: Path) -> None:
    assert read_results(home / "table") == results
    with pytest.raises(MarqueeError, match="There are no results at"):
        read_results(tmp_path)
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(MarqueeError, match="is damaged"):
        read_results(tmp_path)


def test_page_marks_the_leak_and_shows_the_papers_figure_beside_ours(results: Results) -> None:
    links = {"honest-figure-2": "x/2.png"}
    page = markdown(SMALL, results, "marquee reproduce mmdin", "On toys", links)
    assert "`marquee reproduce mmdin`" in page
    assert "It leaks the future" in page
    row = results.rows[0]
    assert f"| DIN | {row.mean['roc_auc']:.4f} ± {row.deviation['roc_auc']:.4f} / 0.7870 |" in page
    assert "| random split |" in page
    assert "By length of the user's history" in page
    assert "| ROC-AUC less DIN's | less MMDIN's |" in page
    assert "![figure 2](x/2.png)" in page
    assert "The true probabilities reach 1.0000" in page


def test_a_part_of_the_page_takes_its_own_place_only() -> None:
    page = with_part("", "Results", "one", "first")
    page = with_part(page, "Results", "two", "second")
    again = with_part(page, "Results", "one", "third")
    assert page.startswith("# Results\n")
    assert "first" not in again
    assert again.index("third") < again.index("second")
    assert with_part(again, "Results", "one", "first") == page


def test_the_papers_figures_are_drawn_from_the_cells(home: Path, results: Results) -> None:
    found = pictures(SMALL, results, home / "table", "paper")
    assert list(found) == ["figure-2", "figure-3", "figure-4", "figure-5", "figure-6"]
    assert all(picture.png().startswith(b"\x89PNG") for picture in found.values())
    assert "Stumps" not in found["figure-4"].light
    row = next(row for row in results.rows if (row.protocol, row.variant) == ("paper", "mmdin"))
    aucs = artefacts.read_metrics(home / "table" / "cells" / "paper" / "mmdin" / "0")["test"]["roc_auc"]
    assert f"MMDIN  {aucs:.4f}" in found["figure-4"].light
    assert row.seeds == 2


def test_bad_requests_are_refused(home: Path, store: FeatureStore) -> None:
    lake = home / "lake"
    with pytest.raises(MarqueeError, match="at least one seed"):
        reproduce(SMALL, store, lake, home / "x", seeds=0)
    with pytest.raises(MarqueeError, match="no protocol 'fair': known: honest, paper"):
        reproduce(SMALL, store, lake, home / "x", protocols=["fair"])
    with pytest.raises(MarqueeError, match="The table needs din"):
        reproduce(replace(SMALL, variants=SMALL.variants[1:]), store, lake, home / "x")
    with pytest.raises(MarqueeError, match="no paper 'mmdim': did you mean mmdin"):
        find_paper("mmdim")
    assert not (home / "x").exists()


def test_a_protocol_says_how_its_table_is_made() -> None:
    loved = Binary("loved", "rating", 5.0)
    paper = replace(
        SMALL,
        service="din_v2",
        config={"inputs.context": False},
        protocols={
            **SMALL.protocols,
            "loved": Protocol("Loved", "honest", split="random", shares=(0.5, 0.2, 0.3), task=loved),
        },
    )
    paper.check()
    made = paper.recipe(paper.variant("din").model, "loved", {"iterations": 3}, seed=4)
    assert (made.task, made.split, made.shares) == (loved, "random", (0.5, 0.2, 0.3))
    assert (made.service, made.protocol, made.seed) == ("din_v2", "honest", 4)
    assert made.config["inputs"]["context"] is False
    assert made.config["iterations"] == 3
    assert paper.recipe(paper.variant("din").model, "paper", {}).split == "random"
    assert paper.task_under("honest") == SMALL.task


def test_another_paper_is_a_declaration_alone(home: Path, store: FeatureStore, tmp_path: Path) -> None:
    """Another task, other metrics, one protocol, no studies: runner and page know none of it."""
    paper = replace(
        SMALL,
        key="stars",
        title="Stars, reproduced",
        task=Regression("stars", "rating"),
        protocols={"honest": Protocol("In time", "honest")},
        variants=(
            Variant("trees", "Trees", "gbt", published={"rmse": 0.9}),
            Variant("stump", "Stumps", "gbt", {"leaves": 2}, ablates="trees"),
        ),
        compared_to="trees",
        full="trees",
        judged_by="rmse",
        metrics=("rmse", "mae"),
        shown={"rmse": "RMSE", "mae": "MAE"},
        leaks=None,
        histories=None,
        figures=(),
    )
    found = reproduce(paper, store, home / "lake", tmp_path, seeds=2, configure=quick, replicates=50)
    head, trees, stump = table_of(paper, found, "honest")
    assert head == ["model", "RMSE", "MAE", "RMSE less Trees's", "less Trees's"]
    row = found.rows[0]
    assert trees[1] == f"{row.mean['rmse']:.4f} ± {row.deviation['rmse']:.4f} / 0.9000"
    assert found.rows[1].mean["rmse"] > row.mean["rmse"]
    assert stump[3].startswith("+")
    told = ["The label is stars: rating itself.", f"First is Trees with {row.mean['rmse']:.4f}."]
    assert summary_of(paper, found, "honest") == told
    assert leaks_table(paper, found)[1:] == []
    assert "In time" in markdown(paper, found, "x", "On toys")
    assert pictures(paper, found, tmp_path, "honest") == {}
    assert read_results(tmp_path) == found
