"""IARM, on ratings and on click logs: ten models, ablations, interaction layers, attention between fields."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from feature_repo.define.domain import Domain
from feature_repo.domains.movies import DOMAIN
from training.data.splits import Strategy
from training.papers import drawings
from training.papers.paper import AttentionStudy, Figure, Paper, Protocol, Variant
from training.recipe import task_of

SHOWN = {"roc_auc": "AUC", "log_loss": "log loss"}
"""The paper's columns."""
MODELS = {
    "fm": "FM",
    "wide_deep": "Wide & Deep",
    "deepfm": "DeepFM",
    "afm": "AFM",
    "dcn": "DCN",
    "nfm": "NFM",
    "pnn": "PNN",
    "autoint": "AutoInt",
    "deep_crossing": "Deep Crossing",
    "iarm": "IARM",
}
"""Titles, by key in the zoo."""
ABLATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "no_interest": ("IARM*, without the interest layer", {"interest": False}),
    "no_attention": ("IRM, without attention", {"attention": False}),
    "no_residual": ("IARM-, without residuals", {"residual": False}),
}
"""Title and what differs."""
PUBLISHED: dict[str, dict[str, tuple[float, float]]] = {
    "ratings": {
        **{"fm": (0.5347, 0.4462), "wide_deep": (0.8328, 0.3334), "deepfm": (0.8340, 0.3346)},
        **{"afm": (0.8295, 0.3358), "dcn": (0.8249, 0.3393), "nfm": (0.8297, 0.3357)},
        **{"pnn": (0.8312, 0.3353), "autoint": (0.8362, 0.3393), "deep_crossing": (0.8373, 0.3305)},
        **{"iarm": (0.8386, 0.3296), "no_interest": (0.8349, 0.3344), "no_attention": (0.8345, 0.3292)},
        **{"no_residual": (0.8236, 0.3422)},
    },
    "criteo": {
        **{"fm": (0.6869, 0.5286), "wide_deep": (0.7066, 0.4827), "deepfm": (0.7283, 0.4707)},
        **{"afm": (0.7220, 0.4754), "dcn": (0.7094, 0.4920), "nfm": (0.7027, 0.5645)},
        **{"pnn": (0.7084, 0.4870), "autoint": (0.7060, 0.6049), "deep_crossing": (0.7375, 0.4732)},
        **{"iarm": (0.7545, 0.4830), "no_interest": (0.7371, 0.4965), "no_attention": (0.7497, 0.4902)},
        **{"no_residual": (0.7511, 0.4822)},
    },
    "avazu": {
        **{"fm": (0.5437, 0.6221), "wide_deep": (0.7424, 0.4117), "deepfm": (0.7461, 0.4041)},
        **{"afm": (0.7567, 0.4012), "dcn": (0.7349, 0.4139), "nfm": (0.7400, 0.4179)},
        **{"pnn": (0.7374, 0.4096), "autoint": (0.7450, 0.4496), "deep_crossing": (0.7572, 0.3989)},
        **{"iarm": (0.7652, 0.3994), "no_interest": (0.7591, 0.3995), "no_attention": (0.7637, 0.4019)},
        **{"no_residual": (0.7621, 0.4086)},
    },
}
"""AUC and log loss by data, of the rows of tables 2 to 5; those of ratings on MovieLens-1M."""
LAYERS = {str(count): "iarm" if count == 3 else f"layers_{count}" for count in range(5)}
"""Keys of the variants by their number of interaction layers (figure 4)."""


def _variants(data: str) -> tuple[Variant, ...]:
    """The rows of the tables, beside what is published on some data; nothing is on others."""
    published = {
        key: dict(zip(SHOWN, figures, strict=True)) for key, figures in PUBLISHED.get(data, {}).items()
    }
    models = [Variant(key, title, key, published=published.get(key, {})) for key, title in MODELS.items()]
    ablations = [
        Variant(key, title, "iarm", differs, published.get(key, {}), ablates="iarm")
        for key, (title, differs) in ABLATIONS.items()
    ]
    layers = [
        Variant(key, f"IARM with {count} interaction layers", "iarm", {"layers": int(count)}, ablates="iarm")
        for count, key in LAYERS.items()
        if key != "iarm"
    ]
    return (*models, Variant("dcn_v2", "DCN-V2", "dcn_v2"), *ablations, *layers)


LEAST = {"criteo": 10, "avazu": 2, "synthetic_clicks": 400}
"""Training rows in which a value of a log occurs, or is one with all rarer ones: for Criteo and Avazu as in
BARS, for the synthetic log what of 10, 100, 400 and 1500 gave FM the best AUC on validation rows."""
_COMPARED = (*MODELS, "dcn_v2")
_ABLATED = (*_COMPARED, *ABLATIONS)
_DROPPED, _AT_LEAST = task_of(DOMAIN, "above_three"), task_of(DOMAIN, "at_least_three")


def _on(domain: Domain, data: str, measured: str, protocols: Mapping[str, Protocol], **more: Any) -> Paper:
    """The paper's tables on some data."""
    first = next(iter(protocols))
    layers = partial(drawings.by_setting, settings=LAYERS, of="interaction layers")
    ablated = tuple(name for name, how in protocols.items() if how.variants != _COMPARED)
    return Paper(
        key="iarm",
        title="IARM, reproduced",
        reference="IARM: user interest, multi-head attention and residual network for click-through rates",
        data=measured,
        domain=domain,
        protocols=protocols,
        variants=_variants(data),
        compared_to="",
        full="iarm",
        judged_by="roc_auc",
        metrics=tuple(SHOWN),
        shown=SHOWN,
        attention=AttentionStudy(("iarm", "autoint")),
        figures=(
            Figure("figure-4", layers, (first,)),
            Figure("figure-5", drawings.attention_between_fields, ablated),
        ),
        **more,
    )


IARM = _on(
    DOMAIN,
    "ratings",
    "MovieLens-1M; of Criteo and Avazu the same",
    {
        "dropped": Protocol(
            "The rule that the paper states, 3 dropped; 8:1:1 at random",
            *("honest", "random", (0.8, 0.1, 0.1), _DROPPED, "iarm"),
        ),
        "at_least": Protocol(
            "The rule that its figures agree with, at least 3; 8:1:1 at random",
            *("honest", "random", (0.8, 0.1, 0.1), _AT_LEAST, "iarm", _ABLATED),
        ),
        "in_time": Protocol(
            "Honest: 3 dropped, split in time",
            *("honest", "time", (0.8, 0.1, 0.1), _DROPPED, "iarm", _ABLATED),
        ),
        "test_20": Protocol(
            "A fifth for the test, 3 dropped, at random",
            *("honest", "random", (0.7, 0.1, 0.2), _DROPPED, "iarm", _COMPARED),
        ),
        "test_30": Protocol(
            "Three tenths for the test, 3 dropped, at random",
            *("honest", "random", (0.6, 0.1, 0.3), _DROPPED, "iarm", _COMPARED),
        ),
    },
    task=_DROPPED,
    service="iarm_v1",
    config={"inputs.context": False},
)


def on_log(log: Domain) -> Paper:
    """The paper's tables on a click log.

    Numbers are read as the floors of their squared logarithms, as categories; what is rarer than `LEAST` says
    is one value.
    """
    (task,) = log.tasks

    def cut(heading: str, split: Strategy, test: float, variants: tuple[str, ...] | None = None) -> Protocol:
        return Protocol(heading, "honest", split, (round(0.9 - test, 1), 0.1, test), task, log.name, variants)

    return _on(
        log,
        log.name,
        "Criteo and Avazu; of MovieLens-1M the same",
        {
            "at_random": cut("Clicks; 8:1:1 at random", "random", 0.1),
            "in_time": cut("Honest: clicks, split in time", "time", 0.1, _ABLATED),
            "test_20": cut("A fifth for the test, at random", "random", 0.2, _COMPARED),
            "test_30": cut("Three tenths for the test, at random", "random", 0.3, _COMPARED),
        },
        task=task,
        config={
            "inputs.logarithmic": True,
            "inputs.numeric": False,
            "inputs.bucketised": False,
            "inputs.min_category_count": LEAST.get(log.name, 1),
        },
    )
