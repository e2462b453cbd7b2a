"""The model zoo: registry, configuration, and what every model must do."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from common.errors import MarqueeError
from feature_repo.define.operation import LastK
from feature_repo.define.view import View
from feature_repo.domains.movies import DOMAIN
from tests.toy_domain import ARTICLE_FACTS, ARTICLE_STATS, PRESS, READER_RECENT, READER_STATS
from tests.toy_features import toy_spec, toy_table
from tests.toy_press import EVERY_KIND, drawn_table
from tests.training_runs import ALIKE, LIKED
from training.backend import keras, seed_everything
from training.estimators import Blueprint
from training.estimators.network import Network
from training.evaluate.metrics import roc_auc
from training.fit.trainer import outputs
from training.inputs.config import InputConfig
from training.inputs.spec import InputSpec
from training.models import MODELS, model
from training.models.embeddings import EmbeddingConfig, model_inputs
from training.models.fields import FieldConfig, fields_of
from training.models.towers import Towers
from training.tasks import objective_of

pytestmark = pytest.mark.training

NETWORKS = [key for key, entry in MODELS.items() if entry.kind == "keras"]
WITH_HISTORY = [key for key in NETWORKS if key in ("din", "mmdin")]


def built(key: str, config: dict[str, Any] | None = None, rows: int = 200, seed: int = 0) -> tuple[Any, ...]:
    """The network of a model, its specification, and the table that it was fitted to."""
    entry = model(key)
    settings = entry.config_class.of(config)
    table = toy_table(rows, entry.service, seed=seed)
    spec = toy_spec(table, entry.service, settings.inputs)
    seed_everything(seed)
    return entry.build(settings, spec), spec, table


built_once = cache(built)
"""Of tests that leave the network as it is."""


def logits(network: Any, arrays: Any) -> np.ndarray:
    """The network's logits, float32 (rows,)."""
    return outputs(network, arrays)[:, 0]


def liked(table: pa.Table) -> np.ndarray:
    flags: np.ndarray = table["liked"].to_numpy(zero_copy_only=False).astype(bool)
    return flags


class TestRegistry:
    def test_every_model_has_a_config_and_a_service_of_the_schema(self) -> None:
        for key, entry in MODELS.items():
            assert entry.key == key
            assert entry.service in DOMAIN.services
            assert entry.config_class().inputs is not None

    def test_unknown_model_is_refused_with_the_nearest(self) -> None:
        with pytest.raises(MarqueeError, match=r"no model 'mmdinn': did you mean mmdin\?"):
            model("mmdinn")
        with pytest.raises(MarqueeError, match=f"no model 'zzz': known: {', '.join(MODELS)}"):
            model("zzz")


class TestConfig:
    def test_unknown_key_is_refused_with_the_nearest(self) -> None:
        with pytest.raises(MarqueeError, match=r"MMDINConfig has no setting headz: did you mean heads\?"):
            model("mmdin").config_class.of({"headz": 3})

    def test_unknown_key_of_a_section_is_refused_with_the_nearest(self) -> None:
        with pytest.raises(MarqueeError, match=r"no setting training.epoch: did you mean training.epochs\?"):
            model("din").config_class.of({"training.epoch": 3})
        with pytest.raises(MarqueeError, match=r"no setting training.zzz: known: .*batch_size"):
            model("din").config_class.of({"training": {"zzz": 3}})

    def test_dotted_and_nested_keys_mean_the_same(self) -> None:
        config = model("din").config_class
        dotted = config.of({"training.epochs": 3, "training.patience": 2, "dropout": 0.5})
        assert dotted == config.of({"training": {"epochs": 3, "patience": 2}, "dropout": 0.5})
        assert dotted == config.of({"training.epochs": 3, "training": {"patience": 2}, "dropout": 0.5})

    @pytest.mark.parametrize(
        ("values", "what"),
        [
            ({"dropout": 1.0}, "dropout = 1.0 is not allowed"),
            ({"training.epochs": 0}, "training.epochs = 0 is not allowed"),
            ({"units": []}, "units = .* is not allowed"),
            ({"training.learning_rate": "fast"}, "training.learning_rate = 'fast' is not allowed"),
            ({"dropout": float("nan")}, "dropout = nan is not allowed"),
        ],
    )
    def test_bad_values_are_refused(self, values: dict[str, Any], what: str) -> None:
        with pytest.raises(MarqueeError, match=what):
            model("din").config_class.of(values)

    def test_config_survives_json(self) -> None:
        for entry in MODELS.values():
            config = entry.config_class()
            assert entry.config_class.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("key", NETWORKS)
class TestEveryNetwork:
    def test_gives_one_logit_a_row(self, key: str) -> None:
        network, spec, table = built_once(key)
        assert network.output_shape == (None, 1)
        assert set(network.input) == {item.name for item in spec.inputs}
        out = logits(network, spec.apply(table))
        assert out.shape == (table.num_rows,)
        assert ((out < 0) | (out > 1)).any()

    def test_overfits_a_tiny_batch_and_comes_back_from_a_file(self, key: str, tmp_path: Path) -> None:
        network, spec, table = built(key, {"embedding.id_dropout": 0.0}, rows=24)
        network.compile(
            optimizer=keras.optimizers.Adam(0.03),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
            # As trained networks are, and as the one that comes back from a file is.
            jit_compile=keras.backend.backend() == "jax",
        )
        arrays, flags = spec.apply(table), liked(table)
        for _ in range(60):
            network.train_on_batch(arrays, flags.astype("float32")[:, None])
        assert roc_auc(flags, logits(network, arrays)) == 1.0
        assert (((logits(network, arrays) > 0) == flags).mean()) == 1.0

        entry, settings = model(key), model(key).config_class.of({"embedding.id_dropout": 0.0})
        of = Blueprint(entry, settings, spec, objective_of(LIKED))
        trained, again = Network(of, network), Network(of)
        trained.save(tmp_path)
        again.load(tmp_path)
        np.testing.assert_array_equal(again.predict(arrays), trained.predict(arrays))

    def test_a_row_scores_the_same_whatever_is_beside_it(self, key: str) -> None:
        network, spec, table = built_once(key)
        whole = logits(network, spec.apply(table))
        alone = logits(network, spec.apply(table.slice(7, 1)))
        np.testing.assert_allclose(alone, whole[7:8], rtol=1e-4, atol=1e-5)

    def test_same_seed_same_network(self, key: str) -> None:
        first, spec, table = built_once(key)
        again, _, _ = built(key)
        arrays = spec.apply(table)
        np.testing.assert_array_equal(logits(first, arrays), logits(again, arrays))


OTHERS = {"press": PRESS.views, "every kind": EVERY_KIND}


def built_on(key: str, views: Sequence[View], config: dict[str, Any] | None = None) -> tuple[Any, ...]:
    """The network of a model for the features of some views, its specification, and its table."""
    settings = model(key).config_class.of(config)
    table = drawn_table(views, 60)
    spec = InputSpec.fit(table, "a_service", views, settings.inputs)
    seed_everything(0)
    return model(key).build(settings, spec), spec, table


# Models that read fields alone read what `fields_of` gives them: one of them stands for the other domain.
@pytest.mark.parametrize(
    ("key", "views"),
    [(key, views) for key in NETWORKS for views in OTHERS if views == "every kind" or key not in ALIKE],
)
def test_every_network_reads_any_domain_and_comes_back_from_a_file(
    key: str, views: str, tmp_path: Path
) -> None:
    network, spec, table = built_on(key, OTHERS[views])
    before = logits(network, spec.apply(table))
    assert before.shape == (60,)
    assert np.isfinite(before).all()
    network.save_weights(tmp_path / "model.weights.h5")
    again, _, _ = built_on(key, OTHERS[views])
    for weight in again.weights:
        weight.assign(np.zeros_like(weight))
    again.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(logits(again, spec.apply(table)), before)


NOT_READ = {
    "embedding_mlp": {"reader_recent_articles", "reader_recent_topics", "reader_pairs"},
}
"""The inputs that a model leaves out by its nature: this one has no history."""


@pytest.mark.parametrize("key", NETWORKS)
def test_a_network_reads_every_input_that_it_is_given(key: str) -> None:
    config = {"modality_gate": 0.0} if key == "mmdin" else {}
    network, spec, table = built_on(key, EVERY_KIND, config)
    arrays = spec.apply(table)
    before = logits(network, arrays)
    unread = set()
    for item in spec.inputs:
        other = arrays | {item.name: arrays[item.name][::-1].copy()}
        assert not np.array_equal(other[item.name], arrays[item.name])
        if np.array_equal(logits(network, other), before):
            unread.add(item.name)
    assert unread == NOT_READ.get(key, set())


@pytest.mark.parametrize("key", NETWORKS)
def test_a_network_is_well_defined_where_nothing_was_known_in_training(key: str) -> None:
    """One user, one movie, and no feature of either: afterwards come rows with everything."""
    entry = model(key)
    later = toy_table(40, entry.service, missing=0.0)
    features = set(later.column_names) - {"user_id", "movie_id", "event_timestamp"}
    nothing = pa.table(
        {
            name: pa.nulls(40, later.schema.field(name).type) if name in features else later[name]
            for name in later.column_names
        }
    )
    for name in ("user_id", "movie_id"):
        nothing = nothing.set_column(nothing.column_names.index(name), name, pa.array([3] * 40))
    settings = entry.config_class()
    spec = toy_spec(nothing, entry.service, settings.inputs)
    assert all(not words for name, words in spec.vocabularies.items() if name == "genre")
    network = entry.build(settings, spec)
    for table in (nothing, later):
        assert np.isfinite(logits(network, spec.apply(table))).all()


def test_two_sets_of_tables_stand_in_one_model(tmp_path: Path) -> None:
    table = drawn_table(EVERY_KIND, 60)
    spec = InputSpec.fit(table, "a_service", EVERY_KIND)

    def network() -> Any:
        inputs = model_inputs(spec)
        parts = []
        for prefix in ("", "other_"):
            towers = Towers(spec, inputs, EmbeddingConfig(), prefix)
            parts += [tensor for side in ("user", "item", "context") for tensor in towers.side(side)]
            parts += [towers.history()[0], keras.ops.sum(towers.history()[1], axis=1), *towers.matches()]
            parts += [*towers.gated("user", 0.0, 0.0), *towers.modality_matches(3, 0.0, 0.0)]
            fields = fields_of(spec, inputs, FieldConfig(), f"{prefix}click_")
            parts += [fields.first_order, keras.ops.sum(fields.embeddings, axis=1)]
        return keras.Model(inputs, keras.layers.Dense(1)(keras.ops.concatenate(parts, axis=1)))

    seed_everything(0)
    first = network()
    names = [layer.name for layer in first.layers]
    assert len(set(names)) == len(names)
    before = logits(first, spec.apply(table))
    first.save_weights(tmp_path / "model.weights.h5")
    again = network()
    assert not np.array_equal(logits(again, spec.apply(table)), before)
    again.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(logits(again, spec.apply(table)), before)


def test_what_a_history_cannot_be_made_of_is_one_sentence() -> None:
    longer = LastK("article_id", replace(READER_RECENT.columns[0], name="other", length=4))
    views = (*PRESS.views, replace(READER_RECENT, name="reader_other", features=(longer,)))
    with pytest.raises(MarqueeError, match=r"reader_recent_articles, .*, other of .* differ in length"):
        built_on("din", views)
    without = (READER_STATS, READER_RECENT, ARTICLE_STATS)
    with pytest.raises(MarqueeError, match="in the vocabulary 'topic' of reader_recent_topics: join a view"):
        built_on("din", without)
    words = replace(READER_RECENT, features=READER_RECENT.features[1:])
    with pytest.raises(MarqueeError, match="has no list of ids to tell padding by"):
        built_on("din", (READER_STATS, words, ARTICLE_FACTS))


def test_a_network_without_an_input_that_it_can_read_is_refused() -> None:
    off = dict.fromkeys(InputConfig().model_dump(include=SWITCHES), False)
    with pytest.raises(MarqueeError, match="inputs of a_service are all switched off"):
        built_on("deepfm", PRESS.views, {"inputs": off})
    with pytest.raises(MarqueeError, match="cannot read numbers that stay missing"):
        built_on("din", PRESS.views, {"inputs.missing": "nan"})
    with pytest.raises(MarqueeError, match="nothing to read as its features"):
        built_on("embedding_mlp", (READER_RECENT,), {"inputs": off | {"lists": True}})


SWITCHES = {"numeric", "bucketised", "ids", "categories", "lists", "vectors", "context"}


@pytest.mark.parametrize("key", WITH_HISTORY)
def test_what_stands_behind_padding_changes_nothing(key: str) -> None:
    network, spec, table = built(key)
    arrays = spec.apply(table)
    before = logits(network, arrays)
    gone = arrays["user_recent_liked_movie_ids"] == 0
    assert gone.any()
    arrays["user_recent_liked_genres"][gone] = 3
    np.testing.assert_array_equal(logits(network, arrays), before)


@pytest.mark.parametrize("key", WITH_HISTORY)
def test_history_matters(key: str) -> None:
    network, spec, table = built(key)
    arrays = spec.apply(table)
    before = logits(network, arrays)
    arrays["user_recent_liked_movie_ids"][:, 0] = 5
    assert not np.allclose(logits(network, arrays), before)


def test_all_of_another_modality_passes_a_gate() -> None:
    """With the gates shut, posters change nothing; with open ones, those of either side do."""
    for gate, shut in ((-1e4, True), (0.0, False)):
        network, spec, table = built("mmdin", {"modality_gate": gate})
        arrays = spec.apply(table)
        before = logits(network, arrays)
        for side in ("user", "item"):
            names = [item.name for item in spec.inputs if (item.side, item.modality) == (side, "poster")]
            assert len(names) == 2  # numbers and their buckets
            other = arrays | {name: arrays[name][::-1].copy() for name in names}
            assert np.array_equal(logits(network, other), before) == shut


def test_candidate_and_history_share_one_embedding() -> None:
    network, spec, _ = built("din")
    tables = [weight.path for weight in network.weights if weight.shape[0] == spec.size("movie")]
    assert tables == ["movie_embedding/embeddings"]


class TestAblationsOfMMDIN:
    def weights(self, config: dict[str, Any]) -> set[str]:
        network, _, _ = built("mmdin", config)
        return {weight.path for weight in network.trainable_weights}

    def test_no_multimodal_reads_no_poster(self) -> None:
        network, spec, table = built("mmdin", {"multimodal": False})
        assert not any("poster" in weight.path for weight in network.weights)
        arrays = spec.apply(table)
        before = logits(network, arrays)
        for item in spec.inputs:
            if item.modality == "poster":
                arrays[item.name] = np.zeros_like(arrays[item.name])
        np.testing.assert_array_equal(logits(network, arrays), before)
        assert any("poster" in path for path in self.weights({}))

    def test_one_head(self) -> None:
        network, _, _ = built("mmdin", {"heads": 1})
        assert network.get_layer("tower").heads == 1

    def test_mlp_for_resnet(self) -> None:
        paths = self.weights({"tower": "mlp"})
        assert not any("inner" in path for path in paths)
        assert any(path.startswith("tower_0/") for path in paths)

    def test_sum_pooling_for_attention(self) -> None:
        assert not any("interest" in path for path in self.weights({"pooling": "sum"}))
        assert any("interest" in path for path in self.weights({}))


def test_a_service_without_history_is_refused_by_attention() -> None:
    entry = model("din")
    config = entry.config_class()
    table = toy_table(60, "gbt_v1")
    spec = toy_spec(table, "gbt_v1", config.inputs)
    with pytest.raises(MarqueeError, match="gbt_v1 has no history"):
        entry.build(config, spec)
