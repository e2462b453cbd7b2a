"""Training: the way from the lake to an artefact, once more, and scored again."""

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from feast import FeatureStore

from common.errors import MarqueeError
from common.settings import Settings
from feature_repo.domains.movies import DOMAIN
from feature_repo.store import open_store
from tests.toy_features import START, toy_home, toy_table
from tests.training_runs import LIKED, liked_from, prepared, recipe, train
from training.data.labels import read_labels, row_names
from training.data.prepared import joined, prepare
from training.evaluate.attainable import best_attainable_auc
from training.evaluate.metrics import roc_auc
from training.fit import artefact as artefacts
from training.fit.repeat import Repeated, train_like
from training.fit.rescore import rescore
from training.fit.train import train_on
from training.models import model
from training.models.logistic import LogisticConfig
from training.tasks import Metrics

pytestmark = pytest.mark.training

QUICK = {"training.epochs": 2, "training.batch_size": 256}
NAMES = row_names(DOMAIN.events)
PROBABILITY = "like_probability"


def opened(home: Path, versions: dict[str, int] | None = None) -> FeatureStore:
    return open_store(Settings(home=home), versions)


def repeated(run: Path, home: Path, out: Path) -> Repeated:
    return train_like(run, home / "lake", out, DOMAIN, lambda versions: opened(home, versions))


def scored_again(run: Path, home: Path, now: bool = False) -> Metrics:
    return rescore(run, home / "lake", DOMAIN, lambda versions: opened(home, versions), now=now)


def sign(run: Path) -> None:
    """Make the manifest say that the files of an artefact are as they were saved."""
    file = run / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["files"] = {name: sha256((run / name).read_bytes()).hexdigest() for name in manifest["files"]}
    file.write_text(json.dumps({**manifest, "digest": ""}))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def store(home: Path) -> FeatureStore:
    return opened(home)


@pytest.fixture(scope="module")
def trained(home: Path, store: FeatureStore) -> dict[str, Any]:
    return {
        key: train(store, home / "lake", key, home / "runs" / key, config=config)
        for key, config in (("gbt", {"iterations": 30, "min_leaf": 10}), ("din", QUICK), ("mmdin", QUICK))
    }


class TestTrain:
    def test_label_rows_asked_are_returned_and_none_is_lost(self, trained: dict[str, Any]) -> None:
        for result in trained.values():
            assert result.labels_asked == result.labels_returned == sum(result.rows.values()) == 1200
            assert not result.recipe.is_leaky
            assert result.metrics["rows"] == result.rows["test"] == 240

    def test_columns_that_the_configuration_does_not_read_are_named(self, trained: dict[str, Any]) -> None:
        assert trained["gbt"].unread == ("user_rating_first_at", "user_top_genres", "movie_genres")
        assert trained["mmdin"].unread == ()

    def test_models_learn_what_the_features_say(self, trained: dict[str, Any]) -> None:
        for key, result in trained.items():
            assert result.metrics["roc_auc"] > 0.7, key

    def test_test_rows_are_later_than_all_that_was_trained_on(
        self, home: Path, trained: dict[str, Any]
    ) -> None:
        labels = read_labels(home / "lake", DOMAIN).table
        predictions = artefacts.read_predictions(trained["din"].folder)
        expected = labels.slice(labels.num_rows - predictions.num_rows)
        for column in ("user_id", "movie_id", "event_timestamp", "liked"):
            assert predictions[column].to_pylist() == expected[column].to_pylist()

    def test_threshold_is_chosen_on_the_validation_rows(self, trained: dict[str, Any]) -> None:
        for result in trained.values():
            assert result.metrics["threshold"] == result.validation["threshold"]

    def test_manifest_says_what_made_it(self, trained: dict[str, Any]) -> None:
        manifest = artefacts.read_manifest(trained["mmdin"].folder)
        made = manifest.recipe
        assert made == trained["mmdin"].recipe
        assert (made.domain, made.model, made.service) == (DOMAIN.name, "mmdin", "mmdin_v1")
        assert (made.task, made.protocol, made.seed) == (LIKED, "honest", 0)
        assert (made.split, made.shares, made.split_seed) == ("time", (0.72, 0.08, 0.2), 0)
        assert made.config["training"]["epochs"] == 2
        assert not made.is_leaky
        views = {view.name for view in DOMAIN.services["mmdin_v1"]}
        assert set(manifest.versions) == views | {"ratings"}
        assert manifest.rows["asked"] == 1200
        assert manifest.packages["keras"]

    def test_predictions_of_the_reloaded_artefact_are_identical(
        self, store: FeatureStore, trained: dict[str, Any]
    ) -> None:
        from training.data.dataset import point_in_time

        for key, result in trained.items():
            artefact = artefacts.load(result.folder)
            rows = artefact.predictions.select(["user_id", "movie_id", "event_timestamp"])
            table = point_in_time(store, DOMAIN, model(key).service, rows)
            np.testing.assert_array_equal(artefact.score(table), artefact.predictions["score"].to_numpy())

    def test_evaluation_gives_the_metrics_again(self, home: Path, trained: dict[str, Any]) -> None:
        for result in trained.values():
            assert scored_again(result.folder, home) == result.metrics

    def test_evaluation_is_of_the_tables_that_were_read_unless_todays_are_asked_for(
        self, tmp_path: Path
    ) -> None:
        home = toy_home(tmp_path, ratings=300)
        lake = home / "lake"
        result = train(opened(home), lake, "gbt", home / "run", config={"iterations": 20, "min_leaf": 10})
        for name in ("user_rating_stats", "movie_rating_stats"):
            of = name.split("_")[0]
            held = pq.read_table(next((lake / name).glob("*.parquet")))
            column = f"{of}_rating_mean"
            turned = pc.subtract(5.0, held[column])
            corrected = held.set_column(held.column_names.index(column), column, turned)
            later = pc.add(held["created_timestamp"], pa.scalar(timedelta(days=1)))
            place = held.column_names.index("created_timestamp")
            write_deltalake(
                lake / name, corrected.set_column(place, "created_timestamp", later), mode="append"
            )
        assert scored_again(home / "run", home) == result.metrics
        assert scored_again(home / "run", home, now=True)["roc_auc"] < result.metrics["roc_auc"] - 0.05

    @pytest.mark.parametrize("rows", ["fewer", "twice", "other"])
    def test_evaluation_refuses_rows_that_are_not_those_of_the_training(
        self, home: Path, trained: dict[str, Any], tmp_path: Path, rows: str
    ) -> None:
        run = Path(shutil.copytree(trained["gbt"].folder, tmp_path / "run"))
        held = pq.read_table(run / "predictions.parquet")
        other = held.set_column(
            held.column_names.index("score"), "score", pa.array(held["score"].to_numpy()[::-1])
        )
        pq.write_table(
            {"fewer": held.slice(0, 100), "twice": pa.concat_tables([held, held]), "other": other}[rows],
            run / "predictions.parquet",
        )
        with pytest.raises(MarqueeError, match=r"predictions.parquet is damaged: it is not what was saved"):
            scored_again(run, home)
        sign(run)
        said = r"have another score than it wrote down" if rows == "other" else "and was tested on 240"
        with pytest.raises(MarqueeError, match=said):
            scored_again(run, home)

    def test_evaluation_refuses_another_lake(self, tmp_path: Path, trained: dict[str, Any]) -> None:
        other = toy_home(tmp_path, ratings=100, seed=9)
        with pytest.raises(MarqueeError, match=r"240 of the 240 test rows .* are not among the ratings"):
            scored_again(trained["gbt"].folder, other)

    def test_training_twice_gives_the_same_metrics(
        self, home: Path, store: FeatureStore, trained: dict[str, Any]
    ) -> None:
        again = train(store, home / "lake", "mmdin", home / "runs" / "again", config=QUICK)
        assert again.metrics == trained["mmdin"].metrics

    def test_random_split_is_marked_as_leaky(self, home: Path, store: FeatureStore) -> None:
        out = home / "runs" / "random"
        result = train(store, home / "lake", "gbt", out, split="random", config={"iterations": 5})
        assert result.recipe.is_leaky
        assert artefacts.read_manifest(out).recipe.is_leaky

    def test_paper_protocol_sees_the_newest_rows_and_is_marked_as_leaky(self, tmp_path: Path) -> None:
        home = toy_home(tmp_path, ratings=300)
        lake = home / "lake"
        stats = pq.read_table(next((lake / "user_rating_stats").glob("*.parquet")))
        future = pa.array([START + timedelta(days=900)] * stats.num_rows, pa.timestamp("us", "UTC"))
        later = stats.set_column(
            stats.column_names.index("event_timestamp"), "event_timestamp", future
        ).set_column(
            stats.column_names.index("user_rating_count"),
            "user_rating_count",
            pa.array([12345] * stats.num_rows, pa.int64()),
        )
        write_deltalake(lake / "user_rating_stats", later, mode="append")
        store = opened(home)
        labels = read_labels(lake, DOMAIN).table
        for protocol, seen in (("honest", False), ("paper", True)):
            table = joined(store, DOMAIN, "gbt_v1", labels, protocol)
            assert table["event_timestamp"].to_pylist() == labels["event_timestamp"].to_pylist()
            assert (set(table["user_rating_count"].to_pylist()) == {12345}) == seen
        out = home / "runs" / "paper"
        result = train(store, lake, "gbt", out, protocol="paper", config={"iterations": 5})
        assert result.recipe.is_leaky
        manifest = artefacts.read_manifest(out)
        assert manifest.recipe.protocol == "paper"
        assert manifest.recipe.split == "random"
        assert scored_again(out, home) == result.metrics
        again = repeated(out, home, home / "runs" / "again")
        assert again.result.metrics == result.metrics

    def test_bad_requests_are_refused_before_any_work(self, home: Path, store: FeatureStore) -> None:
        lake = home / "lake"
        with pytest.raises(MarqueeError, match="no model 'dinn'"):
            train(store, lake, "dinn", home / "x")
        with pytest.raises(MarqueeError, match="no setting epochs"):
            train(store, lake, "din", home / "x", config={"epochs": 3})
        with pytest.raises(MarqueeError, match="Unknown protocol 'hones': choose one of honest, paper"):
            train(store, lake, "gbt", home / "x", protocol="hones")
        with pytest.raises(MarqueeError, match="There is no split"):
            train(store, lake, "gbt", home / "x", split="movie")
        assert not (home / "x").exists()

    def test_nothing_liked_at_all_is_one_sentence(self, home: Path, store: FeatureStore) -> None:
        with pytest.raises(MarqueeError, match="All 864 training rows are not liked: metrics need both"):
            train(store, home / "lake", "gbt", home / "x", task=liked_from(5.5), config={"iterations": 2})
        assert not (home / "x").exists()


@pytest.mark.parametrize(
    ("key", "config"), [("gbt", {"iterations": 30, "min_leaf": 10}), ("logistic", {}), ("din", QUICK)]
)
class TestRefit:
    def test_validation_rows_are_trained_on_too_for_as_long_as_they_chose(
        self, home: Path, store: FeatureStore, tmp_path: Path, key: str, config: dict[str, Any]
    ) -> None:
        lake = home / "lake"
        plain = train(store, lake, key, tmp_path / "plain", config=config)
        again = train(store, lake, key, tmp_path / "again", config={**config, "refit": True})
        assert again.validation == plain.validation
        assert again.metrics["threshold"] == plain.metrics["threshold"]
        found, before = artefacts.load(again.folder), artefacts.load(plain.folder)
        best = artefacts.read_history(again.folder).best
        assert best == artefacts.read_history(plain.folder).best
        assert before.spec.rows == plain.rows["train"]
        assert found.spec.rows == plain.rows["train"] + plain.rows["valid"]
        assert not np.array_equal(
            found.predictions["score"].to_numpy(), before.predictions["score"].to_numpy()
        )
        if key == "gbt":
            assert found.estimator.fitted.n_iter_ == best
        if key == "logistic":
            assert LogisticConfig().strengths[best - 1] == found.estimator.fitted.C

    def test_labels_of_test_rows_change_nothing(
        self, home: Path, store: FeatureStore, tmp_path: Path, key: str, config: dict[str, Any]
    ) -> None:
        asked = recipe(key, config={**config, "refit": True})
        given = prepare(store, home / "lake", DOMAIN, asked)
        liked = given.table["liked"].to_numpy(zero_copy_only=False).copy()
        liked[-240:] = ~liked[-240:]
        place = given.table.column_names.index("liked")
        other = replace(given, table=given.table.set_column(place, "liked", pa.array(liked)))
        scores = []
        for number, rows in enumerate((given, other)):
            result = train_on(rows, asked, tmp_path / str(number))
            scores.append(artefacts.read_predictions(result.folder)["score"].to_numpy())
        np.testing.assert_array_equal(*scores)


class TestTrainLike:
    @pytest.mark.parametrize("averaging", [0.0, 0.9])
    def test_gives_identical_rows_and_metrics_though_the_tables_went_on(
        self, tmp_path: Path, averaging: float
    ) -> None:
        home = toy_home(tmp_path, ratings=500)
        config = {**QUICK, "training.averaging": averaging}
        first = train(
            opened(home),
            home / "lake",
            "din",
            home / "runs" / "first",
            config=config,
            seed=5,
        )
        ratings = read_labels(home / "lake", DOMAIN).table.drop_columns(["liked"])
        write_deltalake(home / "lake" / "ratings", ratings.select(DOMAIN.events.column_names), mode="append")
        table = pq.read_table(next((home / "lake" / "movie_rating_stats").glob("*.parquet")))
        write_deltalake(home / "lake" / "movie_rating_stats", table.slice(0, 0), mode="overwrite")
        again = repeated(first.folder, home, home / "runs" / "again")
        assert again.result.metrics == first.metrics == again.metrics
        assert (again.rows, again.changed, again.same_metrics) == (500, (), True)
        assert artefacts.read_predictions(again.result.folder).equals(
            artefacts.read_predictions(first.folder)
        )
        assert (
            artefacts.read_manifest(again.result.folder).versions
            == artefacts.read_manifest(first.folder).versions
        )
        now = train(opened(home), home / "lake", "din", home / "runs" / "now", config=config, seed=5)
        assert now.labels_asked == 1000
        assert now.metrics != first.metrics

    def test_versions_that_are_gone_and_rows_that_differ_are_refused(self, tmp_path: Path) -> None:
        home = toy_home(tmp_path, ratings=300)
        lake, run = home / "lake", home / "runs" / "first"
        train(opened(home), lake, "gbt", run, config={"iterations": 5})
        manifest = json.loads((run / "manifest.json").read_text())
        (run / "manifest.json").write_text(json.dumps({**manifest, "data": "another", "digest": ""}))
        with pytest.raises(MarqueeError, match="are not the 300 that"):
            repeated(run, home, home / "runs" / "again")
        (run / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(MarqueeError, match="would be overwritten"):
            repeated(run, home, run)
        table = DeltaTable(lake / "movie_rating_stats")
        write_deltalake(lake / "movie_rating_stats", table.to_pyarrow_table().slice(1), mode="overwrite")
        DeltaTable(lake / "movie_rating_stats").vacuum(0, dry_run=False, enforce_retention_duration=False)
        with pytest.raises(MarqueeError, match=r"Version 0 of table movie_rating_stats.* is gone"):
            repeated(run, home, home / "runs" / "again")
        assert not (home / "runs" / "again").exists()


class TestBestAttainable:
    def predictions(self) -> pa.Table:
        return toy_table(50, "gbt_v1").select(["user_id", "movie_id", "event_timestamp", "liked"])

    def test_is_the_auc_of_the_true_probabilities_on_the_same_rows(self, tmp_path: Path) -> None:
        rows = self.predictions()
        random = np.random.default_rng(0)
        truth = random.random(50)
        shuffled = random.permutation(50)
        table = rows.drop_columns(["liked"]).append_column(PROBABILITY, pa.array(truth)).take(shuffled)
        extra = table.slice(0, 3).set_column(0, "user_id", pa.array([901, 902, 903]))
        folder = tmp_path / "likelihood.parquet"
        folder.mkdir()
        pq.write_table(table, folder / "part-0.parquet")
        pq.write_table(extra, folder / "part-1.parquet")
        liked = rows["liked"].to_numpy(zero_copy_only=False)
        assert best_attainable_auc(rows, NAMES, LIKED, folder) == pytest.approx(roc_auc(liked, truth))

    def test_rows_without_a_probability_are_refused(self, tmp_path: Path) -> None:
        rows = self.predictions()
        table = rows.drop_columns(["liked"]).append_column(PROBABILITY, pa.array(np.full(50, 0.5)))
        pq.write_table(table.slice(0, 49), tmp_path / "some.parquet")
        with pytest.raises(MarqueeError, match=r"49 probabilities .* match the 50 test rows"):
            best_attainable_auc(rows, NAMES, LIKED, tmp_path / "some.parquet")
        with pytest.raises(MarqueeError, match="no probabilities at"):
            best_attainable_auc(rows, NAMES, LIKED, tmp_path / "none.parquet")

    def test_share_goes_into_the_metrics(self, home: Path, store: FeatureStore, tmp_path: Path) -> None:
        labels = read_labels(home / "lake", DOMAIN).table
        truth = labels.select(["user_id", "movie_id", "event_timestamp"]).append_column(
            PROBABILITY, pa.array(labels["rating"].to_numpy() / 5)
        )
        pq.write_table(truth, tmp_path / "truth.parquet")
        out = tmp_path / "run"
        result = train(
            store,
            home / "lake",
            "gbt",
            out,
            truth=tmp_path / "truth.parquet",
            config={"iterations": 5},
        )
        assert result.best_auc == 1.0  # the rating itself says whether it was liked
        assert result.attainable == pytest.approx((result.metrics["roc_auc"] - 0.5) / 0.5)
        assert json.loads((out / "metrics.json").read_text())["best_attainable_auc"] == 1.0

    def test_the_truth_of_one_task_is_none_of_another(self, tmp_path: Path) -> None:
        data = prepared(task=liked_from(4.0))
        asked = recipe("gbt", task=data.task, config={"iterations": 5})
        assert train_on(data, asked, tmp_path / "run", truth=tmp_path / "of liked").best_auc is None

    def test_a_file_with_more_than_the_probability_is_refused(self, tmp_path: Path) -> None:
        rows = self.predictions()
        for name in ("p", "q"):
            rows = rows.append_column(name, pa.array(np.full(50, 0.5)))
        pq.write_table(rows, tmp_path / "two.parquet")
        with pytest.raises(MarqueeError, match="has 3 columns beside user_id, movie_id, event_timestamp"):
            best_attainable_auc(rows, NAMES, LIKED, tmp_path / "two.parquet")
