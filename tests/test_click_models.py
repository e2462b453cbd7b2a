"""Click models: what each says of a row is the paper's equation, computed by plain NumPy from its weights."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from feature_repo.define import role
from feature_repo.define.column import EVENT_TIMESTAMP, Column, Type
from tests.layer_values import values
from tests.toy_domain import ARTICLE, READER
from tests.toy_press import facts
from training.backend import keras
from training.inputs.config import InputConfig
from training.inputs.kinds import UNSEEN_ID
from training.inputs.spec import InputSpec
from training.models import model

pytestmark = pytest.mark.training

Weights = dict[str, np.ndarray]
Equation = Callable[[np.ndarray, float, Weights], float]
"""From the fields of a row (fields, dim), their first-order term and all weights, to its logit."""

VIEWS = (
    facts("reader", READER, (Column("home", Type.STRING, "", role=role.Category("country")),), "behaviour"),
    facts("article", ARTICLE, (Column("topics", Type.STRING_LIST, "", role=role.Bag("topic")),), "behaviour"),
)
TABLE = pa.table(
    {
        "reader_id": [1, 2, 3, 2],
        "article_id": ["p", "q", "p", "r"],
        EVENT_TIMESTAMP: pa.array([0, 1, 2, 3], pa.timestamp("us", "UTC")),
        "home": ["x", "y", None, "x"],
        "topics": [["a"], ["a", "b"], [], ["b"]],
    }
)
DIM = 3
OF_READER = [0, 2]
"""The places of the user's fields among reader, article, home, topics."""


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def pairs(e: np.ndarray) -> np.ndarray:
    return np.array([a * b for a, b in combinations(e, 2)])


def dense(x: np.ndarray, w: Weights, name: str) -> np.ndarray:
    out: np.ndarray = x @ w[f"{name}/kernel"] + w.get(f"{name}/bias", 0)
    return out


def mlp(x: np.ndarray, w: Weights, name: str = "mlp") -> np.ndarray:
    layer = 0
    while f"{name}_{layer}/kernel" in w:
        x = relu(dense(x, w, f"{name}_{layer}"))
        layer += 1
    assert layer
    return x


def logit(x: np.ndarray, w: Weights) -> float:
    return float(dense(x, w, "logit")[0])


def attended(e: np.ndarray, w: Weights, name: str, heads: int = 2) -> np.ndarray:
    """One interaction layer, field by field and head by head; every field of these rows takes part."""
    width = w[f"{name}/value_kernel"].shape[1] // heads
    normalised = f"{name}/normalised/gamma" in w
    scale = width**-0.5 if normalised else 1
    out = []
    for field in e:
        gathered = []
        for head in range(heads):
            columns = slice(head * width, (head + 1) * width)
            weights = np.full(len(e), 1 / len(e))
            if f"{name}/query_kernel" in w:
                query = field @ w[f"{name}/query_kernel"][:, columns]
                scores = np.exp(
                    [scale * query @ (other @ w[f"{name}/key_kernel"][:, columns]) for other in e]
                )
                weights = scores / scores.sum()
            gathered.append(weights @ (e @ w[f"{name}/value_kernel"][:, columns]))
        found = np.concatenate(gathered)
        if f"{name}/residual_kernel" in w:
            found = found + field @ w[f"{name}/residual_kernel"]
        found = relu(found)
        if normalised:
            of_unit_scale = (found - found.mean()) / np.sqrt(found.var() + 1e-3)
            found = of_unit_scale * w[f"{name}/normalised/gamma"] + w[f"{name}/normalised/beta"]
        out.append(found)
    return np.array(out)


def fm(e: np.ndarray, first: float, w: Weights) -> float:
    return first + float(w["pairs/bias"][0]) + float(pairs(e).sum())


def afm(e: np.ndarray, first: float, w: Weights) -> float:
    products = pairs(e)
    scores = np.exp(relu(products @ w["pairs/kernel"] + w["pairs/bias"]) @ w["pairs/projection"])
    return first + logit((scores / scores.sum() * products).sum(axis=0), w)


def nfm(e: np.ndarray, first: float, w: Weights) -> float:
    return first + logit(mlp(pairs(e).sum(axis=0), w), w)


def wide_deep(e: np.ndarray, first: float, w: Weights) -> float:
    return first + logit(mlp(e.ravel(), w), w)


def deep_crossing(e: np.ndarray, first: float, w: Weights) -> float:  # noqa: ARG001
    x = e.ravel()
    for unit in (0, 1):
        x = relu(x + dense(relu(dense(x, w, f"unit_{unit}_hidden")), w, f"unit_{unit}_out"))
    return logit(x, w)


def dcn(e: np.ndarray, first: float, w: Weights) -> float:  # noqa: ARG001
    x = e.ravel()
    for layer in range(3):
        x = e.ravel() * (x @ w[f"cross_{layer}/kernel"]) + w[f"cross_{layer}/bias"] + x
    return logit(np.concatenate([x, mlp(e.ravel(), w)]), w)


def crossed(e: np.ndarray, w: Weights) -> np.ndarray:
    x = e.ravel()
    for layer in range(3):
        *kernels, bias = (weight for path, weight in w.items() if path.startswith(f"cross_{layer}/"))
        through = x
        for kernel in kernels:
            through = through @ kernel
        x = e.ravel() * (through + bias) + x
    return x


def dcn_v2(e: np.ndarray, first: float, w: Weights) -> float:  # noqa: ARG001
    return logit(np.concatenate([crossed(e, w), mlp(e.ravel(), w)]), w)


def dcn_v2_stacked(e: np.ndarray, first: float, w: Weights) -> float:  # noqa: ARG001
    return logit(mlp(crossed(e, w), w), w)


def inner(e: np.ndarray) -> list[float]:
    return [float(e[i] @ e[j]) for i in range(len(e)) for j in range(i)]


def pnn(e: np.ndarray, first: float, w: Weights) -> float:  # noqa: ARG001
    return logit(mlp(np.concatenate([e.ravel(), inner(e)]), w), w)


def pnn_both(e: np.ndarray, first: float, w: Weights) -> float:  # noqa: ARG001
    total = e.sum(axis=0)
    outer = [total[i] * total[j] for i in range(DIM) for j in range(DIM)]
    return logit(mlp(np.concatenate([e.ravel(), inner(e), outer]), w), w)


def autoint(e: np.ndarray, first: float, w: Weights) -> float:  # noqa: ARG001
    found = e
    for layer in range(3):
        found = attended(found, w, f"attention_{layer}")
    out = logit(found.ravel(), w)
    return out + float(dense(mlp(e.ravel(), w), w, "deep")[0]) if "deep/kernel" in w else out


def iarm(e: np.ndarray, first: float, w: Weights) -> float:  # noqa: ARG001
    parts = [e.ravel()]
    if "interest_0/kernel" in w:
        parts.append(mlp(e[OF_READER].ravel(), w, "interest"))
    found, layer = e, 0
    while f"attention_{layer}/value_kernel" in w:
        found = attended(found, w, f"attention_{layer}")
        layer += 1
    if layer:
        parts.append(found.ravel())
    return logit(np.concatenate(parts), w)


def with_first_order(equation: Equation) -> Equation:
    return lambda e, first, w: first + equation(e, first, w)


CASES: dict[str, tuple[str, dict[str, Any], Equation]] = {
    "FM": ("fm", {}, fm),
    "AFM": ("afm", {}, afm),
    "NFM": ("nfm", {}, nfm),
    "Wide & Deep": ("wide_deep", {}, wide_deep),
    "Deep Crossing": ("deep_crossing", {}, deep_crossing),
    "DCN": ("dcn", {}, dcn),
    "DCN-V2": ("dcn_v2", {}, dcn_v2),
    "DCN-V2, stacked, of low rank": ("dcn_v2", {"stacked": True, "rank": 2}, dcn_v2_stacked),
    "PNN": ("pnn", {}, pnn),
    "PNN, both products": ("pnn", {"product": "both"}, pnn_both),
    "PNN, first order": ("pnn", {"first_order": True}, with_first_order(pnn)),
    "AutoInt": ("autoint", {}, autoint),
    "AutoInt, normalised, first order": (
        "autoint",
        {"normalise": True, "first_order": True},
        with_first_order(autoint),
    ),
    "AutoInt+": ("autoint", {"units": (4, 3)}, autoint),
    "IARM": ("iarm", {}, iarm),
    "IARM*": ("iarm", {"interest": False}, iarm),
    "IRM": ("iarm", {"attention": False}, iarm),
    "IARM-": ("iarm", {"residual": False}, iarm),
    "IARM, normalised, first order": (
        "iarm",
        {"normalise": True, "first_order": True},
        with_first_order(iarm),
    ),
    "IARM without interaction": ("iarm", {"layers": 0}, iarm),
}


@pytest.mark.parametrize("name", CASES)
def test_a_logit_is_the_equation_of_its_paper(name: str) -> None:
    key, config, equation = CASES[name]
    settings = model(key).config_class.of({"embedding.dim": DIM, "inputs.context": False, **config})
    spec = InputSpec.fit(TABLE, "press", VIEWS, settings.inputs)
    network = model(key).build(settings, spec)
    weights = drawn(network)
    arrays = spec.apply(TABLE)
    embeddings, first, logits = (
        values(found)
        for found in keras.Model(
            network.input,
            [network.get_layer("fields").output, first_order(network), network.output],
        )(arrays)
    )
    # In rows 1, 2 and 4 all fields are there.
    for row in (0, 1, 3):
        assert logits[row, 0] == pytest.approx(
            equation(embeddings[row], float(first[row]), weights), rel=1e-4
        )


def drawn(network: Any) -> Weights:
    """Give all weights values that tell them apart, by the names of layer and weight."""
    random = np.random.default_rng(0)
    for weight in network.weights:
        if "seed" not in weight.path:
            weight.assign(random.normal(0, 0.3, weight.shape))
    return {weight.path: values(weight) for weight in network.weights}


def first_order(network: Any) -> Any:
    """Σ w over the fields (batch,); 0 where a network has no such term."""
    if not any(layer.name == "first_fields" for layer in network.layers):
        return keras.ops.zeros_like(network.get_layer("fields").output[:, 0, 0])
    return keras.ops.sum(network.get_layer("first_fields").output, axis=(1, 2))


@pytest.mark.parametrize("key", ["iarm", "autoint", "afm"])
def test_a_field_that_is_missing_is_attended_to_by_none(key: str) -> None:
    """In row 3 neither home nor topics are there: all else being alike, what their tables hold is nothing."""
    settings = model(key).config_class.of({"embedding.dim": DIM, "inputs.context": False})
    spec = InputSpec.fit(TABLE, "press", VIEWS, settings.inputs)
    network = model(key).build(settings, spec)
    drawn(network)
    arrays = spec.apply(TABLE)
    before = values(network(arrays))
    for table in ("country_embedding", "topic_embedding"):
        layer = network.get_layer(table)
        layer.set_weights([weight + 3 for weight in layer.get_weights()])
    after = values(network(arrays))
    assert after[2, 0] == pytest.approx(before[2, 0], rel=1e-5)
    assert (after[[0, 1, 3]] != before[[0, 1, 3]]).all()


@pytest.mark.parametrize("key", ["iarm", "autoint"])
@pytest.mark.parametrize("forgotten", [0.0, 0.5])
def test_what_attention_gathers_is_forgotten_while_training_alone(key: str, forgotten: float) -> None:
    kept = {"embedding.dim": DIM, "embedding.id_dropout": 0.0, "dropout": 0.0}
    settings = model(key).config_class.of({**kept, "attention_dropout": forgotten})
    spec = InputSpec.fit(TABLE, "press", VIEWS, settings.inputs)
    network = model(key).build(settings, spec)
    drawn(network)
    arrays = spec.apply(TABLE)
    used, again, training = (values(network(arrays, training=how)) for how in (False, False, True))
    np.testing.assert_array_equal(used, again)
    assert (used != training).any() == (forgotten > 0)


def test_without_fields_of_a_user_the_interest_layer_reads_all() -> None:
    views = (facts("country", ARTICLE, VIEWS[0].columns, "behaviour"),)
    table = TABLE.select(["article_id", EVENT_TIMESTAMP, "home"])
    spec = InputSpec.fit(table, "press", views, InputConfig(context=False))
    settings = model("iarm").config_class.of({"embedding.dim": DIM, "units": (5,)})
    network = model("iarm").build(settings, spec)
    assert network.get_layer("interest_0").kernel.shape == (2 * DIM, 5)


def test_what_was_never_seen_adds_nothing_where_no_id_is_forgotten() -> None:
    for forgotten, is_zero in ((0.0, True), (0.2, False)):
        settings = model("fm").config_class.of({"embedding.dim": DIM, "embedding.id_dropout": forgotten})
        network = model("fm").build(settings, InputSpec.fit(TABLE, "press", VIEWS, settings.inputs))
        tables = [layer for layer in network.layers if layer.name.endswith("article_embedding")]
        assert len(tables) == 2
        for table in tables:
            rows = table.get_weights()[0]
            assert (rows[UNSEEN_ID] == 0).all() == is_zero
            assert (rows[UNSEEN_ID + 1 :] != 0).all()


@pytest.mark.parametrize("forgotten", [0.0, 0.2])
@pytest.mark.parametrize("initial", [0.001, 0.5])
def test_tables_start_as_wide_as_they_are_told_to(forgotten: float, initial: float) -> None:
    config = {"embedding.dim": 64, "embedding.id_dropout": forgotten, "embedding.initial": initial}
    settings = model("fm").config_class.of(config)
    network = model("fm").build(settings, InputSpec.fit(TABLE, "press", VIEWS, settings.inputs))
    table = network.get_layer("article_embedding").get_weights()[0][UNSEEN_ID + 1 :]
    assert table.std() == pytest.approx(initial, rel=0.2)


@pytest.mark.parametrize("forgotten", [0.0, 0.2])
def test_tables_of_one_size_start_as_different_ones(forgotten: float) -> None:
    settings = model("fm").config_class.of({"embedding.dim": DIM, "embedding.id_dropout": forgotten})
    network = model("fm").build(settings, InputSpec.fit(TABLE, "press", VIEWS, settings.inputs))
    tables = [layer.get_weights()[0] for layer in network.layers if layer.name.endswith("_embedding")]
    rows = [tuple(row) for table in tables for row in table if row.any() and len(row) == DIM]
    assert len(set(rows)) == len(rows)
