"""MMDIN: its table, the references that a network has to beat, its ablations, and figures 2 to 6."""

from feature_repo.domains.movies import DOMAIN
from training.papers import drawings
from training.papers.paper import Figure, HistoryStudy, LeakStudy, Paper, Protocol, Variant

SHOWN = {"roc_auc": "ROC-AUC", "pr_auc": "PR-AUC", "f1": "F1", "precision": "precision", "recall": "recall"}
"""The paper's columns."""


def _published(*numbers: float) -> dict[str, float]:
    return dict(zip(SHOWN, numbers, strict=True))


MMDIN = Paper(
    key="mmdin",
    title="MMDIN, reproduced",
    reference="Yang, Li, Zhou, Zhang, Zhang: MultiHead MultiModal Deep Interest Network",
    data="MovieLens, the first 1,000 movies, with posters; training and test 8:2 at random",
    domain=DOMAIN,
    task=DOMAIN.tasks[0],
    protocols={
        "honest": Protocol("Honest: features strictly before each label, split in time", "honest"),
        "paper": Protocol(
            "The paper's protocol: statistics of the whole data, random split. It leaks the future", "paper"
        ),
    },
    variants=(
        Variant(
            "neuralcf",
            "NeuralCF",
            "neuralcf",
            published=_published(0.7295, 0.7516, 0.7270, 0.6717, 0.7707),
        ),
        Variant(
            "embedding_mlp",
            "Embedding MLP",
            "embedding_mlp",
            published=_published(0.7553, 0.7731, 0.7470, 0.6880, 0.7920),
        ),
        Variant("deepfm", "DeepFM", "deepfm", published=_published(0.7802, 0.7956, 0.7540, 0.7131, 0.7881)),
        Variant("din", "DIN", "din", published=_published(0.7870, 0.8011, 0.7590, 0.7184, 0.7889)),
        Variant("mmdin", "MMDIN", "mmdin", published=_published(0.8006, 0.8149, 0.7670, 0.7327, 0.7883)),
        Variant("gbt", "Gradient-boosted trees", "gbt"),
        Variant("logistic", "Logistic regression", "logistic"),
        Variant("no_multimodal", "MMDIN without posters", "mmdin", {"multimodal": False}, ablates="mmdin"),
        Variant("one_head", "MMDIN with one head", "mmdin", {"heads": 1}, ablates="mmdin"),
        Variant("no_resnet", "MMDIN with an MLP for the ResNet", "mmdin", {"tower": "mlp"}, ablates="mmdin"),
        Variant("sum_pooling", "MMDIN with sum pooling", "mmdin", {"pooling": "sum"}, ablates="mmdin"),
    ),
    compared_to="din",
    full="mmdin",
    judged_by="roc_auc",
    metrics=(*SHOWN, "log_loss"),
    shown=SHOWN,
    leaks=LeakStudy(of="mmdin"),
    histories=HistoryStudy(
        key="user_id",
        bands=((0, 0), (1, 4), (5, 19), (20, 99), (100, None)),
        title="By length of the user's history",
        heading="earlier ratings",
    ),
    figures=(
        Figure("figure-2", drawings.class_balance),
        Figure("figure-3", drawings.precision_recall),
        Figure("figure-4", drawings.roc),
        Figure("figure-5", drawings.score_scatter),
        Figure("figure-6", drawings.metric_bars),
    ),
)
