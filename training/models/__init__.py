"""The model zoo: one config class and one model in each file, listed here once.

A model is known by its key, and one that is not listed here by its import path (see `training.models.own`).
Its builder makes it from its configuration and the input specification of its feature service; every model
takes the dictionary of arrays that the specification gives.
"""

from common.errors import unknown
from training.models.entry import ALL, CLASSIFIES, Entry
from training.models.own import own_model

MODELS: dict[str, Entry] = {
    entry.key: entry
    for entry in (
        Entry("neuralcf", "NeuralCFConfig", "din_v1", "keras", "NeuralCF"),
        Entry("embedding_mlp", "EmbeddingMLPConfig", "din_v1", "keras", "Embedding MLP"),
        Entry("deepfm", "DeepFMConfig", "din_v1", "keras", "DeepFM"),
        Entry("din", "DINConfig", "din_v1", "keras", "DIN"),
        Entry("mmdin", "MMDINConfig", "mmdin_v1", "keras", "MMDIN"),
        Entry("fm", "FMConfig", "iarm_v1", "keras", "FM"),
        Entry("afm", "AFMConfig", "iarm_v1", "keras", "AFM"),
        Entry("nfm", "NFMConfig", "iarm_v1", "keras", "NFM"),
        Entry("wide_deep", "WideDeepConfig", "iarm_v1", "keras", "Wide & Deep"),
        Entry("deep_crossing", "DeepCrossingConfig", "iarm_v1", "keras", "Deep Crossing"),
        Entry("dcn", "DCNConfig", "iarm_v1", "keras", "DCN"),
        Entry("dcn_v2", "DCNV2Config", "iarm_v1", "keras", "DCN-V2"),
        Entry("pnn", "PNNConfig", "iarm_v1", "keras", "PNN"),
        Entry("autoint", "AutoIntConfig", "iarm_v1", "keras", "AutoInt"),
        Entry("iarm", "IARMConfig", "iarm_v1", "keras", "IARM"),
        Entry("gbt", "GBTConfig", "gbt_v1", "sklearn", "Gradient-boosted trees"),
        Entry("logistic", "LogisticConfig", "gbt_v1", "sklearn", "Logistic regression", CLASSIFIES),
    )
}


def model(name: str) -> Entry:
    """The model of that name: a key of the list, or an import path, "module:attribute".

    Raises:
        MarqueeError: there is none; the sentence names the nearest, or all; or as `own_model`.
    """
    if name in MODELS:
        return MODELS[name]
    if ":" in name or "." in name:
        return own_model(name, MODELS)
    raise unknown("model", name, MODELS)


__all__ = ["ALL", "CLASSIFIES", "MODELS", "Entry", "model"]
