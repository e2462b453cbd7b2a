"""Layers: hand-computed values, weights, masks, bad input, saving."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.layer_values import floats, shapes, values
from training.backend import keras
from training.layers import (
    BiInteraction,
    BilinearMatch,
    BucketisedEmbedding,
    FactorisationMachine,
    FieldAttention,
    IdDropout,
    InterestAttention,
    KnownRows,
    ModalityGate,
    MultiHeadResidual,
    MultiValuedEmbedding,
    NumericEmbedding,
    PairAttention,
    VectorCross,
)


class TestBucketisedEmbedding:
    def test_each_column_looks_into_its_own_table(self) -> None:
        layer = BucketisedEmbedding(sizes=(2, 3), dim=2)
        layer.build((None, 2))
        layer.set_weights([floats([0, 1], [2, 3], [4, 5], [6, 7], [8, 9])])
        out = layer(np.array([[0, 0], [1, 2]]))
        assert values(out).tolist() == [[[0, 1], [4, 5]], [[2, 3], [8, 9]]]

    def test_weights_are_one_row_for_each_bucket(self) -> None:
        layer = BucketisedEmbedding(sizes=(4, 3, 9), dim=5)
        assert layer(np.zeros((2, 3), dtype="int32")).shape == (2, 3, 5)
        assert shapes(layer) == {"embeddings": (4 + 3 + 9, 5)}

    def test_bad_input(self) -> None:
        with pytest.raises(ValueError, match="`sizes` should hold sizes"):
            BucketisedEmbedding(sizes=(), dim=2)
        with pytest.raises(ValueError, match="`sizes` should hold sizes"):
            BucketisedEmbedding(sizes=(3, 0), dim=2)
        with pytest.raises(ValueError, match="`dim` should be at least 1"):
            BucketisedEmbedding(sizes=(3,), dim=0)
        with pytest.raises(ValueError, match="one column for each size"):
            BucketisedEmbedding(sizes=(3, 3), dim=2)(np.zeros((4, 3), dtype="int32"))


class TestMultiValuedEmbedding:
    def layer(self) -> Any:
        layer = MultiValuedEmbedding(size=4, dim=2)
        layer.build((None, 3))
        layer.set_weights([floats([100, 100], [1, 2], [3, 4], [5, 9])])
        return layer

    def test_is_the_mean_of_the_members(self) -> None:
        out = self.layer()(np.array([[1, 2, 3], [3, 0, 0]]))
        np.testing.assert_allclose(values(out), [[(1 + 3 + 5) / 3, (2 + 4 + 9) / 3], [5, 9]], rtol=1e-6)

    def test_padding_changes_nothing(self) -> None:
        layer = self.layer()
        short, long = np.array([[1, 3]]), np.array([[1, 0, 3, 0, 0]])
        np.testing.assert_allclose(values(layer(short)), values(layer(long)), rtol=1e-6)

    def test_an_empty_bag_is_zero(self) -> None:
        assert values(self.layer()(np.array([[0, 0, 0]]))).tolist() == [[0, 0]]

    def test_bags_within_a_sequence_are_averaged_each_by_itself(self) -> None:
        out = self.layer()(np.array([[[1, 2], [3, 0]]]))
        np.testing.assert_allclose(values(out), [[[2, 3], [5, 9]]], rtol=1e-6)

    def test_weights(self) -> None:
        assert shapes(self.layer()) == {"embeddings": (4, 2)}

    def test_bad_input(self) -> None:
        with pytest.raises(ValueError, match="at least 1"):
            MultiValuedEmbedding(size=0, dim=2)
        with pytest.raises(ValueError, match="should have shape"):
            MultiValuedEmbedding(size=3, dim=2)(np.zeros(4, dtype="int32"))


class TestInterestAttention:
    candidate = floats([1, 2], [0, 1])
    history = floats([[1, 0], [0, 1], [5, 5]], [[2, 2], [1, 1], [7, 7]])
    present = np.array([[True, True, False], [True, False, False]])

    def layer(self, **kwargs: Any) -> Any:
        """z = h·(1, 0) + c·(0, 1) + Σᵢⱼ hᵢ cⱼ + 0.5, weight = 2 z + 0.25; all z positive here."""
        layer = InterestAttention(units=(1,), activation="relu", **kwargs)
        layer(self.candidate, self.history, self.present)
        named = {weight.path.split("/", 1)[1]: weight for weight in layer.weights}
        named["item_kernel"].assign(floats([1], [0]))
        named["candidate_kernel"].assign(floats([0], [1]))
        named["outer_kernel"].assign(np.ones((2, 2, 1), "float32"))
        named["bias"].assign(floats(0.5))
        named["weight/kernel"].assign(floats([2]))
        named["weight/bias"].assign(floats(0.25))
        return layer

    def test_weighs_each_item_by_itself_the_candidate_and_their_products(self) -> None:
        out = values(self.layer()(self.candidate, self.history, self.present))
        # Row 1, c = (1, 2). Item (1, 0): z = 1 + 2 + (1·1 + 1·2) + .5 = 6.5, weight 13.25.
        # Item (0, 1): z = 0 + 2 + (1·1 + 1·2) + .5 = 5.5, weight 11.25.
        # Row 2, c = (0, 1). Item (2, 2): z = 2 + 1 + (2·1 + 2·1) + .5 = 7.5, weight 15.25.
        np.testing.assert_allclose(out, [[13.25, 11.25], [2 * 15.25, 2 * 15.25]], rtol=1e-6)

    def test_outer_product_kernel_tells_item_from_candidate(self) -> None:
        layer = self.layer()
        kernel = np.zeros((2, 2, 1), "float32")
        kernel[1, 0, 0] = 1  # candidate's second times item's first
        next(weight for weight in layer.weights if weight.name == "outer_kernel").assign(kernel)
        weights = values(layer.weights_of(self.candidate, self.history, self.present))
        # Row 1: item (1, 0): 1 + 2 + 2·1 + .5 = 5.5; item (0, 1): 0 + 2 + 2·0 + .5 = 2.5.
        np.testing.assert_allclose(weights[0], [2 * 5.5 + 0.25, 2 * 2.5 + 0.25, 0], rtol=1e-6)

    @pytest.mark.parametrize("normalise", [False, True])
    def test_padded_history_changes_nothing(self, normalise: bool) -> None:
        layer = self.layer(normalise=normalise)
        out = values(layer(self.candidate, self.history, self.present))
        other = self.history.copy()
        other[~self.present] = -99
        np.testing.assert_array_equal(values(layer(self.candidate, other, self.present)), out)
        longer = np.concatenate([self.history, np.full((2, 4, 2), 42, "float32")], axis=1)
        present = np.concatenate([self.present, np.zeros((2, 4), bool)], axis=1)
        np.testing.assert_allclose(values(layer(self.candidate, longer, present)), out, rtol=1e-6)

    @pytest.mark.parametrize("normalise", [False, True])
    def test_empty_history_pools_to_zero(self, normalise: bool) -> None:
        layer = self.layer(normalise=normalise)
        out = layer(self.candidate, self.history, np.zeros((2, 3), bool))
        assert values(out).tolist() == [[0, 0], [0, 0]]

    def test_normalised_weights_add_up_to_one(self) -> None:
        layer = self.layer(normalise=True)
        weights = values(layer.weights_of(self.candidate, self.history, self.present))
        np.testing.assert_allclose(weights.sum(axis=1), [1, 1], rtol=1e-6)
        np.testing.assert_allclose(weights[0, 0], 1 / (1 + np.exp(11.25 - 13.25)), rtol=1e-5)

    def test_weights_of_two_hidden_layers(self) -> None:
        layer = InterestAttention(units=(5, 3))
        assert layer(self.candidate, self.history, self.present).shape == (2, 2)
        assert sorted(tuple(weight.shape) for weight in layer.trainable_weights) == sorted(
            [(2, 5), (2, 5), (2, 2, 5), (5,), (1, 5), (5, 3), (3,), (1, 3), (3, 1), (1,)]
        )

    def test_bad_input(self) -> None:
        with pytest.raises(ValueError, match="`units` should hold widths"):
            InterestAttention(units=())
        with pytest.raises(ValueError, match="`candidate` should have shape"):
            InterestAttention()(floats([1, 2, 3], [1, 2, 3]), self.history, self.present)
        with pytest.raises(ValueError, match="`present` should have shape"):
            InterestAttention()(self.candidate, self.history, self.present[:, :2])


class TestMultiHeadResidual:
    def test_sums_heads_of_residual_blocks(self) -> None:
        layer = MultiHeadResidual(width=1, heads=2, blocks=1)
        layer(floats([1, 1]))
        named = {weight.path.split("/", 1)[1]: weight for weight in layer.trainable_weights}
        named["compress/kernel"].assign(floats([1], [1]))
        named["compress/bias"].assign(floats(1))
        named["activation/alpha"].assign(floats(0.25))
        named["inner_0"].assign(floats([[2]], [[-1]]))
        named["inner_bias_0"].assign(floats([[1]], [[5]]))
        named["outer_0"].assign(floats([[3]], [[10]]))
        named["outer_bias_0"].assign(floats([[0.5]], [[0]]))
        # x = (2, 1): compressed 4. Head 1: 4 + 3·relu(8 + 1) + .5 = 31.5; head 2: 4 + 10·relu(-4 + 5) = 14.
        # x = (-3, -2): PReLU(-4) = -1. Head 1: -1 + 3·relu(-2 + 1) + .5 = -.5; head 2: -1 + 10·6 = 59.
        np.testing.assert_allclose(values(layer(floats([2, 1], [-3, -2]))), [[45.5], [58.5]], rtol=1e-6)

    def test_weights(self) -> None:
        layer = MultiHeadResidual(width=8, heads=3, blocks=2, units=5)
        assert layer(np.zeros((4, 7), "float32")).shape == (4, 8)
        assert shapes(layer) == {
            "kernel": (7, 8),
            "bias": (8,),
            "alpha": (8,),
            **{f"inner_{i}": (3, 8, 5) for i in range(2)},
            **{f"inner_bias_{i}": (3, 1, 5) for i in range(2)},
            **{f"outer_{i}": (3, 5, 8) for i in range(2)},
            **{f"outer_bias_{i}": (3, 1, 8) for i in range(2)},
        }

    def test_heads_start_different(self) -> None:
        layer = MultiHeadResidual(width=4, heads=2, blocks=1)
        layer(np.zeros((1, 3), "float32"))
        first, second = values(layer.inner[0])
        assert not np.allclose(first, second)

    def test_dropout_acts_in_training_only(self) -> None:
        layer = MultiHeadResidual(width=16, heads=2, blocks=2, dropout=0.5)
        x = np.random.default_rng(0).normal(size=(8, 5)).astype("float32")
        np.testing.assert_array_equal(values(layer(x)), values(layer(x)))
        assert not np.allclose(values(layer(x, training=True)), values(layer(x)))

    def test_bad_input(self) -> None:
        for name in ("width", "heads", "blocks", "units"):
            with pytest.raises(ValueError, match=f"`{name}` should be at least 1"):
                MultiHeadResidual(**{name: 0})
        with pytest.raises(ValueError, match=r"should have shape \(batch, n\)"):
            MultiHeadResidual()(np.zeros((2, 3, 4), "float32"))


class TestModalityGate:
    def test_scales_by_the_sigmoid_of_the_gate(self) -> None:
        layer = ModalityGate(initial=-2.0)
        out = values(layer(floats([1, 3])))
        np.testing.assert_allclose(out, [[1 / (1 + np.exp(2)), 3 / (1 + np.exp(2))]], rtol=1e-6)
        assert shapes(layer) == {"gate": (2,)}

    def test_drops_whole_rows_in_training_and_keeps_the_mean(self) -> None:
        layer = ModalityGate(initial=100.0, rate=0.25, seed=1)
        out = values(layer(np.ones((4000, 3), "float32"), training=True))
        assert set(np.unique(out.round(5))) == {0.0, np.float32(round(1 / 0.75, 5))}
        assert (out.min(axis=1) == out.max(axis=1)).all()
        assert out.mean() == pytest.approx(1, abs=0.05)

    def test_bad_input(self) -> None:
        with pytest.raises(ValueError, match="`rate` should be in"):
            ModalityGate(rate=1.0)
        with pytest.raises(ValueError, match="should have shape"):
            ModalityGate()(np.zeros((2, 3, 4), "float32"))


class TestIdDropout:
    def test_forgets_ids_in_training_only_and_never_padding(self) -> None:
        layer = IdDropout(0.25, seed=1)
        ids = np.tile(np.array([[7, 0]], dtype="int32"), (4000, 1))
        assert values(layer(ids)).tolist() == ids.tolist()
        out = values(layer(ids, training=True))
        assert set(out[:, 0]) == {7, 1}
        assert (out[:, 1] == 0).all()
        assert (out[:, 0] == 1).mean() == pytest.approx(0.25, abs=0.03)

    def test_bad_input(self) -> None:
        with pytest.raises(ValueError, match="`rate` should be in"):
            IdDropout(1.0)


class TestKnownRows:
    def test_the_first_rows_are_zero_and_the_others_normal(self) -> None:
        table = values(KnownRows(stddev=0.1, zeros=3, seed=0)((4000, 2)))
        assert (table[:3] == 0).all()
        assert (table[3:] != 0).all()
        assert table.std() == pytest.approx(0.1, rel=0.05)

    def test_survives_serialisation(self) -> None:
        made = KnownRows(stddev=0.1, zeros=3, seed=4)
        back = keras.initializers.deserialize(keras.initializers.serialize(made))
        assert back.get_config() == made.get_config()


class TestBilinearMatch:
    def test_multiplies_a_direction_of_one_by_a_direction_of_the_other(self) -> None:
        layer = BilinearMatch(rank=2)
        x, y = floats([1, 2]), floats([3, 4, 5])
        layer(x, y)
        layer.set_weights([floats([1, 0], [1, 1]), floats([1, 0], [0, 1], [0, 1])])
        # (1 + 2)·3 and 2·(4 + 5)
        assert values(layer(x, y)).tolist() == [[9, 18]]
        assert shapes(layer) == {"x_kernel": (2, 2), "y_kernel": (3, 2)}

    def test_bad_input(self) -> None:
        with pytest.raises(ValueError, match="`rank` should be at least 1"):
            BilinearMatch(rank=0)
        with pytest.raises(ValueError, match="should have shape"):
            BilinearMatch()(np.zeros((2, 3, 4), "float32"), np.zeros((2, 3), "float32"))


class TestNumericEmbedding:
    def test_scales_the_vector_of_each_column(self) -> None:
        layer = NumericEmbedding(dim=2)
        layer.build((None, 2))
        layer.set_weights([floats([1, 2], [3, 4])])
        assert values(layer(floats([2, -1]))).tolist() == [[[2, 4], [-3, -4]]]
        assert shapes(layer) == {"embeddings": (2, 2)}

    def test_bad_input(self) -> None:
        with pytest.raises(ValueError, match="`dim` should be at least 1"):
            NumericEmbedding(dim=0)
        with pytest.raises(ValueError, match="should have shape"):
            NumericEmbedding(dim=2)(np.zeros((2, 3, 4), "float32"))


ATTENTION_INPUTS = {
    "candidate": ((4,), "float32"),
    "history": ((5, 4), "float32"),
    "present": ((5,), "bool"),
}
CASES: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "bucketised": (
        lambda: BucketisedEmbedding((3, 4), 2, embeddings_regularizer="l2"),
        {"inputs": ((2,), "int32")},
    ),
    "multi_valued": (lambda: MultiValuedEmbedding(5, 2), {"inputs": ((3,), "int32")}),
    "id_dropout": (lambda: IdDropout(0.3, unseen=1, seed=3), {"inputs": ((3,), "int32")}),
    "attention": (lambda: InterestAttention((6, 3), kernel_regularizer="l2"), ATTENTION_INPUTS),
    "attention_relu": (lambda: InterestAttention((6,), activation="relu", normalise=True), ATTENTION_INPUTS),
    "residual": (
        lambda: MultiHeadResidual(6, heads=2, blocks=2, units=3, dropout=0.1),
        {"inputs": ((7,), "float32")},
    ),
    "gate": (lambda: ModalityGate(-1.0, rate=0.1), {"inputs": ((7,), "float32")}),
    "pairs": (lambda: FactorisationMachine(use_bias=True), {"inputs": ((3, 4), "float32")}),
    "pooled_pairs": (BiInteraction, {"inputs": ((3, 4), "float32")}),
    "weighted_pairs": (
        lambda: PairAttention(3, dropout=0.1),
        {"fields": ((3, 4), "float32"), "present": ((3,), "bool")},
    ),
    "cross": (VectorCross, {"x0": ((4,), "float32"), "x": ((4,), "float32")}),
    "fields": (
        lambda: FieldAttention(3, heads=2, attention=False, residual=False),
        {"fields": ((5, 4), "float32"), "present": ((5,), "bool")},
    ),
    "normalised_fields": (
        lambda: FieldAttention(3, heads=2, normalise=True),
        {"fields": ((5, 4), "float32"), "present": ((5,), "bool")},
    ),
    "numeric": (lambda: NumericEmbedding(3), {"inputs": ((4,), "float32")}),
    "match": (lambda: BilinearMatch(3), {"x": ((4,), "float32"), "y": ((2,), "float32")}),
}


@pytest.mark.parametrize("case", CASES)
def test_configuration_survives_serialisation(case: str) -> None:
    layer = CASES[case][0]()
    back = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(back) is type(layer)
    assert back.get_config() == layer.get_config()


@pytest.mark.parametrize("case", CASES)
def test_a_model_with_the_layer_saves_and_loads_to_the_same_output(case: str, tmp_path: Path) -> None:
    make, given = CASES[case]
    inputs = {name: keras.Input(shape, dtype=kind, name=name) for name, (shape, kind) in given.items()}
    layer = make()
    out = layer(**inputs)
    model = keras.Model(inputs, out)
    random = np.random.default_rng(0)
    batch = {
        name: random.integers(0, 3, (6, *shape)).astype(kind)
        if kind != "float32"
        else random.normal(size=(6, *shape)).astype(kind)
        for name, (shape, kind) in given.items()
    }
    before = values(model(batch))
    assert before.shape == (6, *out.shape[1:])
    model.save(tmp_path / "model.keras")
    after = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(values(after(batch)), before)
