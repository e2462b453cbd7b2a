"""IARM on ratings: its table of ten models, ablations, interaction layers, and attention between fields."""

from functools import partial

from feature_repo.domains.movies import DOMAIN
from training.papers import drawings
from training.papers.paper import AttentionStudy, Figure, Paper, Protocol, Variant
from training.recipe import task_of

SHOWN = {"roc_auc": "AUC", "log_loss": "log loss"}
"""The paper's columns."""
MODELS = {
    "fm": ("FM", 0.5347, 0.4462),
    "wide_deep": ("Wide & Deep", 0.8328, 0.3334),
    "deepfm": ("DeepFM", 0.8340, 0.3346),
    "afm": ("AFM", 0.8295, 0.3358),
    "dcn": ("DCN", 0.8249, 0.3393),
    "nfm": ("NFM", 0.8297, 0.3357),
    "pnn": ("PNN", 0.8312, 0.3353),
    "autoint": ("AutoInt", 0.8362, 0.3393),
    "deep_crossing": ("Deep Crossing", 0.8373, 0.3305),
    "iarm": ("IARM", 0.8386, 0.3296),
}
"""Title, AUC and log loss on ML-1M, by key in the zoo (table 2)."""
ABLATIONS = {
    "no_interest": ("IARM*, without the interest layer", {"interest": False}, 0.8349, 0.3344),
    "no_attention": ("IRM, without attention", {"attention": False}, 0.8345, 0.3292),
    "no_residual": ("IARM-, without residuals", {"residual": False}, 0.8236, 0.3422),
}
"""The same, with what differs (tables 3 to 5)."""
LAYERS = {str(count): "iarm" if count == 3 else f"layers_{count}" for count in range(5)}
"""Keys of the variants by their number of interaction layers (figure 4)."""


def _published(auc: float, log_loss: float) -> dict[str, float]:
    return {"roc_auc": auc, "log_loss": log_loss}


_COMPARED = (*MODELS, "dcn_v2")
_ABLATED = (*_COMPARED, *ABLATIONS)
_DROPPED, _AT_LEAST = task_of(DOMAIN, "above_three"), task_of(DOMAIN, "at_least_three")

IARM = Paper(
    key="iarm",
    title="IARM, reproduced",
    reference="IARM: user interest, multi-head attention and residual network for click-through rates",
    data="MovieLens-1M; of Criteo and Avazu the same",
    domain=DOMAIN,
    task=_DROPPED,
    protocols={
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
    variants=(
        *(
            Variant(key, title, key, published=_published(*figures))
            for key, (title, *figures) in MODELS.items()
        ),
        Variant("dcn_v2", "DCN-V2", "dcn_v2"),
        *(
            Variant(key, title, "iarm", differs, _published(*figures), ablates="iarm")
            for key, (title, differs, *figures) in ABLATIONS.items()
        ),
        *(
            Variant(
                key, f"IARM with {count} interaction layers", "iarm", {"layers": int(count)}, ablates="iarm"
            )
            for count, key in LAYERS.items()
            if key != "iarm"
        ),
    ),
    compared_to="",
    full="iarm",
    judged_by="roc_auc",
    metrics=tuple(SHOWN),
    shown=SHOWN,
    attention=AttentionStudy(("iarm", "autoint")),
    figures=(
        Figure(
            "figure-4", partial(drawings.by_setting, settings=LAYERS, of="interaction layers"), ("dropped",)
        ),
        Figure("figure-5", drawings.attention_between_fields, ("dropped", "at_least", "in_time")),
    ),
    service="iarm_v1",
    config={"inputs.context": False},
)
