"""Layers that let fields interact: hand-computed values, weights, fields that are missing, bad input."""

import numpy as np
import pytest

from tests.layer_values import floats, shapes, values
from training.layers import (
    BiInteraction,
    FactorisationMachine,
    FieldAttention,
    PairAttention,
    VectorCross,
    field_attention,
)


def there(fields: int, rows: int = 1) -> np.ndarray:
    """A mask of fields that are all there."""
    return np.ones((rows, fields), "bool")


class TestFactorisationMachine:
    def test_sums_the_inner_products_of_all_pairs(self) -> None:
        e = floats([[1, 2], [3, 4], [5, 6]])
        # <e1, e2> + <e1, e3> + <e2, e3>
        expected = (1 * 3 + 2 * 4) + (1 * 5 + 2 * 6) + (3 * 5 + 4 * 6)
        assert values(FactorisationMachine()(e)).tolist() == [[expected]]

    def test_one_field_has_no_pair(self) -> None:
        assert values(FactorisationMachine()(floats([[1, 2]]))).tolist() == [[0]]

    def test_a_bias_is_added(self) -> None:
        layer = FactorisationMachine(use_bias=True)
        layer.build((None, 2, 2))
        layer.set_weights([floats(0.5)])
        assert values(layer(floats([[1, 2], [3, 4]]))).tolist() == [[11.5]]

    def test_has_no_weights_and_refuses_other_shapes(self) -> None:
        layer = FactorisationMachine()
        layer(floats([[1, 2]]))
        assert layer.weights == []
        with pytest.raises(ValueError, match="should have shape"):
            FactorisationMachine()(floats([1, 2]))


class TestBiInteraction:
    def test_sums_the_products_of_all_pairs(self) -> None:
        out = BiInteraction()(floats([[1, 2], [3, 4], [5, 6]]))
        assert values(out).tolist() == [[1 * 3 + 1 * 5 + 3 * 5, 2 * 4 + 2 * 6 + 4 * 6]]

    def test_has_no_weights_and_refuses_other_shapes(self) -> None:
        layer = BiInteraction()
        assert layer(np.zeros((2, 3, 4), "float32")).shape == (2, 4)
        assert layer.weights == []
        with pytest.raises(ValueError, match="should have shape"):
            BiInteraction()(np.zeros((2, 3), "float32"))


class TestPairAttention:
    def test_weighs_each_pair_by_itself(self) -> None:
        layer = PairAttention(units=1)
        fields = floats([[1, 2], [3, 4], [5, -1]])
        layer.build((None, 3, 2), (None, 3))
        # h relu(p · (1, 1) - 1) of the products (3, 8), (5, -2), (15, -4) is 2·10, 2·2 and 2·10.
        layer.set_weights([floats([1], [1]), floats(-1), floats([2])])
        weights = np.exp([20.0, 4.0, 20.0]) / np.exp([20.0, 4.0, 20.0]).sum()
        expected = weights @ np.array([[3, 8], [5, -2], [15, -4]])
        np.testing.assert_allclose(values(layer(fields, there(3))), [expected], rtol=1e-6)

    def test_a_pair_of_which_one_is_not_there_weighs_nothing(self) -> None:
        layer, alone = PairAttention(units=2), PairAttention(units=2)
        fields = np.random.default_rng(0).random((1, 4, 3), "float32")
        some = np.array([[True, False, True, True]])
        found = values(layer(fields * some[..., None], some))
        alone(fields[:, [0, 2, 3]], there(3))
        alone.set_weights(layer.get_weights())
        np.testing.assert_allclose(found, values(alone(fields[:, [0, 2, 3]], there(3))), rtol=1e-6)
        assert not values(layer(fields, np.array([[True, False, False, False]]))).any()

    def test_weights(self) -> None:
        layer = PairAttention(units=5)
        assert layer(np.zeros((2, 4, 3), "float32"), there(4, 2)).shape == (2, 3)
        assert shapes(layer) == {"kernel": (3, 5), "bias": (5,), "projection": (5, 1)}

    def test_dropout_acts_in_training_only(self) -> None:
        layer, fields = PairAttention(dropout=0.5), np.ones((4, 3, 8), "float32")
        np.testing.assert_allclose(values(layer(fields, there(3, 4))), 1, rtol=1e-6)
        assert (values(layer(fields, there(3, 4), training=True)) == 0).any()

    def test_bad_input(self) -> None:
        with pytest.raises(ValueError, match="`units` should be at least 1"):
            PairAttention(units=0)
        with pytest.raises(ValueError, match="should have shape"):
            PairAttention()(np.zeros((2, 3), "float32"), there(3, 2))
        with pytest.raises(ValueError, match="one field"):
            PairAttention()(np.zeros((2, 1, 3), "float32"), there(1, 2))
        with pytest.raises(ValueError, match="one value for each field"):
            PairAttention()(np.zeros((2, 4, 3), "float32"), there(3, 2))


class TestVectorCross:
    def test_multiplies_the_first_features_by_a_weighted_sum(self) -> None:
        layer = VectorCross()
        layer.build((None, 2), (None, 2))
        layer.set_weights([floats([2], [3]), floats(10, 20)])
        out = layer(floats([1, -1]), floats([4, 5]))
        assert values(out).tolist() == [[1 * (2 * 4 + 3 * 5) + 10 + 4, -1 * (2 * 4 + 3 * 5) + 20 + 5]]

    def test_weights(self) -> None:
        layer, x = VectorCross(), np.zeros((3, 4), "float32")
        assert layer(x, x).shape == (3, 4)
        assert shapes(layer) == {"kernel": (4, 1), "bias": (4,)}

    def test_bad_input(self) -> None:
        with pytest.raises(ValueError, match="one shape"):
            VectorCross()(np.zeros((2, 3), "float32"), np.zeros((2, 4), "float32"))
        with pytest.raises(ValueError, match="one shape"):
            VectorCross()(np.zeros((2, 3, 1), "float32"), np.zeros((2, 3, 1), "float32"))


EVERY = np.ones((1, 2), "bool")
"""Both of two fields are there."""


class TestFieldAttention:
    def test_each_field_gathers_from_all_by_likeness(self) -> None:
        layer = FieldAttention(width=1, heads=1)
        layer.build((None, 2, 2), (None, 2))
        # Fields (1, 0) and (0, 2): queries 1 and 2, keys 3 and 0, values 5 and -4, themselves -1 and 2.
        by_hand = [floats([1], [1]), floats([3], [0]), floats([5], [-2]), floats([-1], [1])]
        layer.set_weights(by_hand)
        weights = [np.exp([3.0, 0.0]), np.exp([6.0, 0.0])]
        expected = [
            w / w.sum() @ np.array([5.0, -4.0]) + own for w, own in zip(weights, (-1, 2), strict=True)
        ]
        out = values(layer(floats([[1, 0], [0, 2]]), EVERY))
        np.testing.assert_allclose(out[0, :, 0], np.maximum(expected, 0), rtol=1e-6)

    def test_heads_stand_side_by_side(self) -> None:
        two, one = FieldAttention(width=2, heads=2), FieldAttention(width=2, heads=1)
        fields = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
        present = np.ones((3, 4), "bool")
        two(fields, present)
        one(fields, present)
        one.set_weights([weight[:, 2:] for weight in two.get_weights()])
        np.testing.assert_allclose(
            values(two(fields, present))[..., 2:], values(one(fields, present)), rtol=1e-5
        )

    @pytest.mark.parametrize("attention", [True, False])
    def test_few_fields_and_many_are_attended_to_alike(
        self, attention: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        layer = FieldAttention(width=3, heads=2, attention=attention)
        random = np.random.default_rng(0)
        fields, present = random.normal(size=(5, 4, 6)).astype("float32"), random.random((5, 4)) < 0.7
        few = values(layer(fields, present)), values(layer.weights_of(fields, present))
        monkeypatch.setattr(field_attention, "FEW_FIELDS", 0)
        many = values(layer(fields, present)), values(layer.weights_of(fields, present))
        for one, other in zip(few, many, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("attention", [True, False])
    def test_a_field_that_is_not_there_changes_no_other(self, attention: bool) -> None:
        layer = FieldAttention(attention=attention)
        fields = np.random.default_rng(0).normal(size=(1, 3, 4)).astype("float32")
        present = np.array([[True, True, False]])
        out = values(layer(fields, present))
        fields[0, 2] = 7
        np.testing.assert_array_equal(values(layer(fields, present))[0, :2], out[0, :2])
        weights = values(layer.weights_of(fields, present))
        np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-6)
        assert (weights[..., 2] == 0).all()

    @pytest.mark.parametrize("attention", [True, False])
    def test_without_any_field_nothing_is_gathered(self, attention: bool) -> None:
        layer = FieldAttention(attention=attention, residual=False)
        out = layer(np.ones((1, 2, 4), "float32"), np.zeros((1, 2), "bool"))
        assert (values(out) == 0).all()

    def test_without_attention_all_weigh_the_same(self) -> None:
        layer = FieldAttention(attention=False)
        weights = values(layer.weights_of(np.ones((1, 2, 4), "float32"), EVERY))
        assert (weights == 0.5).all()

    def test_weights_are_those_of_its_parts(self) -> None:
        def kernels(**parts: bool) -> dict[str, tuple[int, ...]]:
            layer = FieldAttention(width=3, heads=2, **parts)
            assert layer(np.ones((1, 2, 4), "float32"), EVERY).shape == (1, 2, 6)
            return shapes(layer)

        whole = {f"{name}_kernel": (4, 6) for name in ("query", "key", "value", "residual")}
        assert kernels() == whole
        assert kernels(attention=False) == {name: whole[name] for name in ("value_kernel", "residual_kernel")}
        assert kernels(residual=False) == {name: whole[name] for name in whole if "residual" not in name}

    def test_bad_input(self) -> None:
        with pytest.raises(ValueError, match="`width` and `heads` should be at least 1"):
            FieldAttention(width=0)
        with pytest.raises(ValueError, match="should have shape"):
            FieldAttention()(np.zeros((1, 2), "float32"), EVERY)
        with pytest.raises(ValueError, match="one value for each field"):
            FieldAttention()(np.zeros((1, 3, 4), "float32"), EVERY)
