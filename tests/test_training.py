"""Training: batches, early stopping, repeatability, and the way from the lake to an artefact."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from feast import FeatureStore

from common.errors import MarqueeError
from common.settings import Settings
from feature_repo import schema
from feature_repo.store import open_store
from tests.toy_features import START, toy_home, toy_spec, toy_table
from training.backend import seed_everything
from training.data.labels import LIKED, as_labels, read_labels
from training.evaluate.attainable import LIKELIHOOD, best_attainable_auc
from training.evaluate.metrics import roc_auc
from training.fit import artefact as artefacts
from training.fit import predictor, trainer
from training.fit.again import train_like
from training.fit.run import Prepared, evaluate, prepare, train, train_on
from training.fit.run import _features as features_of
from training.inputs.spec import Arrays, InputSpec
from training.models import model
from training.models.config import TrainingConfig
from training.models.logistic import LogisticConfig

QUICK = {"training.epochs": 2, "training.batch_size": 256}


class TestBatches:
    arrays: ClassVar[Arrays] = {"a": np.arange(10), "b": np.arange(20).reshape(10, 2)}
    liked = np.arange(10) % 3 == 0

    def test_an_epoch_has_every_row_with_its_label_and_batches_of_one_size(self) -> None:
        batches = trainer.Batches(self.arrays, self.liked, 4, seed=1)
        assert len(batches) == 3
        rows = []
        for i in range(3):
            batch, labels = batches[i]
            np.testing.assert_array_equal(batch["b"], self.arrays["b"][batch["a"]])
            np.testing.assert_array_equal(labels[:, 0] == 1, self.liked[batch["a"]])
            rows += batch["a"].tolist()
        assert sorted(rows[:10]) == list(range(10))
        assert rows[10:] == rows[:2]
        assert rows[:10] != list(range(10))

    def test_order_depends_on_seed_and_epoch_only(self) -> None:
        def order(seed: int, epoch: int) -> list[int]:
            batches = trainer.Batches(self.arrays, self.liked, 10, seed, epoch)
            return list(batches[0][0]["a"])

        assert order(1, 0) == order(1, 0)
        assert order(1, 0) != order(2, 0)
        batches = trainer.Batches(self.arrays, self.liked, 10, 1)
        batches.on_epoch_end()
        assert list(batches[0][0]["a"]) == order(1, 1) != order(1, 0)

    def test_without_a_seed_rows_keep_their_order(self) -> None:
        batches = trainer.Batches(self.arrays, None, 4)
        assert [row for i in range(3) for row in batches[i][0]["a"]] == list(range(10))

    def test_batch_size_grows_with_the_rows_up_to_the_papers(self) -> None:
        sizes = [trainer.batch_size(rows, TrainingConfig()) for rows in (100, 10_000, 100_000, 10_000_000)]
        assert sizes == [100, 256, 1000, 4500]
        assert trainer.batch_size(50, TrainingConfig(batch_size=64)) == 50


def parts(rows: int = 900) -> tuple[InputSpec, Arrays, np.ndarray, Arrays, np.ndarray]:
    table = toy_table(rows, "din_v1")
    spec = toy_spec(table.slice(0, 600), "din_v1", model("din").config_class().inputs)
    arrays = spec.apply(table)
    liked = table["liked"].to_numpy(zero_copy_only=False).astype(bool)
    first = {name: array[:600] for name, array in arrays.items()}
    rest = {name: array[600:] for name, array in arrays.items()}
    return spec, first, liked[:600], rest, liked[600:]


def fitted(config: dict[str, Any], seed: int = 0) -> tuple[predictor.Predictor, Any, np.ndarray, np.ndarray]:
    spec, train_, liked, valid, valid_liked = parts()
    settings = model("din").config_class.of(config)
    seen: list[dict[str, float]] = []
    found, curve = predictor.fit(
        model("din"),
        settings,
        spec,
        train_,
        liked,
        valid,
        valid_liked,
        seed=seed,
        on_progress=lambda **told: seen.append(told),
    )
    assert [told["epoch"] for told in seen] == [epoch.epoch for epoch in curve.epochs]
    assert {told["of"] for told in seen} == {settings.training.epochs}  # type: ignore[attr-defined]
    return found, curve, found.predict(valid), valid_liked


class TestFit:
    def test_learns(self) -> None:
        _, curve, scores, liked = fitted({"training.epochs": 12, "training.learning_rate": 0.01})
        assert roc_auc(liked, scores) > 0.75
        assert curve.epochs[-1].loss < curve.epochs[0].loss

    @pytest.mark.parametrize("averaging", [0.0, 0.9])
    @pytest.mark.parametrize("monitor", ["auc", "log_loss"])
    def test_ends_with_the_weights_of_the_best_epoch(self, monitor: str, averaging: float) -> None:
        _, curve, scores, liked = fitted(
            {
                "training.epochs": 12,
                "training.patience": 3,
                "training.learning_rate": 0.05,
                "training.monitor": monitor,
                "training.averaging": averaging,
            }
        )
        best = curve.epochs[curve.best - 1]
        assert roc_auc(liked, scores) == pytest.approx(best.val_auc, abs=1e-6)
        if monitor == "auc":
            assert best.val_auc == max(epoch.val_auc for epoch in curve.epochs)
        else:
            assert best.val_log_loss == min(epoch.val_log_loss for epoch in curve.epochs)
        # At this learning rate the best epoch is not the last one: training stopped early.
        assert len(curve.epochs) == min(12, curve.best + 3)
        assert curve.best < len(curve.epochs)

    def test_same_seed_same_scores_and_curve(self) -> None:
        first, again, other = (fitted(QUICK, seed) for seed in (3, 3, 4))
        np.testing.assert_array_equal(first[2], again[2])
        assert [epoch.loss for epoch in first[1].epochs] == [epoch.loss for epoch in again[1].epochs]
        assert not np.array_equal(first[2], other[2])

    def test_learning_rate_decay_weight_decay_and_clipping_change_the_outcome(self) -> None:
        plain = fitted(QUICK)[2]
        for key, value in (
            ("training.decay", 0.01),
            ("training.weight_decay", 0.5),
            ("training.embedding_decay", 5.0),
            ("training.clip_norm", 1e-3),
            ("training.averaging", 0.9),
        ):
            assert not np.array_equal(fitted({**QUICK, key: value})[2], plain), key


def test_embeddings_alone_decay_at_their_own_rate() -> None:
    spec, train_, liked, *_ = parts()
    after = []
    for decay in (0.0, 20.0):
        config = TrainingConfig(embedding_decay=decay, learning_rate=0.01, batch_size=len(liked))
        seed_everything(0)
        network = model("din").build(model("din").config_class(), spec)
        trainer.refit(network, train_, liked, config, 1)  # one step: the gradients of both are the same
        after.append({weight.path: weight.numpy() for weight in network.trainable_weights})
    plain, decayed = after
    for path in plain:
        if not path.endswith("/embeddings"):
            np.testing.assert_array_equal(decayed[path], plain[path], err_msg=path)
        else:
            assert np.linalg.norm(decayed[path]) < np.linalg.norm(plain[path])
            assert not np.array_equal(decayed[path], plain[path])


def test_sigmoid_is_stable_at_both_ends() -> None:
    with np.errstate(over="raise"):
        out = trainer.sigmoid(np.array([-1000.0, 0.0, 1000.0, 2.0]))
    np.testing.assert_allclose(out, [0, 0.5, 1, 1 / (1 + np.exp(-2))])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def store(home: Path) -> FeatureStore:
    return open_store(Settings(home=home))


@pytest.fixture(scope="module")
def trained(home: Path, store: FeatureStore) -> dict[str, Any]:
    return {
        key: train(store, home / "lake", key, home / "runs" / key, config=config)
        for key, config in (("gbt", {"iterations": 30, "min_leaf": 10}), ("din", QUICK), ("mmdin", QUICK))
    }


class TestLabels:
    def test_liked_is_a_rating_at_or_above_the_threshold(self, home: Path) -> None:
        labels = read_labels(home / "lake", threshold=4.0)
        assert labels.threshold == 4.0
        for row in labels.table.to_pylist():
            assert row["liked"] == (row["rating"] >= 4.0)

    def test_labels_are_sorted_by_instant_then_keys(self) -> None:
        table = toy_table(50, "gbt_v1").select(["user_id", "movie_id", "event_timestamp"])
        table = table.append_column("rating", pa.array(np.full(50, 3.5)))
        table = table.set_column(2, "event_timestamp", pa.array([5] * 50, pa.timestamp("us", "UTC")))
        labels = as_labels(table).to_pylist()
        keys = [(row["event_timestamp"], row["user_id"], row["movie_id"]) for row in labels]
        assert keys == sorted(keys)

    def test_version_is_recorded_and_an_older_one_can_be_read(self, tmp_path: Path) -> None:
        home = toy_home(tmp_path, ratings=60)
        before = read_labels(home / "lake")
        write_deltalake(
            home / "lake" / "ratings",
            before.table.drop_columns(["liked"]).select(schema.RATINGS.column_names),
            mode="append",
        )
        after = read_labels(home / "lake")
        assert (before.version, after.version) == (0, 1)
        assert after.table.num_rows == 2 * before.table.num_rows
        assert read_labels(home / "lake", version=0).table.equals(before.table)
        with pytest.raises(MarqueeError, match="at version 9"):
            read_labels(home / "lake", version=9)

    def test_no_ratings_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(MarqueeError, match="There are no ratings at"):
            read_labels(tmp_path)


class TestTrain:
    def test_label_rows_asked_are_returned_and_none_is_lost(self, trained: dict[str, Any]) -> None:
        for result in trained.values():
            assert result.labels_asked == result.labels_returned == sum(result.rows.values()) == 1200
            assert not result.leaky
            assert result.metrics["rows"] == result.rows["test"] == 240

    def test_models_learn_what_the_features_say(self, trained: dict[str, Any]) -> None:
        for key, result in trained.items():
            assert result.metrics["roc_auc"] > 0.7, key

    def test_test_rows_are_later_than_all_that_was_trained_on(
        self, home: Path, trained: dict[str, Any]
    ) -> None:
        labels = read_labels(home / "lake").table
        predictions = artefacts.read_predictions(trained["din"].folder)
        expected = labels.slice(labels.num_rows - predictions.num_rows)
        for column in ("user_id", "movie_id", "event_timestamp", "liked"):
            assert predictions[column].to_pylist() == expected[column].to_pylist()

    def test_threshold_is_chosen_on_the_validation_rows(self, trained: dict[str, Any]) -> None:
        for result in trained.values():
            assert result.metrics["threshold"] == result.validation["threshold"]

    def test_manifest_says_what_made_it(self, trained: dict[str, Any]) -> None:
        manifest = artefacts.read_manifest(trained["mmdin"].folder)
        assert manifest.model == "mmdin"
        assert manifest.service == "mmdin_v1"
        views = {view.name for view in schema.SERVICES["mmdin_v1"]}
        assert set(manifest.versions) == views | {"ratings"}
        assert manifest.split == {
            "strategy": "time",
            "shares": [0.72, 0.08, 0.2],
            "seed": 0,
            "leaky": False,
        }
        assert manifest.rows["asked"] == 1200
        assert manifest.packages["keras"]
        assert manifest.seed == 0

    def test_predictions_of_the_reloaded_artefact_are_identical(
        self, store: FeatureStore, trained: dict[str, Any]
    ) -> None:
        from training.data.dataset import point_in_time

        for key, result in trained.items():
            artefact = artefacts.load(result.folder)
            rows = artefact.predictions.select(["user_id", "movie_id", "event_timestamp"])
            table = point_in_time(store, model(key).service, rows)
            np.testing.assert_array_equal(artefact.predict(table), artefact.predictions["score"].to_numpy())

    def test_evaluation_gives_the_metrics_again(
        self, home: Path, store: FeatureStore, trained: dict[str, Any]
    ) -> None:
        for result in trained.values():
            assert evaluate(result.folder, store, home / "lake") == result.metrics

    def test_evaluation_refuses_another_lake(self, tmp_path: Path, trained: dict[str, Any]) -> None:
        other = toy_home(tmp_path, ratings=100, seed=9)
        with pytest.raises(MarqueeError, match=r"240 of the 240 test rows .* are not among the ratings"):
            evaluate(trained["gbt"].folder, open_store(Settings(home=other)), other / "lake")

    def test_training_twice_gives_the_same_metrics(
        self, home: Path, store: FeatureStore, trained: dict[str, Any]
    ) -> None:
        again = train(store, home / "lake", "mmdin", home / "runs" / "again", config=QUICK)
        assert again.metrics == trained["mmdin"].metrics

    def test_random_split_is_marked_as_leaky(self, home: Path, store: FeatureStore) -> None:
        out = home / "runs" / "random"
        result = train(store, home / "lake", "gbt", out, split_by="random", config={"iterations": 5})
        assert result.leaky
        assert artefacts.read_manifest(out).split["leaky"]

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
        store = open_store(Settings(home=home))
        labels = read_labels(lake).table
        for protocol, seen in (("honest", False), ("paper", True)):
            table = features_of(store, "gbt_v1", labels, protocol)
            assert table["event_timestamp"].to_pylist() == labels["event_timestamp"].to_pylist()
            assert (set(table["user_rating_count"].to_pylist()) == {12345}) == seen
        out = home / "runs" / "paper"
        result = train(store, lake, "gbt", out, protocol="paper", config={"iterations": 5})
        assert result.leaky
        manifest = artefacts.read_manifest(out)
        assert manifest.protocol == "paper"
        assert manifest.split["strategy"] == "random"
        assert evaluate(out, store, lake) == result.metrics
        again = train_like(out, Settings(home=home), home / "runs" / "again")
        assert again.result.metrics == result.metrics

    def test_bad_requests_are_refused_before_any_work(self, home: Path, store: FeatureStore) -> None:
        lake = home / "lake"
        with pytest.raises(MarqueeError, match="no model 'dinn'"):
            train(store, lake, "dinn", home / "x")
        with pytest.raises(MarqueeError, match="no setting epochs"):
            train(store, lake, "din", home / "x", config={"epochs": 3})
        with pytest.raises(MarqueeError, match="Unknown protocol 'hones': choose one of honest, paper"):
            train(store, lake, "gbt", home / "x", protocol="hones")
        with pytest.raises(MarqueeError, match="Unknown split"):
            train(store, lake, "gbt", home / "x", split_by="movie")
        assert not (home / "x").exists()

    def test_nothing_liked_at_all_is_one_sentence(self, home: Path, store: FeatureStore) -> None:
        with pytest.raises(MarqueeError, match="rows are not liked: metrics need both"):
            train(store, home / "lake", "gbt", home / "x", liked_rating=5.5, config={"iterations": 2})
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
            assert found.predictor.model.n_iter_ == best
        if key == "logistic":
            assert LogisticConfig().strengths[best - 1] == found.predictor.model.C

    def test_labels_of_test_rows_change_nothing(
        self, home: Path, store: FeatureStore, tmp_path: Path, key: str, config: dict[str, Any]
    ) -> None:
        prepared = prepare(store, home / "lake", model(key).service)
        liked = prepared.table[LIKED].to_numpy(zero_copy_only=False).copy()
        liked[-240:] = ~liked[-240:]
        place = prepared.table.column_names.index(LIKED)
        other = replace(prepared, table=prepared.table.set_column(place, LIKED, pa.array(liked)))
        scores = []
        for number, given in enumerate((prepared, other)):
            result = train_on(given, key, tmp_path / str(number), config={**config, "refit": True})
            scores.append(artefacts.read_predictions(result.folder)["score"].to_numpy())
        np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_a_refit_ends_where_a_fit_of_as_many_epochs_does(averaging: float) -> None:
    spec, train_, liked, valid, valid_liked = parts()
    entry = model("din")
    settings = entry.config_class.of({"training.epochs": 4, "training.averaging": averaging})
    given = (entry, settings, spec, train_, liked)
    fitted_, curve = predictor.fit(*given, valid, valid_liked, seed=2)
    again = predictor.refit(*given, curve, seed=2)
    np.testing.assert_array_equal(again.predict(valid), fitted_.predict(valid))


class TestTrainLike:
    def test_gives_identical_rows_and_metrics_though_the_tables_went_on(self, tmp_path: Path) -> None:
        home = toy_home(tmp_path, ratings=500)
        first = train(
            open_store(Settings(home=home)),
            home / "lake",
            "din",
            home / "runs" / "first",
            config=QUICK,
            seed=5,
        )
        ratings = read_labels(home / "lake").table.drop_columns(["liked"])
        write_deltalake(home / "lake" / "ratings", ratings.select(schema.RATINGS.column_names), mode="append")
        table = pq.read_table(next((home / "lake" / "movie_rating_stats").glob("*.parquet")))
        write_deltalake(home / "lake" / "movie_rating_stats", table.slice(0, 0), mode="overwrite")
        again = train_like(first.folder, Settings(home=home), home / "runs" / "again")
        assert again.result.metrics == first.metrics == again.metrics
        assert (again.rows, again.changed, again.same_metrics) == (500, (), True)
        assert artefacts.read_predictions(again.result.folder).equals(
            artefacts.read_predictions(first.folder)
        )
        assert (
            artefacts.read_manifest(again.result.folder).versions
            == artefacts.read_manifest(first.folder).versions
        )
        now = train(
            open_store(Settings(home=home)), home / "lake", "din", home / "runs" / "now", config=QUICK, seed=5
        )
        assert now.labels_asked == 1000
        assert now.metrics != first.metrics

    def test_versions_that_are_gone_and_rows_that_differ_are_refused(self, tmp_path: Path) -> None:
        home = toy_home(tmp_path, ratings=300)
        lake, run = home / "lake", home / "runs" / "first"
        train(open_store(Settings(home=home)), lake, "gbt", run, config={"iterations": 5})
        manifest = json.loads((run / "manifest.json").read_text())
        (run / "manifest.json").write_text(json.dumps({**manifest, "data": "another"}))
        with pytest.raises(MarqueeError, match="are not the 300 that"):
            train_like(run, Settings(home=home), home / "runs" / "again")
        (run / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(MarqueeError, match="would be overwritten"):
            train_like(run, Settings(home=home), run)
        table = DeltaTable(lake / "movie_rating_stats")
        write_deltalake(lake / "movie_rating_stats", table.to_pyarrow_table().slice(1), mode="overwrite")
        DeltaTable(lake / "movie_rating_stats").vacuum(0, dry_run=False, enforce_retention_duration=False)
        with pytest.raises(MarqueeError, match=r"Version 0 of movie_rating_stats.* is gone"):
            train_like(run, Settings(home=home), home / "runs" / "again")
        assert not (home / "runs" / "again").exists()


class TestBestAttainable:
    def predictions(self) -> pa.Table:
        return toy_table(50, "gbt_v1").select(["user_id", "movie_id", "event_timestamp", "liked"])

    def test_is_the_auc_of_the_true_probabilities_on_the_same_rows(self, tmp_path: Path) -> None:
        rows = self.predictions()
        random = np.random.default_rng(0)
        truth = random.random(50)
        shuffled = random.permutation(50)
        table = rows.drop_columns(["liked"]).append_column(LIKELIHOOD, pa.array(truth)).take(shuffled)
        extra = table.slice(0, 3).set_column(0, "user_id", pa.array([901, 902, 903]))
        folder = tmp_path / "likelihood.parquet"
        folder.mkdir()
        pq.write_table(table, folder / "part-0.parquet")
        pq.write_table(extra, folder / "part-1.parquet")
        liked = rows["liked"].to_numpy(zero_copy_only=False)
        assert best_attainable_auc(rows, folder) == pytest.approx(roc_auc(liked, truth))

    def test_rows_without_a_probability_are_refused(self, tmp_path: Path) -> None:
        rows = self.predictions()
        table = rows.drop_columns(["liked"]).append_column(LIKELIHOOD, pa.array(np.full(50, 0.5)))
        pq.write_table(table.slice(0, 49), tmp_path / "some.parquet")
        with pytest.raises(MarqueeError, match=r"49 like-probabilities .* match the 50 test rows"):
            best_attainable_auc(rows, tmp_path / "some.parquet")
        with pytest.raises(MarqueeError, match="no like-probabilities at"):
            best_attainable_auc(rows, tmp_path / "none.parquet")

    def test_share_goes_into_the_metrics(self, home: Path, store: FeatureStore, tmp_path: Path) -> None:
        labels = read_labels(home / "lake").table
        truth = labels.select(["user_id", "movie_id", "event_timestamp"]).append_column(
            LIKELIHOOD, pa.array(labels["rating"].to_numpy() / 5)
        )
        pq.write_table(truth, tmp_path / "truth.parquet")
        out = tmp_path / "run"
        result = train(
            store,
            home / "lake",
            "gbt",
            out,
            likelihood=tmp_path / "truth.parquet",
            config={"iterations": 5},
        )
        assert result.best_auc == 1.0  # the rating itself says whether it was liked
        assert result.attainable == pytest.approx((result.metrics["roc_auc"] - 0.5) / 0.5)
        assert json.loads((out / "metrics.json").read_text())["best_attainable_auc"] == 1.0


def test_seeding_makes_initial_weights_repeatable() -> None:
    spec, *_ = parts()
    config = model("din").config_class()
    weights = []
    for _ in range(2):
        seed_everything(11)
        weights.append(model("din").build(config, spec).get_weights())
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)


class KilledError(Exception):
    """As sudden as a kill: nothing of ours catches it."""


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_killed_training_goes_on_to_the_result_of_an_unbroken_one(tmp_path: Path, averaging: float) -> None:
    given = Prepared(toy_table(500, "din_v1"), "din_v1", "honest", 3.5, {}, 500)
    config = {
        "training.epochs": 4,
        "training.batch_size": 128,
        "training.decay": 0.1,
        "training.averaging": averaging,
    }
    whole = train_on(given, "din", tmp_path / "whole", config=config, seed=3)

    def kill(*, epoch: int, of: int, loss: float, val_auc: float) -> None:  # noqa: ARG001
        if epoch == 3:
            raise KilledError

    out = tmp_path / "killed"
    with pytest.raises(KilledError):
        train_on(given, "din", out, config=config, seed=3, on_progress=kill)
    assert not out.exists()
    # Another training does not take up this one's state.
    other = train_on(given, "din", out, config={**config, "training.epochs": 1}, seed=4)
    assert other.resumed == 0
    with pytest.raises(KilledError):
        train_on(given, "din", out, config=config, seed=3, on_progress=kill)
    epochs: list[int] = []
    resumed = train_on(
        given, "din", out, config=config, seed=3, on_progress=lambda *, epoch, **_: epochs.append(epoch)
    )
    assert (resumed.resumed, epochs) == (2, [3, 4])
    assert resumed.metrics == whole.metrics
    scores = [artefacts.read_predictions(run.folder)["score"].to_numpy() for run in (whole, resumed)]
    np.testing.assert_array_equal(*scores)
    curves = [
        [(epoch.loss, epoch.val_auc) for epoch in artefacts.read_history(run.folder).epochs]
        for run in (whole, resumed)
    ]
    assert curves[0] == curves[1]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
