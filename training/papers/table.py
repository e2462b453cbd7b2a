"""The rows of MMDIN's table: the paper's models with the paper's figures, references, and ablations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

METRICS = ("roc_auc", "pr_auc", "f1", "precision", "recall", "log_loss")
REFERENCE, FULL = "din", "mmdin"
"""Differences are to the first; those of ablations also to the second."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of the table.

    Args:
        key: names its cells.
        title: for people.
        model: key in the zoo.
        config: what differs from the model's defaults.
        paper: the paper's own figures for the row, by metric; empty where it has none.
        ablation: whether it is MMDIN with a part taken out.
    """

    key: str
    title: str
    model: str
    config: Mapping[str, Any] = field(default_factory=dict)
    paper: Mapping[str, float] = field(default_factory=dict)
    ablation: bool = False


def _paper(*figures: float) -> dict[str, float]:
    return dict(zip(METRICS, figures, strict=False))


TABLE: tuple[Variant, ...] = (
    Variant("neuralcf", "NeuralCF", "neuralcf", paper=_paper(0.7295, 0.7516, 0.7270, 0.6717, 0.7707)),
    Variant(
        "embedding_mlp",
        "Embedding MLP",
        "embedding_mlp",
        paper=_paper(0.7553, 0.7731, 0.7470, 0.6880, 0.7920),
    ),
    Variant("deepfm", "DeepFM", "deepfm", paper=_paper(0.7802, 0.7956, 0.7540, 0.7131, 0.7881)),
    Variant("din", "DIN", "din", paper=_paper(0.7870, 0.8011, 0.7590, 0.7184, 0.7889)),
    Variant("mmdin", "MMDIN", "mmdin", paper=_paper(0.8006, 0.8149, 0.7670, 0.7327, 0.7883)),
    Variant("gbt", "Gradient-boosted trees", "gbt"),
    Variant("logistic", "Logistic regression", "logistic"),
    Variant("no_multimodal", "MMDIN without posters", "mmdin", {"multimodal": False}, ablation=True),
    Variant("one_head", "MMDIN with one head", "mmdin", {"heads": 1}, ablation=True),
    Variant("no_resnet", "MMDIN with an MLP for the ResNet", "mmdin", {"tower": "mlp"}, ablation=True),
    Variant("sum_pooling", "MMDIN with sum pooling", "mmdin", {"pooling": "sum"}, ablation=True),
)
"""The paper's Table 1, the references that a network has to beat, and the ablations."""
